# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""ALOCC, f-AnoGAN and the patch scorer, each by what its publication or its purpose says."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from anomalib.data import ImageBatch, ImageItem
from anomalib.engine import Engine
from anomalib.models import AnomalibModule
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.models import Alocc, ConvolutionalAutoencoder, FAnoGan, PatchScorer
from anomalib_patchgan.models.alocc.torch_model import AloccModel
from anomalib_patchgan.models.components.corruption import corrupt
from anomalib_patchgan.models.components.perception import Perception
from anomalib_patchgan.models.f_anogan.torch_model import FAnoGanModel
from anomalib_patchgan.models.patch_scorer.torch_model import PatchScorerModel

OFF = {"evaluator": False, "visualizer": False}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def smooth_images(count: int) -> torch.Tensor:
    coarse = 0.3 + 0.4 * torch.rand(count, 1, 4, 4)
    return functional.interpolate(coarse, size=(32, 32), mode="bicubic").clamp(0, 1).expand(-1, 3, -1, -1)


def train(model: AnomalibModule, folder: Path, epochs: int, **trainer: object) -> Engine:
    """Train on 32 smooth images, four batches an epoch."""
    items = [ImageItem(image=image.clone(), gt_label=torch.tensor(0)) for image in smooth_images(32)]
    loader = DataLoader(items, batch_size=8, collate_fn=ImageBatch.collate)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    engine = Engine(default_root_dir=folder, max_epochs=epochs, accelerator="cpu", devices=1, **quiet, **trainer)
    engine.fit(model, train_dataloaders=loader)
    return engine


def logged(model: AnomalibModule, name: str, folder: Path, epochs: int) -> list[float]:
    values: list[float] = []

    def keep() -> None:
        # f-AnoGAN has no encoder's loss before the encoder's turn.
        if name in model.trainer.callback_metrics:
            values.append(float(model.trainer.callback_metrics[name]))

    model.on_train_epoch_end = keep
    train(model, folder, epochs)
    return values


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: Alocc(image_size=32, width=8, **OFF), "reconstruction_error"),
        (lambda: PatchScorer(image_size=32, channels=1, width=8, **OFF), "train_loss"),
        (
            lambda: FAnoGan(image_size=32, width=8, latent_size=16, critic_steps=1, learning_rate=2e-3, **OFF),
            "image_residual",
        ),
    ],
    ids=["alocc", "patch scorer", "encoder of f-anogan"],
)
def test_training_lowers_the_loss(build: object, name: str, tmp_path: Path) -> None:
    values = logged(build(), name, tmp_path, 24)
    # Four batches are an epoch, so single epochs differ by chance.
    assert np.mean(values[-8:]) < 0.8 * values[0]


@pytest.mark.parametrize(
    "build",
    [
        lambda: Alocc(image_size=32, width=8, **OFF),
        lambda: FAnoGan(image_size=32, width=8, latent_size=16, **OFF),
    ],
    ids=["alocc", "f-anogan"],
)
def test_a_batch_counts_as_one_step_however_many_optimisers_step(build: object, tmp_path: Path) -> None:
    assert train(build(), tmp_path, 3).trainer.global_step == 12


def test_alocc_without_a_reconstruction_weight_scores_by_the_discriminator_of_the_refined_image() -> None:
    model, image = AloccModel(32, 8, 0.0).eval(), torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        chance = torch.sigmoid(model.discriminator(model.refiner(image))).squeeze(1)
        assert torch.allclose(model(image).pred_score, -torch.log(chance), atol=1e-5)


def test_alocc_adds_the_squared_error_with_its_weight() -> None:
    model, image = AloccModel(32, 8, 0.0).eval(), torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        plain = model(image).pred_score
        model.reconstruction_weight = 7.0
        error = (image - model.refiner(image)).square().mean(dim=(1, 2, 3))
        assert torch.allclose(model(image).pred_score, plain + 7 * error, atol=1e-5)


def test_the_gradient_penalty_is_zero_for_a_slope_of_one_and_quadratic_beyond() -> None:
    model = FAnoGanModel(16, 8, 4, 1.0)
    model.critic_features, model.critic_head = nn.Flatten(), nn.Linear(3 * 16 * 16, 1, bias=False)
    real, drawn = torch.rand(4, 3, 16, 16), torch.rand(4, 3, 16, 16)
    for slope, penalty in ((1.0, 0.0), (3.0, 4.0)):
        weight = torch.randn(1, 3 * 16 * 16)
        model.critic_head.weight = nn.Parameter(slope * weight / weight.norm())
        distance = model.criticise(drawn).mean() - model.criticise(real).mean()
        assert model.critic_loss(real, drawn, 10.0).item() == pytest.approx(float(distance) + 10 * penalty, abs=1e-3)


