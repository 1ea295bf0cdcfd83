# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Times 2,000 bootstrap draws over subjects, and compares a draw with one by scikit-learn.

scikit-learn is given the weights of a draw and sorts the samples anew for each, so it is timed on a few draws and
counted by the draw.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from measuring import interleaved, publish, ratios
from sklearn.metrics import average_precision_score, roc_auc_score

from anomalib_patchgan.evaluation import (
    DRAWS,
    auroc_draws,
    average_precision_draws,
    draw_subjects,
    rank_maps,
    subject_histograms,
)

_FEW = 20


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--subjects", type=int, default=500)
    parser.add_argument("--images", type=int, default=400, help="maps of 128 x 128 pixels, for the pixels' part")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="Markdown file to write the table to")
    options = parser.parse_args()
    rows = [
        images_row(options.samples, options.subjects, options.rounds),
        images_row(options.samples, options.samples, options.rounds),
        pixels_row(options.images, options.rounds),
    ]
    publish(
        f"{DRAWS:,} draws of subjects: seconds, and how many times faster than scikit-learn a draw is",
        ["statistic", "median seconds", "times faster: median", "least", "most"],
        rows,
        f"{options.rounds} interleaved rounds; scikit-learn on {_FEW} draws of images and on one of pixels.",
        options.out,
    )


def images_row(samples: int, subjects: int, rounds: int) -> list[str]:
    """Image AUROC."""
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, samples)
    scores = generator.normal(labels, 1.0)
    draws = draw_subjects(generator.permutation(np.arange(samples) % subjects).astype(str).tolist())

    def by_scikit_learn() -> None:
        for counts in draws.counts[:_FEW]:
            roc_auc_score(labels, scores, sample_weight=counts[draws.subject_of_sample])

    ours, theirs = interleaved(rounds, lambda: auroc_draws(labels, scores, draws), by_scikit_learn)
    return row(f"image AUROC, {samples:,} samples of {subjects:,} subjects", ours.seconds, theirs.seconds, _FEW)


def pixels_row(images: int, rounds: int) -> list[str]:
    """Average precision over pixels, with the histograms that it is made from."""
    generator = np.random.default_rng(2)
    masks = generator.random((images, 128, 128)) < 0.02
    maps = generator.normal(masks, 1.0).astype(np.float16)
    draws = draw_subjects([str(index // 4) for index in range(images)])
    flat, lesion = maps.astype(np.float32).ravel(), masks.ravel()

    def by_us() -> None:
        average_precision_draws(*subject_histograms(rank_maps(maps), masks, draws.subject_of_sample), draws)

    def by_scikit_learn() -> None:
        weights = draws.counts[0, draws.subject_of_sample].repeat(128 * 128)
        average_precision_score(lesion, flat, sample_weight=weights)

    ours, theirs = interleaved(rounds, by_us, by_scikit_learn)
    return row(f"pixel AP, {images:,} maps of 128 x 128, {draws.subjects:,} subjects", ours.seconds, theirs.seconds, 1)


def row(name: str, ours: list[float], theirs: list[float], draws: int) -> list[str]:
    """One line of the table."""
    least, median, most = ratios([seconds / draws for seconds in theirs], [seconds / DRAWS for seconds in ours])
    return [name, f"{np.median(ours):.2f}", f"{median:.0f}", f"{least:.0f}", f"{most:.0f}"]


if __name__ == "__main__":
    main()
