# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Metrics of an anomaly map: one label and one score per pixel, all pixels of all images pooled.

Everything is derived from the number of abnormal and normal pixels at each distinct value of the map. Half-precision
maps, which is what the store keeps, have at most 65,536 of them, so nothing larger than one image is ever sorted or
copied.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anomalib_patchgan.errors import InputError


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
        true_positives = np.cumsum(abnormal)
        called = true_positives + np.cumsum(self.normal[::-1])
        return float(np.sum(abnormal * (true_positives / called)) / true_positives[-1])


def count_pixels(maps: NDArray[np.floating], masks: NDArray[np.bool_]) -> PixelCounts:
    """Count lesion and other pixels at each distinct value of the maps.

    Args:
        maps: [N, H, W] anomaly maps, finite; half precision is counted without sorting.
        masks: [N, H, W], true where there is lesion.

    Returns:
        The counts.

    Raises:
        InputError: When the shapes differ, a value is not finite, or there is no lesion pixel or no other pixel.
    """
    if maps.shape != masks.shape:
        raise InputError(f"maps: found the shape {maps.shape}, expected that of the masks, {masks.shape}.")
    if not all(bool(np.isfinite(one).all()) for one in maps):
        raise InputError("maps: found values that are not finite, expected finite numbers only.")
    counts = _count_half_precision(maps, masks) if maps.dtype == np.float16 else _count_sorted(maps, masks)
    if not counts.abnormal.any() or not counts.normal.any():
        raise InputError("masks: found only one class of pixels, expected lesion pixels and others.")
    return counts


def _count_half_precision(maps: NDArray[np.float16], masks: NDArray[np.bool_]) -> PixelCounts:
    """Count by the 16 bits of each value; the bit patterns index the table."""
    abnormal = np.zeros(65536, dtype=np.int64)
    normal = np.zeros(65536, dtype=np.int64)
    for one_map, one_mask in zip(maps, masks, strict=True):
        bits = one_map.view(np.uint16) if one_map.flags.c_contiguous else one_map.copy().view(np.uint16)
        abnormal += np.bincount(bits[one_mask], minlength=65536)
        normal += np.bincount(bits[~one_mask], minlength=65536)
    used = np.flatnonzero(abnormal + normal)
    values = used.astype(np.uint16).view(np.float16).astype(np.float64)
    # 0.0 and -0.0 are two patterns of one value, so equal values are merged.
    distinct, position = np.unique(values, return_inverse=True)
    return PixelCounts(
        distinct,
        np.bincount(position, abnormal[used], distinct.size).astype(np.int64),
        np.bincount(position, normal[used], distinct.size).astype(np.int64),
    )


def _count_sorted(maps: NDArray[np.floating], masks: NDArray[np.bool_]) -> PixelCounts:
    """Count by sorting each class once."""
    abnormal_values, abnormal_counts = np.unique(maps[masks], return_counts=True)
    normal_values, normal_counts = np.unique(maps[~masks], return_counts=True)
    values = np.union1d(abnormal_values, normal_values)
    abnormal = np.zeros(values.size, dtype=np.int64)
    normal = np.zeros(values.size, dtype=np.int64)
    abnormal[np.searchsorted(values, abnormal_values)] = abnormal_counts
    normal[np.searchsorted(values, normal_values)] = normal_counts
    return PixelCounts(values.astype(np.float64), abnormal, normal)


def dice(maps: NDArray[np.floating], masks: NDArray[np.bool_], threshold: float) -> float:
    """Dice coefficient, over all pixels of all images, of the pixels above a declared threshold and the lesion.

    Args:
        maps: [N, H, W] anomaly maps.
        masks: [N, H, W], true where there is lesion.
        threshold: In the unit of the maps, declared without looking at a test label.

    Returns:
        2 |A and B| / (|A| + |B|), in [0, 1]; 1 when neither holds a pixel.
    """
    called = maps > threshold
    both = int(np.count_nonzero(called & masks))
    total = int(np.count_nonzero(called)) + int(np.count_nonzero(masks))
    return 2.0 * both / total if total else 1.0
