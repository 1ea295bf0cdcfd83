# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Our models in anomalib's engine: training, calibration, checkpoints."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from anomalib.data import Folder, ImageBatch
from anomalib.engine import Engine
from PIL import Image

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

QUIET = {"accelerator": "cpu", "devices": 1, "logger": False, "enable_progress_bar": False}
OFF = {"evaluator": False, "visualizer": False}
SMALL = {"image_size": 32, "width": 8, "discriminator_width": 16, "evaluator": False, "visualizer": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of smooth noise; the abnormal ones hold a bright square."""
    root = tmp_path_factory.mktemp("folder")
    random = np.random.default_rng(0)
    for group, count in {"train": 24, "test": 8, "abnormal": 8}.items():
        (root / group).mkdir()
        for index in range(count):
            image = random.normal(120, 12, (32, 32, 3))
            if group == "abnormal":
                image[8:20, 8:20] += 90
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(root / group / f"{index}.png")
    return root


def datamodule(folder: Path) -> Folder:
    return Folder(
        name="squares",
        root=folder,
        normal_dir="train",
        normal_test_dir="test",
        abnormal_dir="abnormal",
        train_batch_size=8,
        eval_batch_size=8,
        num_workers=0,
        val_split_mode="same_as_test",
    )


def raw_scores(model: torch.nn.Module, folder: Path, group: str) -> torch.Tensor:
    paths = sorted((folder / group).glob("*.png"))
    images = np.stack([np.asarray(Image.open(path)) for path in paths])
    batch = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        return model.eval().model(batch).pred_score


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
        lambda: PatchGan(**SMALL),
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
    build: object, folder: Path, tmp_path: Path
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


def test_patchgan_trains_with_a_pixel_weight_of_zero_without_nan(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = PatchGan(**SMALL, pixel_weight=0.0)
    engine = Engine(default_root_dir=tmp_path, max_epochs=2, **QUIET)
    engine.fit(model, datamodule=datamodule(folder))
    assert torch.isfinite(raw_scores(model, folder, "abnormal")).all()
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_patchgan_stops_by_itself_after_its_training_steps(folder: Path, tmp_path: Path) -> None:
    model = PatchGan(**SMALL, training_steps=4)
    engine = Engine(default_root_dir=tmp_path, max_epochs=50, **QUIET)
    engine.fit(model, datamodule=datamodule(folder))
    assert engine.trainer.global_step == 4


def test_a_loss_reaches_only_the_network_it_belongs_to() -> None:
    model = PatchGan(**SMALL)
    model.log_dict = lambda *args, **kwargs: None
    batch = ImageBatch(image=torch.rand(4, 3, 32, 32))
    image, mask = batch.image, torch.ones(4, 1, 32, 32)
    loss, _ = model._generator_loss(image, model.model.reconstructor(image, mask), torch.ones(4, 1, 4, 4), mask)
    loss.backward()
    assert all(parameter.grad is None for parameter in model.model.discriminator.parameters())
    model.zero_grad()
    model._ranking_loss(image[:2], image[2:], torch.tensor([1.0, 0.0]).view(2, 1, 1, 1).expand(2, 1, 4, 4)).backward()
    assert all(parameter.grad is None for parameter in model.model.reconstructor.parameters())
    assert all(parameter.grad is None for parameter in model.model.discriminator.parameters())
    assert any(parameter.grad is not None for parameter in model.model.ranker.parameters())


def calibrated(scores: list[float], labels: list[int] | None = None) -> CalibratedPostProcessor:
    processor = CalibratedPostProcessor()
    batch = ImageBatch(
        image=torch.zeros(len(scores), 3, 8, 8),
        gt_label=torch.tensor(labels or [0] * len(scores)),
        pred_score=torch.tensor(scores),
        anomaly_map=torch.rand(len(scores), 1, 8, 8),
    )
    processor.on_validation_epoch_start(None, None)
    processor.on_validation_batch_end(None, None, batch)
    processor.on_validation_epoch_end(None, None)
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
