# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Our models in anomalib's engine: training, calibration, checkpoints."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from anomalib.data import ImageBatch
from anomalib.engine import Engine
from squares import QUIET, datamodule, folder, raw_scores  # noqa: F401 - a fixture

from anomalib_patchgan.models import (
    Alocc,
    ConvolutionalAutoencoder,
    FAnoGan,
    GaussianAtlas,
    MaximumIntensity,
    MeanIntensity,
    NearestNeighbours,
    OneClassSvm,
    PatchGan,
    PatchScorer,
)
from anomalib_patchgan.models.components.post_processor import CalibratedPostProcessor

OFF = {"evaluator": False, "visualizer": False}


@pytest.mark.parametrize(
    "build",
    [
        lambda: MeanIntensity(**OFF),
        lambda: MaximumIntensity(**OFF),
        lambda: GaussianAtlas(image_size=32, **OFF),
        lambda: NearestNeighbours(**OFF),
        lambda: OneClassSvm(**OFF),
        lambda: ConvolutionalAutoencoder(image_size=32, width=8, **OFF),
        lambda: Alocc(image_size=32, width=8, **OFF),
        lambda: FAnoGan(image_size=32, width=8, latent_size=16, **OFF),
        lambda: PatchScorer(image_size=32, width=8, **OFF),
        lambda: PatchGan(image_size=32, width=8, ranker_width=8, **OFF),
    ],
    ids=[
        "mean intensity",
        "maximum intensity",
        "gaussian atlas",
        "nearest neighbours",
        "one-class svm",
        "autoencoder",
        "alocc",
        "f-anogan",
        "patch scorer",
        "patch-gan",
    ],
)
def test_a_model_trains_ranks_an_obvious_defect_first_and_survives_its_checkpoint(
    build: object,
    folder: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    model = build()
    engine = Engine(default_root_dir=tmp_path, max_epochs=10, **QUIET)
    engine.fit(model, datamodule=datamodule(folder))
    normal, abnormal = raw_scores(model, folder, "test"), raw_scores(model, folder, "abnormal")
    assert abnormal.median() > normal.median()
    checkpoint = tmp_path / "model.ckpt"
    engine.trainer.save_checkpoint(checkpoint)
    again = type(model).load_from_checkpoint(checkpoint)
    assert torch.equal(raw_scores(again, folder, "abnormal"), abnormal)
    assert torch.equal(again.post_processor.image_threshold, model.post_processor.image_threshold)
    assert str(folder) not in checkpoint.read_bytes().decode("latin1")


def calibrated(scores: list[float], labels: list[int] | None = None) -> CalibratedPostProcessor:
    processor = CalibratedPostProcessor()
    batch = ImageBatch(
        image=torch.zeros(len(scores), 3, 8, 8),
        gt_label=torch.tensor(labels or [0] * len(scores)),
        pred_score=torch.tensor(scores),
        anomaly_map=torch.rand(len(scores), 1, 8, 8),
    )
    trainer = SimpleNamespace(world_size=1)
    processor.on_validation_epoch_start(trainer, None)
    processor.on_validation_batch_end(trainer, None, batch)
    processor.on_validation_epoch_end(trainer, None)
    return processor


def test_the_image_threshold_is_the_conformal_quantile_of_normal_validation_scores() -> None:
    scores = [float(value) for value in range(39)]
    rank = math.ceil(40 * 0.95)
    assert calibrated(scores).image_threshold == scores[rank - 1]
    assert calibrated([*scores, 1000.0], [0] * 39 + [1]).image_threshold == scores[rank - 1]


def test_with_too_few_normal_images_the_threshold_is_their_largest_score() -> None:
    assert calibrated([1.0, 3.0, 2.0]).image_threshold == 3.0


def test_calibrated_scores_keep_the_ranking_beyond_the_validation_range_and_cross_half_at_the_threshold() -> None:
    processor = calibrated([float(value) for value in range(39)])
    raw = torch.tensor([-50.0, 0.0, 37.0, 37.001, 100.0, 1000.0, 10000.0])
    scores = processor._normalize(raw, processor.image_min, processor.image_max, processor.image_threshold)
    assert torch.all(scores.diff() > 0)
    assert torch.equal(scores > 0.5, raw > processor.image_threshold)


def test_without_calibration_scores_stay_raw() -> None:
    processor = CalibratedPostProcessor()
    raw = torch.tensor([0.1, 7.0])
    scores = processor._normalize(raw, processor.image_min, processor.image_max, processor.image_threshold)
    assert torch.equal(scores, raw)


@pytest.mark.parametrize("judgement", ["patch", "image", "both"])
def test_patchgan_exported_to_pytorch_by_anomalib_scores_as_the_model_does(judgement: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = PatchGan(image_size=32, width=8, ranker_width=8, judgement=judgement, **OFF).eval()
    image = torch.rand(3, 3, 32, 32)
    exported = model.to_torch(tmp_path)
    again = torch.load(exported, weights_only=False)["model"]
    assert torch.equal(again(image).pred_score, model(image).pred_score)
    assert again.state_dict().keys() == model.state_dict().keys()
    # The copy can be trained on, as by spawned processes.
    before = again.model.discriminator.first.weight.clone()
    again.train().model.discriminator(image)[0].sum().backward()
    torch.optim.SGD(again.parameters(), lr=1.0).step()
    assert not torch.equal(again.eval().model.discriminator.first.weight, before)
