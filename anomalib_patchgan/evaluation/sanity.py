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
    if interval is not None and interval.high < 0.5:
        return [f"inverted: normal images score higher (reversed, the AUROC would be {1.0 - auroc:.3f})"]
    return ["below chance"]
