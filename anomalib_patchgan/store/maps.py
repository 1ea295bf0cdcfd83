# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""At which resolution anomaly maps are kept, and masks brought to the same one."""

import numpy as np
from numpy.typing import NDArray

LARGEST_MAP_SIDE = 256
"""In pixels. A map is kept in half precision, so it takes at most 128 KiB before compression."""


def stored_map_size(image_size: tuple[int, int]) -> tuple[int, int]:
    """Height and width at which the maps of images of a size are kept: theirs, or smaller in the same proportions."""
    shrink = min(1.0, LARGEST_MAP_SIDE / max(image_size))
    return max(1, round(image_size[0] * shrink)), max(1, round(image_size[1] * shrink))


def at_map_size(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Masks [N, H, W] at the resolution of the stored maps: the pixel at the centre of each pixel of the map."""
    height, width = masks.shape[1:]
    rows, columns = stored_map_size((height, width))
    if (rows, columns) == (height, width):
        return masks
    row_centres = ((np.arange(rows) + 0.5) * height / rows).astype(np.int64)
    column_centres = ((np.arange(columns) + 0.5) * width / columns).astype(np.int64)
    return masks[:, row_centres[:, None], column_centres]
