# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Metrics of an anomaly map: one label and one score per pixel.

Everything is derived from how many pixels have each value of the map. Half-precision maps, which is what the store
keeps, have at most 65,536 values, so no pixels are ever sorted.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anomalib_patchgan.errors import InputError

BOOTSTRAP_BINS = 1024
"""Number of bins of a subject's histogram, between which the recall rises by equal steps."""


@dataclass(frozen=True)
class RankedMaps:
    """Anomaly maps by the rank of each pixel's value.

    Attributes:
        ranks: [N, H, W] position of each pixel's value in ``values``.
        values: [K] values, ascending; some may be the value of no pixel.
    """

    ranks: NDArray[np.integer]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class PixelCounts:
    """How many pixels of each class have each value of the map.

    Attributes:
        values: [K] distinct map values, ascending.
        abnormal: [K] number of lesion pixels with that value.
        normal: [K] number of other pixels with that value.
    """

    values: NDArray[np.float64]
    abnormal: NDArray[np.int64]
    normal: NDArray[np.int64]

    @property
    def prevalence(self) -> float:
        """Share of lesion pixels, in [0, 1]."""
        return float(self.abnormal.sum() / (self.abnormal.sum() + self.normal.sum()))

    def auroc(self) -> float:
        """Area under the pixels' ROC curve, ties counting half, in [0, 1]."""
        normal_below = np.cumsum(self.normal) - self.normal
        wins = np.sum(self.abnormal * (normal_below + 0.5 * self.normal), dtype=np.float64)
        return float(wins / (float(self.abnormal.sum()) * float(self.normal.sum())))

    def average_precision(self) -> float:
        """Average precision over pixels, in [0, 1]: the sum of precision times the step in recall."""
        abnormal = self.abnormal[::-1]
        true_positives, called = self._called()
        return float(np.sum(abnormal * (true_positives / called)) / true_positives[-1])

    def best_dice(self) -> float:
        """The ceiling: the largest Dice coefficient of all thresholds, picked by looking at the test labels.

        An oracle, to be marked as one; :func:`dice` says what a declared threshold reaches.
        """
        true_positives, called = self._called()
        return float(np.max(2.0 * true_positives / (called + true_positives[-1])))

    def _called(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """[K] lesion pixels, and pixels, at or above each value, from the highest value down."""
        true_positives = np.cumsum(self.abnormal[::-1])
        return true_positives, true_positives + np.cumsum(self.normal[::-1])


def rank_maps(maps: NDArray[np.floating]) -> RankedMaps:
    """Rank the pixels of all maps together.

    Args:
        maps: [N, H, W] anomaly maps, finite; half precision is ranked without sorting.

    Returns:
        The ranks.

    Raises:
        InputError: When a value is not finite.
    """
    if not all(bool(np.isfinite(one).all()) for one in maps):
        raise InputError("maps: found values that are not finite, expected finite numbers only.")
    if maps.dtype == np.float16:
        values, rank_of_bits = _half_precision_order()
        return RankedMaps(rank_of_bits[np.ascontiguousarray(maps).view(np.uint16)], values)
    values, ranks = np.unique(maps, return_inverse=True)
    return RankedMaps(ranks.reshape(maps.shape), values.astype(np.float64))


def _half_precision_order() -> tuple[NDArray[np.float64], NDArray[np.uint16]]:
    """Every finite half-precision value, ascending, and the rank of each pattern of 16 bits."""
    every = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float64)
    # 0.0 and -0.0 are two patterns of one value, which np.unique merges; patterns that are not finite never occur.
    values, rank_of_bits = np.unique(np.where(np.isfinite(every), every, 0.0), return_inverse=True)
    return values, rank_of_bits.astype(np.uint16)


