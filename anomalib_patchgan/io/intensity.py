# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Intensity scaling of a whole volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from anomalib_patchgan.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True)
class IntensityRange:
    """The intensities that become 0 and 1.

    Attributes:
        low: Intensity that becomes 0.
        high: Intensity that becomes 1; larger than ``low``.
    """

    low: float
    high: float

    def scale(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring intensities to [0, 1], those outside the range to its ends.

        Args:
            values: Intensities, float32, any shape.
        """
        scaled = (values - np.float32(self.low)) / np.float32(self.high - self.low)
        return np.clip(scaled, 0.0, 1.0, dtype=np.float32)


# The upper quartile of the brain becomes this intensity, which leaves as much room again for lesions.
TISSUE_LEVEL = 0.5
# More than this share of voxels that are not zero, and a volume has no background.
_LARGEST_BODY = 0.95


def tissue_range(values: NDArray[Any]) -> IntensityRange | None:
    """Find a range from what most voxels are, so that a lesion does not set it.

    The upper quartile becomes 0.5, and 0 stays 0 (or the 0.5th percentile becomes 0, where that is negative). A range
    that ends at an extreme percentile, as is common, is set by a bright lesion: all healthy tissue of that subject
    becomes darker, in every slice, and so the label leaks into slices that show nothing. For the same reason the
    values must be all voxels of one volume that belong to the body, never those of a slice.

    Args:
        values: Intensities of the voxels that count, one-dimensional, of any real type.

    Returns:
        The range, or None if ``values`` is empty or has no spread.
    """
    if values.size == 0:
        return None
    smallest = values.min()
    if smallest == values.max():
        return None
    # numpy selects among numbers of 32 bits several times as fast as among those of 16.
    short = values.dtype.kind != "f" and values.dtype.itemsize < 4
    parted = values.astype(np.int32 if short else values.dtype)
    low = min(0.0, _quantile(parted, 0.005)) if smallest < 0 else 0.0
    quartile = _quantile(parted, 0.75)
    return IntensityRange(low, low + (quartile - low) / TISSUE_LEVEL) if quartile > low else None


def check_background(path: Path, body: int, voxels: int) -> None:
    """Refuse a volume in which nothing tells the body from its surroundings.

    Args:
        path: Its file, for the message.
        body: Number of its voxels that are not zero.
        voxels: Number of all its voxels.

    Raises:
        InputError: If hardly any voxel is zero.
    """
    if body > _LARGEST_BODY * voxels:
        raise InputError(
            f"{path}: found hardly any voxel of zero, expected a background of zero, as is left when the "
            "skull or the surroundings of the body are removed, or in a manifest `intensity_range`, below which is "
            "background."
        )


def _quantile(values: NDArray[Any], share: float) -> float:
    """Quantile with linear interpolation, as of ``numpy.quantile``, which copies more. It reorders ``values``."""
    position = share * (values.size - 1)
    index = int(position)
    values.partition(index)
    lower = float(values[index])
    upper = float(values[index + 1 :].min()) if index + 1 < values.size else lower
    return lower + (upper - lower) * (position - index)
