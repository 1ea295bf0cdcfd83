# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""An *oracle*: how well a network trained with the masks of other phantoms finds the lesions of a data set.

    anomalib-patchgan phantoms brats2019 --root work/labelled --subjects 150 --seed 911 --spacing 1.5 \
        --healthy_twins true
    anomalib-patchgan benchmark benchmarks/phantoms.yaml --dry-run    # says where the phantoms of the suite lie
    python benchmarks/performance/supervised_ceiling.py work/labelled datasets/phantoms/brain_medium --size 64

Unsupervised models never see a lesion, so this is no comparator and stands in no table of results. It tells what is
left to be gained on a data set: where a network that was shown lesions of the same generator with their masks is
hardly better than Patch-GAN, the lesions hardly show; where it is far better, the corruptions are not like them.

The network is the patch scorer's, on the same images moved and lit in the same way; what differs is that its target is
the mask in place of the corruption. It is trained on the test images of the first root and judged on those of the
second, at the last step of a fixed number.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from pathlib import Path

import torch
from lightning import seed_everything
from measuring import publish
from sklearn.metrics import average_precision_score, roc_auc_score
from torch.nn import functional

from anomalib_patchgan.benchmark.classes import Blueprint
from anomalib_patchgan.benchmark.suite import read_suite
from anomalib_patchgan.models import PatchScorer
from anomalib_patchgan.models.components.variation import move, relight
from anomalib_patchgan.models.patch_scorer.torch_model import PATCH

_SUITE = Path(__file__).parents[1] / "phantoms.yaml"
_BATCH, _LEARNING_RATE = 32, 2e-3


def main() -> None:
    """Train with labels, judge, and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labelled", type=Path, help="Phantoms to train on, of another seed than those to judge")
    parser.add_argument("judged", type=Path, help="Phantoms to judge")
    parser.add_argument("--data", default="brain_medium", help="Name of a data set of the suite")
    parser.add_argument("--size", type=int, nargs="+", default=[64], help="Sides in pixels, a training for each")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="Markdown file to write the table to")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    rows, count, abnormal = [], 0, 0
    for size in options.size:
        seen, masks, labels = read(options.data, options.labelled, size)
        count, abnormal = len(seen), int(labels.sum())
        images, truth, judged = read(options.data, options.judged, size)
        logits = torch.cat(train(seen, masks, size, options.steps, options.seed, images))
        pixels = functional.interpolate(logits, scale_factor=float(PATCH), mode="bilinear")
        ranked = logits.flatten(1).sort(dim=1, descending=True).values
        top = max(1, ranked.shape[1] // 50)
        scores = {"highest": ranked[:, 0], "top 2 %": ranked[:, :top].mean(dim=1), "mean": ranked.mean(dim=1)}
        aurocs = [f"{roc_auc_score(judged, score):.3f}" for score in scores.values()]
        area = average_precision_score(truth.flatten().numpy() > 0, pixels.flatten().numpy())
        rows.append([f"{size} x {size}", *aurocs, f"{area:.3f}"])
    publish(
        "Oracle: trained with masks",
        ["images", *(f"image AUROC, {name}" for name in ("highest", "top 2 %", "mean")), "pixel AP"],
        rows,
        f"{options.data}, trained for {options.steps} steps on {count} images, {abnormal} "
        f"of them abnormal, of {options.labelled.name}, seed "
        f"{options.seed}.",
        options.out,
    )


def read(name: str, root: Path, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Test images [N, C, size, size] in [0, 1], masks [N, 1, size, size] in {0, 1} and labels [N] in {0, 1}."""
    data_set = read_suite(_SUITE).data[name]
    data = Blueprint(data_set.class_path, data_set.init_args | {"root": root}, name).build()
    data.prepare_data()
    data.setup()
    images, masks, labels = [], [], []
    for batch in data.test_dataloader():
        images.append(functional.interpolate(batch.image, (size, size), mode="bilinear", antialias=True))
        masks.append(functional.interpolate(batch.gt_mask.float().view(-1, 1, *batch.gt_mask.shape[-2:]), (size, size)))
        labels.append(batch.gt_label.float())
    image = torch.cat(images)
    grey = bool((image[:, :1] == image[:, 1:]).all())
    return image[:, :1] if grey else image, torch.cat(masks), torch.cat(labels)


def train(
    images: torch.Tensor, masks: torch.Tensor, size: int, steps: int, seed: int, judged: torch.Tensor
) -> list[torch.Tensor]:
    """Train on images with masks and return the logits [N, 1, size / 4, size / 4] of the judged ones, in parts."""
    seed_everything(seed, verbose=False)
    network = PatchScorer(image_size=size, channels=images.shape[1]).model.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    for _ in range(steps):
        index = torch.randint(len(images), (_BATCH,))
        moved = move(torch.cat([images[index], masks[index]], dim=1), 1.0)
        share = functional.avg_pool2d(moved[:, -1:], PATCH)
        loss = functional.binary_cross_entropy_with_logits(network.logits(relight(moved[:, :-1], 1.0)), share)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    network.eval()
    with torch.no_grad():
        return [network.logits(part) for part in judged.split(64)]


if __name__ == "__main__":
    main()
