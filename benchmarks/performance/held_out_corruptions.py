# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Measures without a label how well Patch-GAN finds a kind of corruption that its training never showed it.

    anomalib-patchgan phantoms brats2019 --root work/brains --subjects 80 --seed 901 --spacing 1.5 --level medium
    python benchmarks/performance/held_out_corruptions.py work/brains --arguments '{"whole_image_share": 0.35}'

With `--data skin_constancy` and phantoms of ISIC 2016 it does the same for patches of skin, and for slices with
`--data brain_medium --arguments '{"image_size": 64}' --epochs 66` (2,000 steps of those subjects).

For each kind the Patch-GAN of benchmarks/phantoms.yaml is trained on normal images with the other kinds. Then normal
images of calibration subjects stand against themselves, corrupted by the held-out kind alone: over the whole image,
or in a small region of it. A number is the image AUROC of a ranking, or the pixel AP of the map against the pixels that
changed visibly. Kinds that were trained on say little: what tells them is the artificial look of the corruption as
much as the departure from normal.

**A kind that was left out shares that look as well**: most kinds are drawn with the same smooth noise, and a network
that is better at seeing it looks as if it had learned what normal is (docs/development.md tells of a choice that failed
so). So every network, also one from whose training nothing was left out (`nothing`), is measured on alterations without
that look: a shift that is the same at all pixels of the region, as half of the shifts of training are; and what no code
of the corruptions draws, a shift that rises across the image, a change of contrast around the image's mean, another
gamma, and the image's own tone with the detail of another image.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anomalib.engine import Engine
from lightning import seed_everything
from measuring import publish
from phantoms_suite import build_data, model_arguments
from sklearn.metrics import average_precision_score, roc_auc_score
from torch.nn import functional

from anomalib_patchgan.models import PatchGan
from anomalib_patchgan.models.components import corruption
from anomalib_patchgan.models.patchgan.components.ranker import RANKINGS
from anomalib_patchgan.models.patchgan.torch_model import PatchGanModel

# The model is this row of benchmarks/phantoms.yaml.
_ROW = "Patch-GAN"
# Share of whole-image corruptions by which extent, and draws of each.
EXTENTS, _DRAWS = {"whole image": 1.0, "small region": 0.0}, 3
# By which a change of contrast multiplies what differs from the image's mean, one or the other.
_CONTRASTS = (0.4, 2.5)
# Exponents of a change of gamma, one or the other.
_GAMMAS = (0.6, 1.7)
# In place of a kind: leave none out of training, and measure all of them.
_NOTHING = "nothing"
# A corruption of a whole image counts where it changed at least this share of the pixels visibly.
_COVERED = 0.5
# Beside the model's rankings: the map without any importance of patches.
_RULES = RANKINGS | {"mean of the map": lambda *patches: patches[-1].mean(dim=1)}
_MAP = "pixel AP of the map"


# Each maps images [N, C, H, W] in [0, 1] to altered ones, which are then shown in a region of the foreground.


def flat_shift(image: torch.Tensor) -> torch.Tensor:
    """Brighten or darken evenly, or tint where there is colour."""
    tint = corruption.grey_safe_noise(image, image.shape[1])
    tinted = (corruption.coin(len(image), image.device) > 0) & (tint != 0).any(dim=1, keepdim=True)
    return image + corruption.draw_shift(len(image), image.device) * torch.where(tinted, tint, torch.ones_like(tint))


def rising_shift(image: torch.Tensor) -> torch.Tensor:
    """Brighten or darken, more to one side than to the other."""
    angle = 2 * torch.pi * torch.rand(len(image), 1, 1, 1)
    down, across = (torch.linspace(-1, 1, size) for size in image.shape[2:])
    amount = corruption.draw_shift(len(image), image.device)
    return image + amount * (1 + 0.6 * (angle.sin() * down.view(-1, 1) + angle.cos() * across))


def contrast(image: torch.Tensor) -> torch.Tensor:
    """Stretch or flatten what differs from the foreground's mean."""
    foreground = corruption.foreground_of(image)
    mean = (image * foreground).mean(dim=(2, 3), keepdim=True) / foreground.mean(dim=(2, 3), keepdim=True)
    return image + (one_of(_CONTRASTS, len(image)) - 1) * (image - mean)


def gamma(image: torch.Tensor) -> torch.Tensor:
    """Darken or brighten the middle of the range."""
    return image ** one_of(_GAMMAS, len(image))


