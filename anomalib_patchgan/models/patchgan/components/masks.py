# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Masks that hide square cells of an image: fresh random ones for training, complementary ones for testing."""

import torch
from torch import Tensor
from torch.nn import functional


def complementary_masks(rows: int, columns: int, count: int) -> Tensor:
    """Share the cells of a grid out among masks, so that every cell is hidden by exactly one of them.

    Cell (i, j) belongs to mask ``(i + s j) mod count`` with ``s = max(1, count // 2)``, which keeps cells of one mask
    apart, so that a hidden cell is surrounded by visible ones. On grids of fewer rows than that ``s`` is their number,
    so that no mask is left without a cell.

    Args:
        rows: Cells down the image, at least 1.
        columns: Cells across the image, at least 1.
        count: How many masks, at most as many as cells; each hides about 1 / count of the image. 0 for one mask that
            hides nothing.

    Returns:
        Float tensor [count, 1, rows, columns] of 0 (visible) and 1 (hidden); it sums to 1 over the first axis, unless
        nothing is hidden.
    """
    if count == 0:
        return torch.zeros(1, 1, rows, columns)
    row = torch.arange(rows).view(-1, 1)
    column = torch.arange(columns).view(1, -1)
    owner = (row + min(max(1, count // 2), rows) * column) % count
    return torch.stack([(owner == index).float() for index in range(count)]).unsqueeze(1)


def random_masks(images: int, rows: int, columns: int, share: float, device: torch.device) -> Tensor:
    """Hide a random choice of cells, a new one for every image.

    Args:
        images: Number of images N.
        rows: Cells down the image.
        columns: Cells across the image.
        share: Share of the cells that is hidden, in (0, 1); at least one cell always is.
        device: Where the masks are made.

    Returns:
        Float tensor [N, 1, rows, columns] of 0 (visible) and 1 (hidden).
    """
    cells = rows * columns
    hidden = max(1, round(share * cells))
    order = torch.rand(images, cells, device=device).argsort(dim=1)
    return (order < hidden).float().view(images, 1, rows, columns)


def to_pixels(cells: Tensor, cell_size: int) -> Tensor:
    """Repeat each cell of [N, C, rows, columns] ``cell_size`` times down and across, over the pixels that it covers."""
    if cell_size == 1:
        return cells
    return functional.interpolate(cells, scale_factor=float(cell_size), mode="nearest")
