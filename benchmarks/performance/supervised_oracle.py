# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""An *oracle*: how well a network trained with the masks of other phantoms finds the lesions of a data set.

    anomalib-patchgan phantoms brats2019 --root work/labelled --subjects 150 --seed 911 --spacing 1.5 \
        --healthy_twins true
    python benchmarks/performance/supervised_oracle.py work/labelled datasets/phantoms/brain_medium --size 64

The second root is the phantoms of a suite that has run (`anomalib-patchgan benchmark` leaves them below `datasets/`).

Unsupervised models never see a lesion, so this is no comparator and stands in no table of results. Where it is far
better than Patch-GAN, the lesions show and Patch-GAN's corruptions are not like them. Where it is no better, that says
little: it sees as many lesions as there are labelled subjects, and corruptions are without end.

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
from phantoms_suite import build_data, model_arguments
from sklearn.metrics import average_precision_score, roc_auc_score
from torch.nn import functional

from anomalib_patchgan.models import PatchScorer
from anomalib_patchgan.models.components.variation import move, relight
from anomalib_patchgan.models.patch_scorer.torch_model import PATCH, PatchScorerModel

# Arguments of the network are those of this row of benchmarks/phantoms.yaml.
_ROW = "Patch scorer"
_BATCH, _WEIGHT_DECAY = 32, 1e-2


def main() -> None:
    """Train with labels, judge, and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labelled", type=Path, help="Phantoms to train on, of another seed than those to judge")
    parser.add_argument("judged", type=Path, help="Phantoms to judge")
    parser.add_argument("--data", default="brain_medium", help="Name of a data set of the suite")
    parser.add_argument("--size", type=int, default=64, help="Side in pixels that images are read at")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="Markdown file to write the table to")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    images, masks, labels = read(options.data, options.labelled, options.size)
    network = train(images, masks, options.data, options.steps, options.seed)
    judged, truth, abnormal = read(options.data, options.judged, options.size)
    with torch.no_grad():
        logits = torch.cat([network.logits(part) for part in judged.split(64)])
    pixels = functional.interpolate(logits, scale_factor=float(PATCH), mode="bilinear")
    highest = logits.flatten(1).topk(network.top, dim=1).values
    scores = {"highest patches": highest.mean(dim=1), "all patches": logits.mean(dim=(1, 2, 3))}
    publish(
        "Oracle: trained with masks",
        [*(f"image AUROC, mean of the {name}" for name in scores), "pixel AP"],
        [
            [
                *(f"{roc_auc_score(abnormal, score):.3f}" for score in scores.values()),
                f"{average_precision_score(truth.flatten().numpy() > 0, pixels.flatten().numpy()):.3f}",
            ]
        ],
        f"{options.data} at {options.size} x {options.size}, trained for {options.steps} steps on {len(images)} "
        f"images, {int(labels.sum())} of them abnormal, of {options.labelled.name}, seed {options.seed}.",
        options.out,
    )


def read(name: str, root: Path, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Test images [N, C, size, size] in [0, 1], masks [N, 1, size, size] in {0, 1} and labels [N] in {0, 1}."""
    data = build_data(name, root)
    data.setup()
    images, masks, labels = [], [], []
    for batch in data.test_dataloader():
        images.append(functional.interpolate(batch.image, (size, size), mode="bilinear", antialias=True))
        masks.append(functional.interpolate(batch.gt_mask.float().unsqueeze(1), (size, size)))
        labels.append(batch.gt_label.float())
    image = torch.cat(images)
    grey = bool((image[:, :1] == image[:, 1:]).all())
    return image[:, :1] if grey else image, torch.cat(masks), torch.cat(labels)


def train(images: torch.Tensor, masks: torch.Tensor, name: str, steps: int, seed: int) -> PatchScorerModel:
    """Train the patch scorer's network on images with masks."""
    seed_everything(seed, verbose=False)
    scorer = PatchScorer(**model_arguments(_ROW, name) | {"image_size": images.shape[-1], "channels": images.shape[1]})
    network = scorer.model.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=scorer.learning_rate, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    for _ in range(steps):
        index = torch.randint(len(images), (_BATCH,))
        moved = move(torch.cat([images[index], masks[index]], dim=1), scorer.movement)
        share = functional.avg_pool2d(moved[:, -1:], PATCH)
        seen = relight(moved[:, :-1], scorer.lighting)
        loss = functional.binary_cross_entropy_with_logits(network.logits(seen), share)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


if __name__ == "__main__":
    main()
