# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Intensity scaling of a whole volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
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


def tissue_range(values: NDArray[np.float32]) -> IntensityRange | None:
    """Find a range from what most voxels are, so that a lesion does not set it.

    The upper quartile becomes 0.5, and 0 stays 0 (or the 0.5th percentile becomes 0, where that is negative). A range
    that ends at an extreme percentile, as is common, is set by a bright lesion: all healthy tissue of that subject
    becomes darker, in every slice, and so the label leaks into slices that show nothing. For the same reason the
    values must be all voxels of one volume that belong to the body, never those of a slice.

    Args:
        values: Intensities of the voxels that count, one-dimensional.

    Returns:
        The range, or None if ``values`` is empty or has no spread.
    """
    if values.size == 0 or values.min() == values.max():
        return None
    lowest, quartile = (float(value) for value in np.percentile(values, (0.5, 75.0)))
    low = min(0.0, lowest)
    return IntensityRange(low, low + (quartile - low) / TISSUE_LEVEL) if quartile > low else None
