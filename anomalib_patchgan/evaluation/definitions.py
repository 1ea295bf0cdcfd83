# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What an image's score would be, had it been read from the map by another rule.

Every rule is an ordered weighted average (Yager, IEEE Transactions on Systems, Man, and Cybernetics 18, 1988): the
pixels are sorted from the most abnormal down and each rank has a weight. So one sort serves all of them.
"""

import numpy as np
from numpy.typing import NDArray

from anomalib_patchgan.evaluation.pixel import RankedMaps

TOP_SHARE = 0.01
"""Share of the pixels that the top-k rule averages."""
DEFINITIONS = ("mean", "maximum", "top-k", "rank-weighted")

# Images are sorted a block at a time, so that the sorted copy stays small.
_BLOCK = 64


def definition_scores(maps: RankedMaps) -> dict[str, NDArray[np.float64]]:
    """Score of each image by each rule.

    The rules: *mean* of all pixels; *maximum*; *top-k*, the mean of the highest hundredth of the pixels; and
    *rank-weighted*, where the pixel of rank r has a weight in proportion to 1 / r.

    Args:
        maps: Ranked anomaly maps [N, H, W].

    Returns:
        [N] for each of :data:`DEFINITIONS`.
    """
    count, height, width = maps.ranks.shape
    weights = _weights(height * width)
    pixels = maps.ranks.reshape(count, -1)
    # A stable sort of 16-bit ranks is a radix sort, far faster than one of the values themselves.
    blocks = [
        maps.values[np.sort(pixels[start : start + _BLOCK], axis=1, kind="stable")] @ weights
        for start in range(0, count, _BLOCK)
    ]
    return dict(zip(DEFINITIONS, np.concatenate(blocks).T, strict=True))


def _weights(pixels: int) -> NDArray[np.float64]:
    """[pixels, 4] the weight of each rank in each rule, the most abnormal pixel last."""
    rank = np.arange(pixels, 0, -1)
    top = max(1, round(TOP_SHARE * pixels))
    columns = [np.ones(pixels), rank == 1, rank <= top, 1.0 / rank]
    weights = np.stack(columns, axis=1).astype(np.float64)
    return weights / weights.sum(axis=0)
