# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Measures without a label what each factor of Patch-GAN's map is worth, and what patches' importance would add.

    anomalib-patchgan phantoms isic2016 --root work/skin --seed 4242 --train_images 300 --test_images 100 \
        --height 384 --width 512
    python benchmarks/performance/map_factors.py work/skin --data skin_constancy --epochs 40

The Patch-GAN of benchmarks/phantoms.yaml is trained once on normal images. Then its map is put together in several
ways, and each is held against the pixels that an alteration changed visibly in normal images of calibration subjects: a
number is the pixel AP over all of them, intact and altered, as a mean over the plain alterations of
held_out_corruptions.py. All maps are those of one network, so they differ in nothing but how they are put together; a
network that is trained for another map is another question.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from held_out_corruptions import EXTENTS, PLAIN, in_a_region, pixel_ap, train
from measuring import publish
from torch.nn import functional

from anomalib_patchgan.models.patchgan.torch_model import PatchGanModel


def main() -> None:
    """Train, put the maps together, and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="Phantoms, or the collection itself; labels are not used")
    parser.add_argument("--data", default="skin_constancy", help="Name of a data set of the suite")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="Markdown file to write the table to")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    network, normal = train(options.data, options.root, {}, options.epochs, options.seed)
    intact = maps_of(network, normal)
    found: dict[tuple[str, str], list[float]] = {}
    for alter in PLAIN.values():
        for extent, share in EXTENTS.items():
            torch.manual_seed(options.seed)
            altered, changed = in_a_region(alter, normal, share)
            for name, maps in maps_of(network, altered).items():
                found.setdefault((name, extent), []).append(pixel_ap(intact[name], maps, changed))
    publish(
        "Pixel AP by what the map is made of",
        ["map", *EXTENTS],
        [[name, *(f"{np.mean(found[name, extent]):.3f}" for extent in EXTENTS)] for name in intact],
        f"{options.data} of {options.root.name}, {options.epochs} epochs, seed {options.seed}; r, pixels and s are the "
        "importance of the patches, of the pixels, and the patches' scores.",
        options.out,
    )


@torch.no_grad()
def maps_of(network: PatchGanModel, images: torch.Tensor) -> dict[str, np.ndarray]:
    """Each map [N, 1, H, W] of images [N, 3, H, W], by the formula it is made of."""
    parts = []
    for batch in images.split(64):
        image = network.to_channels(batch)
        observation = network.observe(image)
        evidence = network.evidence_of(observation)
        scores = network.patch_scores(network.compare(network.evidence_novelty, evidence))
        discrepancy = image - observation.reconstruction
        patches, pixels = network.ranker(network.rankable(observation, evidence), image, discrepancy)
        # A map with all pixels at importance 1 is what has become of the patches alone.
        certain = torch.full_like(pixels, torch.inf)
        importance = functional.softplus(network.to_map(patches - network.importance_offset, certain))
        today = network.to_map(scores, pixels)
        parts.append(
            {
                "sigmoid(pixels) s, today's": today,
                "sigmoid(pixels)": torch.sigmoid(pixels),
                "s": network.to_map(scores, certain),
                "softplus(r) sigmoid(pixels) s": importance * today,
                "softplus(r)^0.5 sigmoid(pixels) s": importance.sqrt() * today,
            }
        )
    return {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}


if __name__ == "__main__":
    main()