def other_detail(image: torch.Tensor) -> torch.Tensor:
    """A tone of the image's own, with what another image has beside its own local mean."""
    tone = corruption.draw_tone(image)
    height, width = image.shape[2:]
    other = torch.roll(image[torch.randperm(len(image))], (height // 3, width // 4), dims=(2, 3))
    local = functional.avg_pool2d(other, 9, stride=1, padding=4, count_include_pad=False)
    return tone + other - local


def one_of(values: tuple[float, ...], count: int) -> torch.Tensor:
    """Draw [count, 1, 1, 1] of these values, all as likely."""
    return torch.tensor(values)[torch.randint(len(values), (count, 1, 1, 1))]


def in_a_region(
    alter: Callable[[torch.Tensor], torch.Tensor], image: torch.Tensor, whole_share: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Alter a region of each image; returns what :func:`corruption.corrupt` does."""
    region = corruption.draw_regions(image, whole_share).opacity
    result = (image + region * (alter(image) - image)).clamp(0, 1)
    return result, corruption.visibly_changed(image, result)


_HELD_OUT = "what was held out, or all kinds"
PLAIN = {
    "flat shift": flat_shift,
    "rising shift": rising_shift,
    "contrast": contrast,
    "gamma": gamma,
    "detail of another image": other_detail,
}


def main() -> None:
    """Train once for each held-out kind, and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="Phantoms, or the collection itself; labels are not used")
    parser.add_argument("--data", default="brain_patches", help="Name of a data set of the suite")
    parser.add_argument(
        "--kinds", nargs="+", default=["intensity", "fill"], choices=[_NOTHING, *sorted(corruption.CORRUPTIONS)]
    )
    parser.add_argument("--arguments", type=json.loads, default={}, help="Arguments of Patch-GAN to change, as JSON")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="Markdown file to write the table to")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    found = {
        kind: held_out(options.data, options.root, kind, options.arguments, options.epochs, options.seed)
        for kind in options.kinds
    }
    rows = [
        [shown, extent, ranking, *(f"{found[kind][shown, extent, ranking]:.3f}" for kind in options.kinds)]
        for shown in (_HELD_OUT, *PLAIN)
        for extent in EXTENTS
        for ranking in (*_RULES, _MAP)
    ]
    publish(
        "Kinds of corruption that were held out of training",
        ["shown", "extent", "ranking", *(f"without {kind}" for kind in options.kinds)],
        rows,
        f"{options.data} of {options.root.name}, {options.epochs} epochs, seed {options.seed}, "
        f"changed arguments {options.arguments}.",
        options.out,
    )


def train(
    name: str, root: Path, arguments: dict[str, Any], epochs: int, seed: int
) -> tuple[PatchGanModel, torch.Tensor]:
    """Train Patch-GAN on a data set; returns its network and the normal images [N, 3, H, W] of calibration subjects."""
    seed_everything(seed, verbose=False)
    model = PatchGan(**model_arguments(_ROW, name) | arguments, evaluator=False, visualizer=False)
    data = build_data(name, root)
    with tempfile.TemporaryDirectory() as folder:
        Engine(
            max_epochs=epochs,
            check_val_every_n_epoch=epochs,
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        ).fit(model, datamodule=data)
    normal = torch.cat([model.pre_processor(batch.image) for batch in data.val_dataloader()])
    return model.model.eval(), normal


def held_out(
    name: str, root: Path, kind: str, arguments: dict[str, Any], epochs: int, seed: int
) -> dict[tuple[str, str, str], float]:
    """Train without a kind of corruption, and measure it and what is plain: AUROC by extent and ranking, pixel AP."""
    chances = dict(corruption.CHANCES)
    if kind != _NOTHING:
        corruption.CHANCES[kind] = 0.0
    network, normal = train(name, root, arguments, epochs, seed)
    if kind != _NOTHING:
        corruption.CHANCES.update({name: float(name == kind) for name in chances})
    # One pass for all rankings: they differ in nothing but how patches are summed up.
    network.rank = lambda *patches: torch.stack([rule(*patches) for rule in _RULES.values()], dim=1)
    intact, intact_maps = scored(network, normal)
    found = {}
    plain = {name: partial(in_a_region, alter) for name, alter in PLAIN.items()}
    for shown, corrupt in {_HELD_OUT: corruption.corrupt, **plain}.items():
        for extent, share in EXTENTS.items():
            torch.manual_seed(seed)
            draws = [corrupt(normal, share) for _ in range(_DRAWS)]
            scores, maps = zip(*(scored(network, image) for image, _ in draws), strict=True)
            changes = [changed for _, changed in draws]
            for column, ranking in enumerate(_RULES):
                aurocs = [
                    auroc(intact[:, column], drawn[:, column], changed, share)
                    for drawn, changed in zip(scores, changes, strict=True)
                ]
                found[shown, extent, ranking] = float(np.mean(aurocs))
            found[shown, extent, _MAP] = pixel_ap(intact_maps, maps[0], changes[0])
    corruption.CHANCES.update(chances)
    return found


@torch.no_grad()
def scored(network: torch.nn.Module, images: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Raw image scores [N, rankings] and maps [N, 1, H, W] of images [N, 3, H, W]."""
    parts = [network(batch) for batch in images.split(64)]
    image_scores = torch.cat([part.pred_score for part in parts])
    maps = torch.cat([part.anomaly_map for part in parts])
    return image_scores.numpy(), maps.numpy()


def pixel_ap(intact: np.ndarray, altered: np.ndarray, changed: torch.Tensor) -> float:
    """Pixel AP of the maps of intact and altered images, all [N, 1, H, W], against what the alteration changed."""
    target = torch.cat([torch.zeros_like(changed), changed]).numpy() > 0
    return float(average_precision_score(target.ravel(), np.concatenate([intact, altered]).ravel()))


def auroc(intact: np.ndarray, corrupted: np.ndarray, changed: torch.Tensor, share: float) -> float:
    """AUROC of corrupted against intact images; corruptions that hardly changed anything do not count."""
    covered = changed.flatten(1).mean(dim=1).numpy()
    counted = corrupted[covered >= _COVERED if share else covered > 0]
    return float(roc_auc_score([0] * len(intact) + [1] * len(counted), [*intact, *counted]))


if __name__ == "__main__":
    main()
