# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Enlarging a coarse grid by two products of matrices, several times faster on a CPU than interpolation is."""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional


@lru_cache(maxsize=64)
def enlargement(cells: int, size: int, mode: str, device: torch.device) -> Tensor:
    """Matrix [size, cells] that interpolates cells to pixels.

    Args:
        cells: Cells along one side.
        size: Pixels along it.
        mode: ``bilinear`` or ``bicubic``, as of :func:`torch.nn.functional.interpolate` (corners not aligned).
        device: Where the matrix is made.
    """
    identity = torch.eye(cells, device=device).view(1, cells, cells, 1)
    return functional.interpolate(identity, size=(size, 1), mode=mode, align_corners=False)[0, :, :, 0].T
