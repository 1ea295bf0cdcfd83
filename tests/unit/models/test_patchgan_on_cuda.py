# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Patch-GAN on a CUDA device: the code path of the CPU, its scores and its checkpoints. Skipped where there is none."""

from pathlib import Path

import pytest
import torch
from anomalib.data import ImageBatch
from anomalib.engine import Engine
from lightning import seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from squares import QUIET, datamodule, folder, raw_scores  # noqa: F401 - a fixture

from anomalib_patchgan.models import PatchGan

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

SMALL = {"image_size": 32, "width": 8, "ranker_width": 8, "discriminator_width": 16}
ON_CUDA = QUIET | {"accelerator": "gpu"}


def trained(root: Path, squares: Path, epochs: int = 20, **trainer: object) -> PatchGan:
    seed_everything(0, verbose=False)
    model = PatchGan(**SMALL, evaluator=False, visualizer=False)
    Engine(default_root_dir=root, max_epochs=epochs, **(ON_CUDA | trainer)).fit(model, datamodule=datamodule(squares))
    return model


@pytest.mark.parametrize("size", [32, 128])
def test_scores_and_maps_are_those_of_the_cpu(size: int) -> None:
    torch.manual_seed(0)
    model = PatchGan(image_size=size, evaluator=False, visualizer=False).eval()
    image = torch.rand(16, 3, size, size)
    with torch.inference_mode():
        model.model.fit_novelty([image])
        expected = model.validation_step(ImageBatch(image=image))
        found = model.cuda().validation_step(ImageBatch(image=image.cuda()))
    spread = expected.pred_score.std()
    assert (found.pred_score.cpu() - expected.pred_score).abs().max() < 1e-3 * spread
    difference = (found.anomaly_map.cpu() - expected.anomaly_map).abs().max()
    assert difference < 1e-3 * expected.anomaly_map.std()


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_it_learns_in_32_bits_and_in_bfloat16(precision: str, folder: Path, tmp_path: Path) -> None:  # noqa: F811
    model = trained(tmp_path, folder, precision=precision)
    normal, abnormal = raw_scores(model.cpu(), folder, "test"), raw_scores(model.cpu(), folder, "abnormal")
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    assert abnormal.median() > normal.median()
    assert abnormal.std() > 0


def test_a_checkpoint_written_there_scores_alike_on_the_cpu(folder: Path, tmp_path: Path) -> None:  # noqa: F811
    model = trained(tmp_path, folder, epochs=2)
    (path,) = tmp_path.rglob("*.ckpt")
    loaded = PatchGan.load_from_checkpoint(path, map_location="cpu", weights_only=False)
    assert torch.equal(raw_scores(loaded, folder, "test"), raw_scores(model.cpu(), folder, "test"))


def test_a_training_resumed_at_an_epochs_end_comes_to_the_same_numbers(folder: Path, tmp_path: Path) -> None:  # noqa: F811
    keep = ModelCheckpoint(dirpath=tmp_path, filename="{epoch}", every_n_epochs=2, save_top_k=-1)
    whole = trained(tmp_path, folder, epochs=4, callbacks=[keep], deterministic="warn")
    seed_everything(99, verbose=False)
    resumed = PatchGan(**SMALL, evaluator=False, visualizer=False)
    engine = Engine(default_root_dir=tmp_path, max_epochs=4, deterministic="warn", **ON_CUDA)
    engine.fit(resumed, datamodule=datamodule(folder), ckpt_path=tmp_path / "epoch=1.ckpt")
    for (name, first), second in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        # Some operations add in any order there.
        torch.testing.assert_close(second, first, rtol=1e-3, atol=1e-4, msg=name)
