# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Metrics that weigh lesions or images alike instead of pixels: AUPRO, AUPIMO, lesions found and false alarms."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomalib_patchgan.evaluation.pixel import RankedMaps, check_shape

AUPRO_LIMIT = 0.3
"""Pixel false-positive rate up to which AUPRO integrates."""
AUPIMO_BOUNDS = (1e-5, 1e-4)
"""Pixel false-positive rates between which AUPIMO integrates."""
SIZE_EDGES = (0.0025, 0.01)
"""Shares of the image's area that part small from medium and medium from large lesions."""
SIZE_NAMES = ("small", "medium", "large")

# Pixels that touch at a corner are connected; images are not.
_NEIGHBOURS = np.zeros((3, 3, 3), dtype=bool)
_NEIGHBOURS[1] = True


@dataclass(frozen=True)
class Regions:
    """Connected components of the masks, in two dimensions, pixels that touch at a corner included.

    Attributes:
        labels: [N, H, W] 0 outside, else the number of the region, from 1, counted over all images.
        areas: [R] number of pixels of each region.
    """

    labels: NDArray[np.int32]
    areas: NDArray[np.int64]

    @property
    def size_classes(self) -> NDArray[np.int64]:
        """[R] position of each region's size in :data:`SIZE_NAMES`."""
        pixels = self.labels.shape[1] * self.labels.shape[2]
        return np.digitize(self.areas / pixels, SIZE_EDGES)


@dataclass(frozen=True)
class LesionCounts:
    """Lesions and false alarms, by size.

    Attributes:
        lesions: [3] number of lesions of each size.
        found: [3] how many of them were found.
        false_alarms: [3] number of called regions of each size that touch no lesion.
        images: Number of images.
    """

    lesions: NDArray[np.int64]
    found: NDArray[np.int64]
    false_alarms: NDArray[np.int64]
    images: int

    @property
    def recall(self) -> float | None:
        """Share of all lesions that were found, in [0, 1], or None when there is none."""
        return float(self.found.sum() / self.lesions.sum()) if self.lesions.any() else None

    @property
    def recall_by_size(self) -> tuple[float | None, ...]:
        """The same for each size."""
        return tuple(
            float(found / count) if count else None for found, count in zip(self.found, self.lesions, strict=True)
        )

    @property
    def false_alarms_per_image(self) -> tuple[float, ...]:
        """Called regions that touch no lesion, of each size, per image."""
        return tuple((self.false_alarms / self.images).tolist())


def find_regions(masks: NDArray[np.bool_]) -> Regions:
    """Find the connected components of masks [N, H, W]."""
    labels, count = ndimage.label(masks, structure=_NEIGHBOURS)
    return Regions(labels.astype(np.int32, copy=False), np.bincount(labels[masks], minlength=count + 1)[1:])


def aupro(maps: RankedMaps, regions: Regions, limit: float = AUPRO_LIMIT) -> float | None:
    """Area under the curve of per-region overlap over the pixel false-positive rate, up to a limit.

    The overlap is the share of a lesion's pixels that is called, mean over lesions, so that a small lesion counts as
    much as a large one (Bergmann et al., International Journal of Computer Vision 129, 2021). The last piece of the
    curve is cut at the limit by linear interpolation.

    Args:
        maps: Ranked anomaly maps [N, H, W].
        regions: The lesions of the same images.
        limit: Largest false-positive rate, in (0, 1].

    Returns:
        A number in [0, 1], or None without a lesion or without any other pixel.

    Raises:
        InputError: When the shapes differ.
    """
    lesion = regions.labels > 0
    check_shape(maps.ranks, lesion)
    normal = np.bincount(maps.ranks[~lesion], minlength=maps.values.size)[::-1]
    if not regions.areas.size or not normal.any():
        return None
    shares = 1.0 / (regions.areas * regions.areas.size)
    weights = shares[regions.labels[lesion] - 1]
    overlap = np.bincount(maps.ranks[lesion], weights, minlength=maps.values.size)[::-1]
    used = (normal > 0) | (overlap > 0)
    rate = np.concatenate([[0.0], np.cumsum(normal[used]) / normal.sum()])
    reached = np.concatenate([[0.0], np.cumsum(overlap[used])])
    inside = rate <= limit
    # Where several overlaps share the last rate inside, the highest is the one that the curve leaves from.
    x = np.concatenate([rate[inside], [limit]])
    y = np.concatenate([reached[inside], [np.interp(limit, rate, reached)]])
    return float(np.trapezoid(y, x) / limit)