def test_f_anogan_trains_first_the_gan_and_then_the_encoder_alone(tmp_path: Path) -> None:
    model = FAnoGan(image_size=32, width=8, latent_size=16, gan_share=0.5, critic_steps=2, **OFF)
    parts = {name: getattr(model.model, name) for name in ("generator", "critic_features", "critic_head", "encoder")}
    states: list[dict[str, torch.Tensor]] = []

    def keep() -> None:
        states.append({name: nn.utils.parameters_to_vector(part.parameters()).clone() for name, part in parts.items()})

    keep()
    model.on_train_epoch_end = keep
    train(model, tmp_path, 4)
    changed = [
        {name for name in parts if not torch.equal(before[name], after[name])} for before, after in pairwise(states)
    ]
    gan = {"generator", "critic_features", "critic_head"}
    assert changed == [gan, gan, {"encoder"}, {"encoder"}]


def test_the_score_of_f_anogan_is_image_residual_plus_kappa_times_feature_residual() -> None:
    model, image = FAnoGanModel(32, 8, 16, 0.0).eval(), torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        rebuilt = model.generator(model.encoder(image))
        features = (model.critic_features(image) - model.critic_features(rebuilt)).square().mean(dim=1)
        plain = model(image).pred_score
        assert torch.allclose(plain, (image - rebuilt).square().mean(dim=(1, 2, 3)), atol=1e-6)
        model.feature_weight = 3.0
        assert torch.allclose(model(image).pred_score, plain + 3 * features, atol=1e-5)


def test_the_patch_scorer_asks_for_a_number_of_steps(tmp_path: Path) -> None:
    model = PatchScorer(image_size=32, channels=1, width=8, **OFF)
    with pytest.raises(InputError, match="expected max_epochs or max_steps"):
        train(model, tmp_path, -1, max_time={"minutes": 1})


@pytest.mark.parametrize("perceptual", [False, True])
def test_the_patch_scorer_learns_to_point_at_corruption(perceptual: bool, tmp_path: Path) -> None:
    plain = {"whole_image_share": 0.35, "movement": 0.0, "lighting": 0.0}
    model = PatchScorer(image_size=32, channels=1, width=8, perceptual=perceptual, **plain, **OFF)
    train(model, tmp_path, 40)
    if perceptual:
        found, expected = model.model.perceive[0].state_dict(), Perception(8).state_dict()
        assert all(torch.equal(found[name], value) for name, value in expected.items()), "frozen weights moved"
    corrupted, changed = corrupt(smooth_images(64), 0.35)
    with torch.no_grad():
        output = model.eval().model(corrupted)
    assert output.anomaly_map.shape == (64, 1, 32, 32)
    assert output.anomaly_map[changed > 0].mean() > 1.5 * output.anomaly_map[changed == 0].mean()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AloccModel(40, 8, 1.0), "image_size: found 40, expected a multiple of 16"),
        (lambda: FAnoGanModel(48, 8, 16, 1.0), "image_size: found 48, expected 16, 32, 64, 128 or 256"),
        (lambda: PatchScorerModel(40, 3, 8, 0.1), "image_size: found 40"),
        (lambda: PatchScorerModel(32, 2, 8, 0.1), "channels: found 2"),
        (lambda: PatchScorerModel(32, 3, 12, 0.1), "width: found 12"),
        (lambda: PatchScorerModel(32, 3, 8, 0.0), "top_share: found 0.0"),
    ],
)
def test_an_argument_out_of_range_is_named_in_one_sentence(build: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build()


@pytest.mark.parametrize(
    ("model", "least", "names"),
    [
        (Alocc, 0, ("noise", "reconstruction_weight", "learning_rate")),
        (Alocc, 1, ("width",)),
        (ConvolutionalAutoencoder, 0, ("learning_rate",)),
        (ConvolutionalAutoencoder, 1, ("width", "latent_channels")),
        (FAnoGan, 0, ("penalty_weight", "feature_weight", "learning_rate", "encoder_learning_rate")),
        (FAnoGan, 1, ("width", "latent_size", "critic_steps")),
        (PatchScorer, 0, ("movement", "lighting", "learning_rate")),
    ],
)
def test_a_number_below_its_least_is_named_in_one_sentence(model: type, least: int, names: tuple[str, ...]) -> None:
    for name in names:
        for value in (least - 1, math.nan, math.inf):
            with pytest.raises(InputError, match=f"^{name}: found {value:g}, expected {least} or more\\.$"):
                model(**{name: value})


@pytest.mark.parametrize(
    ("model", "name", "value"),
    [
        (PatchScorer, "whole_image_share", 1.1),
        (PatchScorer, "whole_image_share", -0.1),
        (FAnoGan, "gan_share", 0.0),
        (FAnoGan, "gan_share", 1.0),
        (ConvolutionalAutoencoder, "image_size", 60),
    ],
)
def test_a_share_or_a_size_that_does_not_fit_is_named_in_one_sentence(model: type, name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"^{name}: found {value:g}, expected .*\\.$"):
        model(**{name: value})


@pytest.mark.parametrize("size", [16, 64, 128])
def test_scores_and_maps_have_the_shape_of_the_batch(size: int) -> None:
    models = (AloccModel(size, 8, 1.0), FAnoGanModel(size, 8, 16, 1.0), PatchScorerModel(size, 3, 8, 0.02))
    for model in models:
        with torch.no_grad():
            output = model.eval()(torch.rand(3, 3, size, size))
        assert output.pred_score.shape == (3,)
        assert output.anomaly_map.shape == (3, 1, size, size)
