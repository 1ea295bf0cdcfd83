# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Thresholds declared on normal calibration samples, and the false-positive rate that comes out on the test set."""

import math

import numpy as np
from numpy.typing import ArrayLike

from anomalib_patchgan.errors import InputError


def smallest_calibration_size(alpha: float) -> int:
    """Number of normal calibration samples below which a false-positive rate of alpha cannot be promised."""
    # A hair is taken off, because 1 / 0.05 may come out above 20 and would then ask for one sample more.
    return math.ceil(1.0 / alpha - 1.0 - 1e-9)


def conformal_threshold(normal_scores: ArrayLike, alpha: float) -> float | None:
    """Split-conformal threshold: the k-th smallest normal score with k = ceil((n + 1)(1 - alpha)).

    When calibration and test normals are exchangeable, at most a share alpha of test normals is expected *above* it
    (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005; Lei et al., JASA 2018). Samples of one
    subject are not exchangeable with those of another, so for slices and patches the rate is a target, not a promise.

    Args:
        normal_scores: [n] scores of normal calibration samples.
        alpha: Target false-positive rate, in (0, 1).

    Returns:
        The threshold, or None when n is too small for alpha (k would be larger than n).

    Raises:
        InputError: When a score is not finite.
    """
    scores = np.sort(np.asarray(normal_scores, dtype=np.float64).ravel())
    if not np.isfinite(scores).all():
        raise InputError("calibration scores: found values that are not finite, expected finite numbers only.")
    rank = math.ceil((scores.size + 1) * (1.0 - alpha) - 1e-9)
    return float(scores[rank - 1]) if rank <= scores.size else None


def false_positive_rate(labels: ArrayLike, scores: ArrayLike, threshold: float) -> float:
    """Share of the normal samples whose score is above the threshold.

    Args:
        labels: [N], 0 or 1.
        scores: [N].
        threshold: In the unit of the scores.

    Returns:
        A number in [0, 1].
    """
    normal = np.asarray(scores, dtype=np.float64)[np.asarray(labels).astype(np.int64) == 0]
    return float(np.mean(normal > threshold))