def aupimo(
    maps: RankedMaps,
    masks: NDArray[np.bool_],
    bounds: tuple[float, float] = AUPIMO_BOUNDS,
    normal: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64] | None:
    """Area under the per-image overlap curve of each image with a lesion.

    The overlap of an image is the share of its lesion pixels that is called; it is averaged over the logarithm of the
    pixel false-positive rate on the normal images, between two bounds (Bertoldo et al., AUPIMO, BMVC 2024). A rate
    that no threshold reaches exactly is served by the threshold of the next lower rate, so nothing is interpolated and
    few normal pixels make the metric strict, not undefined.

    Args:
        maps: Ranked anomaly maps [N, H, W].
        masks: [N, H, W], true where there is lesion.
        bounds: Lowest and highest false-positive rate, in (0, 1).
        normal: [N] which images are normal; when not given, those without a lesion in their mask, of which a thin one
            may be lost where masks are reduced.

    Returns:
        [M] in [0, 1], one for each of the M images with a lesion; None without a normal image or without a lesion.

    Raises:
        InputError: When the shapes differ.
    """
    check_shape(maps.ranks, masks)
    has_lesion = masks.any(axis=(1, 2))
    is_normal = ~has_lesion if normal is None else normal
    if not is_normal.any() or not has_lesion.any():
        return None
    counts = np.bincount(maps.ranks[is_normal].ravel(), minlength=maps.values.size)
    used = np.flatnonzero(counts)[::-1]
    # A threshold at the j-th highest normal value serves the rates from at[j] to below at[j + 1].
    at = np.concatenate([[0.0], np.cumsum(counts[used])]) / counts.sum()
    low, high = bounds
    share = np.log(np.clip(at[1:], low, high) / np.clip(at[:-1], low, high)) / np.log(high / low)
    # A pixel is called at each threshold below its value, so its worth is the sum of their shares.
    worth = np.zeros(maps.values.size)
    worth[used] = share
    worth = np.cumsum(worth) - worth
    image, _, _ = np.nonzero(masks[has_lesion])
    areas = np.bincount(image)
    return np.bincount(image, worth[maps.ranks[has_lesion][masks[has_lesion]]]) / areas


def count_lesions(called: NDArray[np.bool_], regions: Regions) -> LesionCounts:
    """Count lesions found and false alarms.

    A lesion is found when at least one of its pixels is called, and a called region is a false alarm when it touches no
    lesion, as in the lesion-wise rates of the ISBI 2015 challenge (Carass et al., NeuroImage 148, 2017).

    Args:
        called: [N, H, W], true above a threshold that was declared without looking at a test label.
        regions: The lesions of the same images.

    Returns:
        Counts by size.

    Raises:
        InputError: When the shapes differ.
    """
    check_shape(called, regions.labels > 0)
    alarms = find_regions(called)
    both = called & (regions.labels > 0)
    found = np.bincount(regions.labels[both], minlength=regions.areas.size + 1)[1:] > 0
    touching = np.bincount(alarms.labels[both], minlength=alarms.areas.size + 1)[1:] > 0
    classes = len(SIZE_NAMES)
    return LesionCounts(
        lesions=np.bincount(regions.size_classes, minlength=classes),
        found=np.bincount(regions.size_classes[found], minlength=classes),
        false_alarms=np.bincount(alarms.size_classes[~touching], minlength=classes),
        images=len(called),
    )
