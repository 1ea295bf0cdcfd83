# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Thresholds declared on normal calibration samples, and the false-positive rate that comes out on the test set."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anomalib_patchgan.errors import InputError

FALSE_POSITIVE_RATE = 0.05
"""Share of normal images above the declared image threshold that is aimed at."""
FALSE_POSITIVE_AREA = 0.01
"""Share of the pixels of normal images above the declared pixel threshold that is aimed at."""

# Bounds such as (n + 1)(1 - alpha) are whole numbers that binary fractions miss by a rounding error.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class DeclaredThreshold:
    """A threshold and the rule that it comes from.

    Attributes:
        value: In the unit of the scores; what lies above is called abnormal.
        target: False-positive rate that was aimed at, in (0, 1).
        rule: ``conformal`` when the rate can be promised for a normal sample of a new subject; ``pooled`` when there
            are too few subjects for that, but enough samples if they were unrelated; ``largest`` when there are too few
            samples too.
        subjects: Number of calibration subjects.
        samples: Number of calibration samples.
    """

    value: float
    target: float
    rule: Literal["conformal", "pooled", "largest"]
    subjects: int
    samples: int


def smallest_calibration_size(alpha: float) -> int:
    """Number of calibration subjects below which a false-positive rate of alpha cannot be promised."""
    return math.ceil(1.0 / alpha - 1.0 - _ROUNDING)


def conformal_threshold(
    normal_scores: ArrayLike, alpha: float, subject_ids: Sequence[str] | None = None
) -> float | None:
    """Split-conformal threshold by subject.

    The samples of one subject are not exchangeable with those of another, but the subjects are. So every subject has
    the same weight 1 / (K + 1), shared out among its samples, and the new subject has the last one, at infinity; the
    threshold is the smallest score up to which the weights reach 1 - alpha (hierarchical conformal prediction: Lee,
    Barber and Willett, Distribution-free inference with hierarchical data, arXiv 2306.06342). A normal sample drawn
    from a new subject is then above it with a chance of at most alpha. With one sample a subject this is the k-th
    smallest of n scores, k = ceil((n + 1)(1 - alpha)) (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random
    World, 2005).

    Args:
        normal_scores: [n] scores of normal calibration samples.
        alpha: Target false-positive rate, in (0, 1).
        subject_ids: [n] the subject of each; None when every sample is a subject of its own.

    Returns:
        The threshold, one of the scores, or None when there are too few subjects for alpha.

    Raises:
        InputError: When a score is not finite, or there is not one subject for each.
    """
    scores = _finite(normal_scores)
    subjects = _subjects(scores, subject_ids)
    _, subject_of_sample, sizes = np.unique(subjects, return_inverse=True, return_counts=True)
    if sizes.size < smallest_calibration_size(alpha):
        return None
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(1.0 / sizes[subject_of_sample[order]])
    position = int(np.searchsorted(reached, (sizes.size + 1) * (1.0 - alpha) - _ROUNDING))
    return float(scores[order[position]])


def declared_threshold(
    normal_scores: ArrayLike, alpha: float, subject_ids: Sequence[str] | None = None
) -> DeclaredThreshold:
    """The threshold that decides over labels: the conformal one, or the next best where it is not attainable.

    Args:
        normal_scores: [n] scores of normal calibration samples, at least one.
        alpha: Target false-positive rate, in (0, 1).
        subject_ids: [n] the subject of each; None when every sample is a subject of its own.

    Returns:
        The threshold by subject; failing that, the k-th smallest score with the samples taken as unrelated; failing
        that, the largest score.

    Raises:
        InputError: When there is no score, a score is not finite, or there is not one subject for each.
    """
    scores = _finite(normal_scores)
    if not scores.size:
        raise InputError("calibration scores: found none, expected those of the normal calibration samples.")
    subjects = int(np.unique(_subjects(scores, subject_ids)).size)
    by_subject = conformal_threshold(scores, alpha, subject_ids)
    if by_subject is not None:
        return DeclaredThreshold(by_subject, alpha, "conformal", subjects, scores.size)
    pooled = conformal_threshold(scores, alpha)
    if pooled is not None:
        return DeclaredThreshold(pooled, alpha, "pooled", subjects, scores.size)
    return DeclaredThreshold(float(scores.max()), alpha, "largest", subjects, scores.size)


def area_threshold(normal_pixels: ArrayLike, area: float) -> float:
    """The smallest map value that at most a share of the normal pixels exceeds.

    The pixels of one image are alike, so nothing is promised: the area is a target on the calibration images.

    Args:
        normal_pixels: [n] map values of normal calibration images, at least one.
        area: Target share of pixels above the threshold, in (0, 1).

    Returns:
        One of the values.

    Raises:
        InputError: When there is no value, or one is not finite.
    """
    pixels = _finite(normal_pixels)
    if not pixels.size:
        raise InputError("calibration maps: found no pixel, expected those of the normal calibration images.")
    position = max(0, math.ceil(pixels.size * (1.0 - area) - _ROUNDING) - 1)
    return float(np.partition(pixels, position)[position])


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


def subject_false_positive_rate(
    labels: ArrayLike, scores: ArrayLike, subject_ids: Sequence[str], threshold: float
) -> float:
    """Share of a subject's normal samples above the threshold, mean over subjects that have any.

    It is this rate that the conformal threshold bounds, since it weighs every subject alike.

    Args:
        labels: [N], 0 or 1.
        scores: [N].
        subject_ids: [N] the subject of each sample.
        threshold: In the unit of the scores.

    Returns:
        A number in [0, 1].
    """
    normal = np.asarray(labels).astype(np.int64) == 0
    above = np.asarray(scores, dtype=np.float64)[normal] > threshold
    _, subject = np.unique(np.asarray(subject_ids, dtype=str)[normal], return_inverse=True)
    return float(np.mean(np.bincount(subject, above) / np.bincount(subject)))


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64).ravel()
    not_finite = int(np.count_nonzero(~np.isfinite(array)))
    if not_finite:
        raise InputError(f"calibration: found {not_finite} of {array.size} values not finite, expected finite numbers.")
    return array


def _subjects(scores: NDArray[np.float64], subject_ids: Sequence[str] | None) -> NDArray[np.str_] | NDArray[np.int64]:
    if subject_ids is None:
        return np.arange(scores.size)
    if len(subject_ids) != scores.size:
        raise InputError(f"calibration: found {len(subject_ids)} subjects, expected one for each of {scores.size}.")
    return np.asarray(subject_ids, dtype=str)
