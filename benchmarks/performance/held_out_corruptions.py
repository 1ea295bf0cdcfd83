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
that is better at seeing it looks as if it had learned what normal is (docs/results.md tells of a choice that failed
so). So every network is also measured on two plain alterations that have no texture of their own and that no training
shows: a shift that is the same at all pixels of the region, and a change of contrast around the image's mean.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anomalib.engine import Engine
from lightning import seed_everything
from measuring import publish
from sklearn.metrics import average_precision_score, roc_auc_score

from anomalib_patchgan.benchmark.classes import Blueprint
from anomalib_patchgan.benchmark.suite import read_suite
from anomalib_patchgan.models import PatchGan
from anomalib_patchgan.models.components import corruption
from anomalib_patchgan.models.patchgan.components.ranker import RANKINGS, learned

# Data and model are those of this row.
_SUITE, _ROW = Path(__file__).parents[1] / "phantoms.yaml", "Patch-GAN"
# Share of whole-image corruptions by which extent, and draws of each.
_EXTENTS, _DRAWS = {"whole image": 1.0, "small region": 0.0}, 3
# By which a change of contrast multiplies what differs from the image's mean, one or the other.
_CONTRASTS = (0.4, 2.5)
# A corruption of a whole image counts where it changed at least this share of the pixels visibly.
_COVERED = 0.5
# Beside the model's rankings: the map without any importance of patches, and the ranked part of ``learned``.
_RULES = RANKINGS | {
    "mean of the map": lambda *patches: patches[-1].mean(dim=1),
    "learned, ranked part": lambda scores, *patches: learned(torch.zeros_like(scores), *patches),
}
_MAP = "pixel AP of the map"


def flat_shift(image: torch.Tensor, whole_share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Brighten or darken a region evenly, or tint it where there is colour; as :func:`corruption.corrupt` otherwise."""
    region = corruption.draw_regions(image, whole_share).opacity
    sign = 1 - 2 * torch.randint(2, (len(image), 1, 1, 1))
    tint = corruption.grey_safe_noise(image, image.shape[1])
    tinted = (torch.rand(len(image), 1, 1, 1) < 0.5) & (tint != 0).any(dim=1, keepdim=True)
    amount = sign * corruption.log_uniform(len(image), 0.04, 0.5, image.device)
    result = (image + region * amount * torch.where(tinted, tint, torch.ones_like(tint))).clamp(0, 1)
    return result, corruption.visibly_changed(image, result)


def contrast(image: torch.Tensor, whole_share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Stretch or flatten what differs from the foreground's mean; as :func:`corruption.corrupt` otherwise."""
    region = corruption.draw_regions(image, whole_share).opacity
    foreground = (image.amax(dim=1, keepdim=True) > 0).float()
    mean = (image * foreground).mean(dim=(2, 3), keepdim=True) / foreground.mean(dim=(2, 3), keepdim=True)
    factor = torch.tensor(_CONTRASTS)[torch.randint(len(_CONTRASTS), (len(image), 1, 1, 1))]
    result = (image + region * (factor - 1) * (image - mean)).clamp(0, 1)
    return result, corruption.visibly_changed(image, result)


_HELD_OUT = "what was held out"
_PLAIN = {"flat shift": flat_shift, "contrast": contrast}


def main() -> None:
    """Train once for each held-out kind, and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="Phantoms, or the collection itself; labels are not used")
    parser.add_argument("--data", default="brain_patches", help="Name of a data set of the suite")
    parser.add_argument("--kinds", nargs="+", default=["intensity", "fill"], choices=sorted(corruption.CORRUPTIONS))
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
        for shown in (_HELD_OUT, *_PLAIN)
        for extent in _EXTENTS
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


def held_out(
    name: str, root: Path, kind: str, arguments: dict[str, Any], epochs: int, seed: int
) -> dict[tuple[str, str, str], float]:
    """Train without a kind of corruption, and measure it and what is plain: AUROC by extent and ranking, pixel AP."""
    chances = dict(corruption.CHANCES)
    corruption.CHANCES[kind] = 0.0
    seed_everything(seed, verbose=False)
    suite = read_suite(_SUITE)
    settings = suite.models[_ROW].arguments_for(name) | arguments
    model = PatchGan(**settings, evaluator=False, visualizer=False)
    data = Blueprint(suite.data[name].class_path, suite.data[name].init_args | {"root": root}, name).build()
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
    corruption.CHANCES.update({name: float(name == kind) for name in chances})
    network = model.model.eval()
    normal = torch.cat([model.pre_processor(batch.image) for batch in data.val_dataloader()])
    # One pass for all rankings: they differ in nothing but how patches are summed up.
    network.rank = lambda *patches: torch.stack([rule(*patches) for rule in _RULES.values()], dim=1)
    intact, intact_maps = scored(network, normal)
    found = {}
    for shown, corrupt in {_HELD_OUT: corruption.corrupt, **_PLAIN}.items():
        for extent, share in _EXTENTS.items():
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
            target = torch.cat([torch.zeros_like(changes[0]), changes[0]]).numpy() > 0
            both = np.concatenate([intact_maps, maps[0]])
            found[shown, extent, _MAP] = float(average_precision_score(target.ravel(), both.ravel()))
    corruption.CHANCES.update(chances)
    return found


@torch.no_grad()
def scored(network: torch.nn.Module, images: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Raw image scores [N, rankings] and maps [N, 1, H, W] of images [N, 3, H, W]."""
    parts = [network(batch) for batch in images.split(64)]
    image_scores = torch.cat([part.pred_score for part in parts])
    maps = torch.cat([part.anomaly_map for part in parts])
    return image_scores.numpy(), maps.numpy()


def auroc(intact: np.ndarray, corrupted: np.ndarray, changed: torch.Tensor, share: float) -> float:
    """AUROC of corrupted against intact images; corruptions that hardly changed anything do not count."""
    covered = changed.flatten(1).mean(dim=1).numpy()
    counted = corrupted[covered >= _COVERED if share else covered > 0]
    return float(roc_auc_score([0] * len(intact) + [1] * len(counted), [*intact, *counted]))


if __name__ == "__main__":
    main()
