# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Sanity gates: what makes a result suspicious, in plain words for the table that prints it."""

import numpy as np
from numpy.typing import ArrayLike

from anomalib_patchgan.evaluation.bootstrap import Interval


def score_flags(scores: ArrayLike) -> list[str]:
    """What is wrong with the scores [N] themselves, whatever the labels; empty when nothing is."""
    array = np.asarray(scores, dtype=np.float64).ravel()
    not_finite = int(np.count_nonzero(~np.isfinite(array)))
    if not_finite:
        return [f"{not_finite} of {array.size} scores are not finite"]
    if array.size and bool(np.all(array == array[0])):
        return ["constant: every sample has the same score"]
    return []


def is_inverted(interval: Interval | None) -> bool:
    """Whether a ranking puts normal images first: the whole interval of its AUROC, where there is one, is below 0.5."""
    return interval is not None and interval.high < 0.5


def ranking_flags(auroc: float, interval: Interval | None) -> list[str]:
    """What is wrong with a ranking; empty when nothing is.

    Args:
        auroc: Image AUROC, in [0, 1].
        interval: Its 95 % interval, where there is one.

    Returns:
        *inverted* when the whole interval is below chance, so that the reversed score would be a real detector;
        *below chance* when only the estimate is.
    """
    if auroc >= 0.5:
        return []
    if is_inverted(interval):
        return [f"inverted: normal images score higher (reversed, the AUROC would be {1.0 - auroc:.3f})"]
    return ["below chance"]


def label_flags(predicted: ArrayLike, scores: ArrayLike, threshold: float) -> list[str]:
    """Whether a model's own labels are those of the declared threshold; empty when they are.

    Args:
        predicted: [N] the model's own labels, true for abnormal.
        scores: [N] its raw scores.
        threshold: In the unit of the scores.

    Returns:
        One flag that counts the samples that differ.
    """
    expected = np.asarray(scores, dtype=np.float64) > threshold
    differing = int(np.count_nonzero(np.asarray(predicted).astype(bool) != expected))
    return [f"the model's own label differs from the declared threshold's on {differing} samples"] if differing else []


def map_flags(pixel_auroc: float) -> list[str]:
    """Whether a map ranks lesion pixels below others, by its AUROC over pixels; empty when it does not."""
    return [f"map below chance: AUROC over pixels {pixel_auroc:.3f}"] if pixel_auroc < 0.5 else []