def count_pixels(maps: RankedMaps, masks: NDArray[np.bool_]) -> PixelCounts:
    """Count lesion and other pixels at each distinct value of the maps, all pixels of all images pooled.

    Args:
        maps: Ranked anomaly maps [N, H, W].
        masks: [N, H, W], true where there is lesion.

    Returns:
        The counts.

    Raises:
        InputError: When the shapes differ, or there is no lesion pixel or no other pixel.
    """
    check_shape(maps.ranks, masks)
    total = np.bincount(maps.ranks.ravel(), minlength=maps.values.size)
    abnormal = np.bincount(maps.ranks[masks], minlength=maps.values.size)
    used = np.flatnonzero(total)
    counts = PixelCounts(maps.values[used], abnormal[used], (total - abnormal)[used])
    if not counts.abnormal.any() or not counts.normal.any():
        raise InputError("masks: found only one class of pixels, expected lesion pixels and others.")
    return counts


def call_pixels(maps: RankedMaps, threshold: float) -> NDArray[np.bool_]:
    """Call the pixels above a threshold.

    The threshold is compared as it is; NumPy would first round it to the half precision of a stored map.

    Args:
        maps: Ranked anomaly maps [N, H, W].
        threshold: In the unit of the maps.

    Returns:
        [N, H, W], true above the threshold.
    """
    return maps.ranks >= np.searchsorted(maps.values, threshold, side="right")


def check_shape(maps: NDArray, masks: NDArray[np.bool_]) -> None:
    """Check that maps and masks have one shape.

    Raises:
        InputError: When they have not.
    """
    if maps.shape != masks.shape:
        raise InputError(f"maps: found the shape {maps.shape}, expected that of the masks, {masks.shape}.")


def subject_histograms(
    maps: RankedMaps, masks: NDArray[np.bool_], subject_of_sample: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Histograms of the map values of each subject, for the average precision of resampled subjects.

    The bins share out the lesion pixels evenly. Within a bin the recall rises by about 1 / B, so the average precision
    from the bins is off by about 1 / B times the change of the precision over its curve, at most.

    Args:
        maps: Ranked anomaly maps [N, H, W].
        masks: [N, H, W], true where there is lesion.
        subject_of_sample: [N] position of each sample's subject.

    Returns:
        Number of lesion pixels and of other pixels [S, B] of each subject in each bin; B is :data:`BOOTSTRAP_BINS` or
        less.

    Raises:
        InputError: When the shapes differ.
    """
    check_shape(maps.ranks, masks)
    reached = np.cumsum(np.bincount(maps.ranks[masks], minlength=maps.values.size))
    bin_of_rank = np.minimum(reached * BOOTSTRAP_BINS // max(1, reached[-1]), BOOTSTRAP_BINS - 1)
    abnormal = np.zeros((int(subject_of_sample.max()) + 1, BOOTSTRAP_BINS))
    total = np.zeros_like(abnormal)
    # One image at a time stays in the processor's cache.
    for ranks, mask, subject in zip(maps.ranks, masks, subject_of_sample, strict=True):
        bins = bin_of_rank[ranks]
        total[subject] += np.bincount(bins.ravel(), minlength=BOOTSTRAP_BINS)
        abnormal[subject] += np.bincount(bins[mask], minlength=BOOTSTRAP_BINS)
    return abnormal, total - abnormal


def dice(called: NDArray[np.bool_], masks: NDArray[np.bool_]) -> float:
    """Dice coefficient of the called pixels and the lesion, over all pixels of all images.

    Args:
        called: [N, H, W], true above a threshold that was declared without looking at a test label.
        masks: [N, H, W], true where there is lesion.

    Returns:
        2 |A and B| / (|A| + |B|), in [0, 1]; 1 when neither holds a pixel.
    """
    both = int(np.count_nonzero(called & masks))
    total = int(np.count_nonzero(called)) + int(np.count_nonzero(masks))
    return 2.0 * both / total if total else 1.0


def image_dice(called: NDArray[np.bool_], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Dice coefficient of each image that has a lesion.

    Args:
        called: [N, H, W], true above a threshold that was declared without looking at a test label.
        masks: [N, H, W], true where there is lesion.

    Returns:
        [M] in [0, 1], one for each of the M images with a lesion.
    """
    lesion = np.count_nonzero(masks, axis=(1, 2))
    both = np.count_nonzero(called & masks, axis=(1, 2))
    total = np.count_nonzero(called, axis=(1, 2)) + lesion
    return 2.0 * both[lesion > 0] / total[lesion > 0]
