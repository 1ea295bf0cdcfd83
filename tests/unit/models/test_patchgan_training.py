# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Training Patch-GAN in anomalib's engine: stable, resumable, in 32 bits and in bfloat16."""

import inspect
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from anomalib.data import ImageBatch
from anomalib.engine import Engine
from docstring_parser import parse
from lightning import seed_everything
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from squares import QUIET, datamodule, folder, raw_scores  # noqa: F401 - a fixture

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.models import PatchGan, PatchScorer
from anomalib_patchgan.models.components.perception import Perception

SMALL = {"image_size": 32, "width": 8, "ranker_width": 8, "discriminator_width": 16}
PLAIN = {"evaluator": False, "visualizer": False}


def train(tmp_path: Path, squares: Path, epochs: int, **changes: object) -> PatchGan:
    trainer = {key: changes.pop(key) for key in ("precision", "callbacks") if key in changes}
    model = PatchGan(**(SMALL | PLAIN | changes))
    engine = Engine(default_root_dir=tmp_path, max_epochs=epochs, **(QUIET | trainer))
    engine.fit(model, datamodule=datamodule(squares))
    return model


class KeepMetrics(Callback):
    """Keeps what the model logs."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def parts(self) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
        """The first and the last third of the epochs."""
        return self.epochs[: len(self.epochs) // 3], self.epochs[-(len(self.epochs) // 3) :]

    def on_train_epoch_end(self, trainer: object, pl_module: object) -> None:
        self.epochs.append({name: float(value) for name, value in trainer.callback_metrics.items()})


@pytest.mark.parametrize(
    ("name", "values"),
    [
        *((name, (-0.1, math.inf, math.nan)) for name in ("pixel_weight", "feature_weight", "adversarial_weight")),
        *((name, (-0.1, math.inf, math.nan)) for name in ("movement", "lighting", "learning_rate")),
        ("whole_image_share", (-0.1, 1.1, math.nan)),
        ("training_steps", (0, -5)),
    ],
)
def test_an_argument_out_of_range_is_named_in_one_sentence(name: str, values: tuple[float, ...]) -> None:
    for value in values:
        with pytest.raises(InputError, match=f"^{name}: found .*, expected .*\\.$"):
            PatchGan(**(SMALL | PLAIN | {name: value}))


def test_every_argument_is_documented_with_its_default() -> None:
    documented = {argument.arg_name: argument.description for argument in parse(PatchGan.__doc__).params}
    arguments = inspect.signature(PatchGan).parameters
    assert documented.keys() == arguments.keys()
    for name, argument in arguments.items():
        written = re.search("Defaults to ``(.+)``", documented[name]).group(1)
        assert written == str(argument.default) or float(written) == argument.default


@pytest.mark.parametrize(
    "changes",
    [
        {"pixel_weight": 0.0},
        {"precision": "bf16-mixed"},
        {"mask_count": 0},
        {"perceptual": True},
        {"judgement": "both", "corrupted_fakes": False, "novelty": False, "context": False, "ranking": "top"},
        {"adversarial_weight": 0.0, "feature_weight": 0.0, "movement": 0.0, "lighting": 0.0},
    ],
    ids=["no pixel term", "bfloat16", "no masks", "perceptual", "other parts", "pixel term alone"],
)
def test_every_part_can_be_switched_and_scores_stay_finite(
    changes: dict[str, object],
    folder: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    model = train(tmp_path, folder, epochs=2, **changes)
    scores = raw_scores(model, folder, "abnormal")
    assert torch.isfinite(scores).all()
    assert scores.std() > 0
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_scores_are_those_of_32_bits_whatever_the_precision_of_training() -> None:
    model = PatchGan(image_size=32, channels=1, width=8, ranker_width=8, visualizer=False, evaluator=False).eval()
    image = torch.rand(3, 3, 32, 32)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        scored = model.validation_step(ImageBatch(image=image))
    with torch.inference_mode():
        expected = model.model(image)
    assert torch.equal(scored.pred_score, expected.pred_score)
    assert torch.equal(scored.anomaly_map, expected.anomaly_map[:, 0])


@pytest.mark.parametrize("build", [lambda: PatchGan(**SMALL, **PLAIN), lambda: PatchScorer(image_size=32, **PLAIN)])
def test_images_are_varied_in_32_bits_whatever_the_precision_of_training(build, monkeypatch) -> None:
    model = build()
    model.log = model.log_dict = lambda *_, **__: None
    in_mixed_precision = []
    for name in ("move", "relight", "corrupt"):
        real = getattr(sys.modules[type(model).__module__], name)

        def watched(*arguments: object, real: Callable[..., object] = real) -> object:
            in_mixed_precision.append(torch.is_autocast_enabled("cpu"))
            return real(*arguments)

        monkeypatch.setattr(sys.modules[type(model).__module__], name, watched)
    with torch.autocast("cpu", torch.bfloat16):
        model.training_step(ImageBatch(image=torch.rand(4, 3, 32, 32)))
    assert in_mixed_precision == [False] * 3


def test_no_product_of_a_score_is_rounded_to_tf32_and_other_products_are_as_they_were() -> None:
    products = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)
    model = PatchGan(**SMALL, **PLAIN).eval()
    seen = []
    model.model.register_forward_pre_hook(lambda *_: seen.append([product.fp32_precision for product in products]))
    before = [product.fp32_precision for product in products]
    assert before[0] == "tf32"
    with torch.inference_mode():
        model.validation_step(ImageBatch(image=torch.rand(2, 3, 32, 32)))
    assert seen == [["ieee", "ieee"]]
    assert [product.fp32_precision for product in products] == before


def test_the_novelty_distribution_is_fitted_where_it_is_needed_and_not_after_every_epoch(
    folder: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    class Counting(PatchGan):
        fits = 0

        def fit_to_weights(self) -> None:
            self.fits += 1
            super().fit_to_weights()

    def trained(model: Counting, **trainer: object) -> Counting:
        options = QUIET | {"check_val_every_n_epoch": 4} | trainer
        Engine(default_root_dir=tmp_path, max_epochs=4, **options).fit(model, datamodule=datamodule(folder))
        return model

    def new() -> Counting:
        return Counting(**(SMALL | PLAIN))

    assert trained(new()).fits == 1
    once = trained(new(), limit_val_batches=0)
    assert once.fits == 1
    # Trained again, it has taken as many steps, and other weights.
    assert trained(once, limit_val_batches=0).fits == 2
    keep = ModelCheckpoint(
        dirpath=tmp_path, filename="{epoch}", every_n_epochs=2, save_top_k=-1, save_on_train_epoch_end=True
    )
    assert trained(new(), callbacks=[keep]).fits == 2
    for epoch in (1, 3):
        state = torch.load(tmp_path / f"epoch={epoch}.ckpt", weights_only=False)["state_dict"]
        whiten = state["model.feature_novelty.whiten"]
        assert not torch.equal(whiten, torch.eye(len(whiten)))


def test_five_seeds_neither_diverge_nor_collapse(folder: Path, tmp_path: Path) -> None:  # noqa: F811
    for seed in range(5):
        seed_everything(seed, verbose=False)
        metrics = KeepMetrics()
        model = train(tmp_path, folder, epochs=25, callbacks=[metrics])
        normal, abnormal = raw_scores(model, folder, "test"), raw_scores(model, folder, "abnormal")
        assert abnormal.median() > normal.median()
        assert abnormal.std() > 0
        assert all(np.isfinite(value) for epoch in metrics.epochs for value in epoch.values())
        # The steps are few and small, so single epochs differ by chance.
        first, last = ({name: np.mean([epoch[name] for epoch in part]) for name in part[0]} for part in metrics.parts())
        assert last["pixel_loss"] < first["pixel_loss"]
        # Real and reconstructed patches are never told apart perfectly, or the reconstructor would learn nothing of it.
        assert last["discriminator_accuracy"] < 1


def test_a_training_resumed_at_an_epochs_end_comes_to_the_same_numbers(folder: Path, tmp_path: Path) -> None:  # noqa: F811
    seed_everything(3, verbose=False)
    keep = ModelCheckpoint(dirpath=tmp_path, filename="{epoch}", every_n_epochs=2, save_top_k=-1)
    whole = train(tmp_path, folder, epochs=4, callbacks=[keep])
    seed_everything(99, verbose=False)
    resumed = PatchGan(**SMALL, **PLAIN)
    engine = Engine(default_root_dir=tmp_path, max_epochs=4, **QUIET)
    engine.fit(resumed, datamodule=datamodule(folder), ckpt_path=tmp_path / "epoch=1.ckpt")
    for (name, first), second in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(first, second), name


@pytest.mark.parametrize("images", [1, 2, 3, 4])
def test_every_batch_shows_the_adversaries_and_the_ranker_both_kinds_of_images(images: int, monkeypatch) -> None:
    model = PatchGan(**SMALL, **PLAIN)
    model.log_dict = lambda *_, **__: None
    kinds = []
    real = model.model.batch_importance
    monkeypatch.setattr(
        model.model, "batch_importance", lambda image, intact: kinds.append(intact[::2]) or real(image, intact)
    )
    model.training_step(ImageBatch(image=torch.rand(images, 3, 32, 32)))
    assert set(kinds[0].tolist()) == {False, True}


@pytest.mark.parametrize("corrupted_fakes", [True, False])
@pytest.mark.parametrize("fooled_by", ["reconstructed", "corrupted", "nothing"])
def test_the_accuracy_of_the_discriminator_is_that_on_its_own_fakes(
    corrupted_fakes: bool, fooled_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = PatchGan(**SMALL, **PLAIN, corrupted_fakes=corrupted_fakes, whole_image_share=1.0)
    logged: dict[str, float] = {}
    model.log_dict = lambda values, **_: logged.update({name: float(value) for name, value in values.items()})

    def judge(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = torch.ones(len(image), 1, 4, 4)
        if len(image) == 12:  # real, reconstructed and corrupted ones of a batch's every other image
            for part, name in ((logits[4:8], "reconstructed"), (logits[8:], "corrupted")):
                part.fill_(1.0 if name == fooled_by else -1.0)
        return logits, torch.zeros(len(image), 32, 4, 4)

    monkeypatch.setattr(model.model.discriminator, "forward", judge)
    model.training_step(ImageBatch(image=0.2 + 0.6 * torch.rand(8, 3, 32, 32)))
    fooled = fooled_by == "reconstructed" or (fooled_by == "corrupted" and corrupted_fakes)
    assert (logged["discriminator_accuracy"] < 1) == fooled
    assert logged["discriminator_accuracy"] >= 0.5


def test_batches_that_are_accumulated_are_drawn_differently(folder: Path, tmp_path: Path) -> None:  # noqa: F811
    class Keeping(PatchGan):
        def training_step(self, *args: object, **kwargs: object) -> object:
            seeds.append(torch.initial_seed())
            return super().training_step(*args, **kwargs)

    seeds: list[int] = []
    engine = Engine(default_root_dir=tmp_path, max_epochs=2, accumulate_grad_batches=2, **QUIET)
    engine.fit(Keeping(**SMALL, **PLAIN), datamodule=datamodule(folder))
    assert len(set(seeds)) == len(seeds) > engine.trainer.global_step


@pytest.mark.parametrize("images", [1, 2, 3, 4])
def test_the_last_batch_of_an_epoch_may_be_small(images: int) -> None:
    model = PatchGan(**SMALL, **PLAIN)
    model.log_dict = lambda *_, **__: None
    loss = model.training_step(ImageBatch(image=torch.rand(images, 3, 32, 32)))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(buffer).all() for buffer in model.model.buffers())


def test_three_modalities_are_three_channels_and_a_grey_image_is_computed_once() -> None:
    grey, colour = (PatchGan(**SMALL, **PLAIN, channels=channels).model for channels in (1, 3))
    image = torch.rand(2, 3, 32, 32)
    assert grey.to_channels(image).shape == (2, 1, 32, 32)
    assert colour.to_channels(image) is image
    for model in (grey.eval(), colour.eval()):
        model.fit_novelty([image])
        output = model(image)
        assert output.pred_score.shape == (2,)
        assert output.anomaly_map.shape == (2, 1, 32, 32)


def test_training_ends_by_itself_after_its_steps(folder: Path, tmp_path: Path) -> None:  # noqa: F811
    model = PatchGan(**SMALL, **PLAIN, training_steps=4)
    engine = Engine(default_root_dir=tmp_path, max_epochs=50, **QUIET)
    engine.fit(model, datamodule=datamodule(folder))
    assert engine.trainer.global_step == 4


def test_a_training_resumed_after_its_last_step_leaves_the_model_as_it_was(folder: Path, tmp_path: Path) -> None:  # noqa: F811
    whole = train(tmp_path, folder, epochs=2, training_steps=4)
    (finished,) = tmp_path.rglob("*.ckpt")
    resumed = PatchGan(**SMALL, **PLAIN, training_steps=4)
    engine = Engine(default_root_dir=tmp_path, max_epochs=50, **QUIET)
    engine.fit(resumed, datamodule=datamodule(folder), ckpt_path=finished)
    assert engine.trainer.global_step == 4
    for (name, first), second in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(first, second), name


def test_only_a_training_that_is_resumed_goes_on_with_the_random_draws_of_its_checkpoint(
    folder: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    seed_everything(3, verbose=False)
    train(tmp_path, folder, epochs=1)
    (path,) = tmp_path.rglob("*.ckpt")
    torch.manual_seed(5)
    model = PatchGan.load_from_checkpoint(path)
    Engine(default_root_dir=tmp_path, **QUIET).predict(model, data_path=folder / "test", ckpt_path=path)
    assert torch.initial_seed() == 5
    # Trained on from there, it draws by the seed of today.
    seeds = []
    for seed in (5, 6):
        again = PatchGan.load_from_checkpoint(path)
        torch.manual_seed(seed)
        Engine(default_root_dir=tmp_path, max_epochs=1, **QUIET).fit(again, datamodule=datamodule(folder))
        seeds.append(torch.initial_seed())
    assert seeds[0] != seeds[1]


def test_training_leaves_what_perceives_as_it_came(folder: Path, tmp_path: Path) -> None:  # noqa: F811
    model = train(tmp_path, folder, epochs=1, perceptual=True)
    found, expected = model.model.perception.state_dict(), Perception(8).state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_loss_reaches_only_the_network_it_belongs_to() -> None:
    model = PatchGan(**SMALL, **PLAIN)
    image = ImageBatch(image=torch.rand(4, 3, 32, 32)).image
    patches, pixels = torch.ones(4, 1, 4, 4), torch.ones(4, 1, 32, 32)
    loss, _ = model._generator_loss(image, model.model.reconstructor(image, pixels), patches)
    loss.backward()
    assert all(parameter.grad is None for parameter in model.model.discriminator.parameters())
    model.zero_grad()
    intact = torch.tensor([True, True, False, False])
    share = (~intact).float().view(4, 1, 1, 1).expand(4, 1, 4, 4)
    model._ranking_loss(image, intact, share, pixels * share[:, :, :1, :1])[0].backward()
    assert all(parameter.grad is None for parameter in model.model.reconstructor.parameters())
    assert all(parameter.grad is None for parameter in model.model.discriminator.parameters())
    assert any(parameter.grad is not None for parameter in model.model.ranker.parameters())
