# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Fifteen scorers that know nothing but brightness, by which a phantom set shows that brightness alone does not win.

With the image x, the mask m of what counts (the brain) and a Gaussian kernel of standard deviation s, the smoothed
image is (G_s * (x m)) / (G_s * m) inside m: background is no part of any mean. The scores of an image are

* ``maximum``: the largest smoothed value,
* ``minimum``: the negative of the smallest smoothed value,
* ``deviation``: the largest absolute difference between a smoothed value and the median of x inside m,

each at five scales s. A higher score is more abnormal.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomalib_patchgan.data.phantoms.fields import Array
from anomalib_patchgan.errors import InputError

SCALES = (1.0, 2.0, 3.0, 5.0, 8.0)
"""Standard deviations of the kernel in pixels."""

STATISTICS: dict[str, Callable[[Array, np.float32], float]] = {
    "maximum": lambda smoothed, _: float(smoothed.max()),
    "minimum": lambda smoothed, _: float(-smoothed.min()),
    "deviation": lambda smoothed, median: float(np.abs(smoothed - median).max()),
}
"""Name -> score from the smoothed values [N] and the median of the values as they were."""


def scorer_names() -> list[str]:
    """Returns the name of each of the fifteen, as in ``deviation 3 px``."""
    return [f"{statistic} {scale:g} px" for statistic in STATISTICS for scale in SCALES]


def intensity_scores(image: Array, mask: NDArray[np.bool_]) -> dict[str, float]:
    """Scores one image by each of the fifteen.

    Args:
        image: Intensities [H, W], finite.
        mask: What counts [H, W]: the brain of a scan, everything in a photograph.

    Returns:
        Name, see ``scorer_names``, -> score.

    Raises:
        InputError: If the mask is empty or of another shape.
    """
    if mask.shape != image.shape or not mask.any():
        raise InputError(
            f"intensity scores: found a mask of shape {mask.shape} with {int(mask.sum())} pixels, expected one of "
            f"shape {image.shape} with at least one"
        )
    median = np.median(image[mask])
    smoothed = {scale: smooth_within(image, mask, scale)[mask] for scale in SCALES}
    return {
        f"{name} {scale:g} px": statistic(smoothed[scale], median)
        for name, statistic in STATISTICS.items()
        for scale in SCALES
    }


def smooth_within(image: Array, mask: NDArray[np.bool_], scale: float) -> Array:
    """Returns the mean under a Gaussian kernel of what lies inside the mask [H, W], 0 outside.

    Args:
        image: Intensities [H, W].
        mask: What counts [H, W].
        scale: Standard deviation of the kernel in pixels.
    """
    inside = mask.astype(np.float32)
    weighted = ndimage.gaussian_filter(image * inside, scale, mode="constant")
    weight = ndimage.gaussian_filter(inside, scale, mode="constant")
    return np.divide(weighted, weight, out=np.zeros_like(weighted), where=mask)
