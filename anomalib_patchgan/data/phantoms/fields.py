# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Smooth random fields on a regular grid, the building block of warps, bias fields, textures and contours."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]


def smooth_field(random: np.random.Generator, shape: Sequence[int], spacing: float, scale: float) -> Array:
    """Draws a Gaussian random field of unit variance whose correlation length is given in the grid's unit of length.

    White noise on nodes one ``scale`` apart is interpolated by a Gaussian kernel, one axis after the other. What is
    drawn depends on the grid's extent, not on its spacing, so the same generator gives the same field on a finer grid.

    Args:
        random: Source of randomness.
        shape: Grid points per axis.
        spacing: Distance between grid points (mm or pixels).
        scale: Standard deviation of the kernel, in the unit of ``spacing``.

    Returns:
        Field of shape ``shape``, mean 0, variance 1.
    """
    nodes = [math.ceil(length * spacing / scale) + 4 for length in shape]
    field = random.standard_normal(nodes, dtype=np.float32)
    for axis, (length, count) in enumerate(zip(shape, nodes, strict=True)):
        centred = (np.arange(length) - (length - 1) / 2) * spacing / scale
        kernel = np.exp(-0.5 * (centred[:, None] - (np.arange(count) - (count - 1) / 2)) ** 2)
        kernel /= np.sqrt((kernel**2).sum(axis=1, keepdims=True))
        field = np.moveaxis(np.tensordot(kernel.astype(np.float32), field, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(field)


def fine_field(random: np.random.Generator, shape: Sequence[int], sigma: float) -> Array:
    """Draws blurred white noise of unit variance, for correlation lengths near one grid point.

    Args:
        random: Source of randomness.
        shape: Grid points per axis.
        sigma: Standard deviation of the blur in grid points, below about 3.

    Returns:
        Field of shape ``shape``, mean 0, variance about 1.
    """
    field = ndimage.gaussian_filter(random.standard_normal(tuple(shape), dtype=np.float32), sigma, truncate=2.5)
    return field / np.float32(field.std() + 1e-12)


def ramp(values: Array, low: float, high: float) -> Array:
    """Rises linearly from 0 at ``low`` to 1 at ``high``, clipped; ``low`` may be the larger one."""
    return np.clip((values - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
