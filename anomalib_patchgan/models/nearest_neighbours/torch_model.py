# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Distance to the nearest normal thumbnails."""

import torch
from anomalib.data import InferenceBatch
from anomalib.models.components import DynamicBufferMixin
from torch import Tensor, nn

from anomalib_patchgan.errors import InputError


class NearestNeighboursModel(DynamicBufferMixin, nn.Module):
    """Mean Euclidean distance, over pixels and channels, to the nearest training images.

    Args:
        neighbours: How many, at least 1.

    Raises:
        InputError: Fewer than one neighbour.
    """

    thumbnails: Tensor

    def __init__(self, neighbours: int) -> None:
        super().__init__()
        if neighbours < 1:
            raise InputError(f"neighbours: found {neighbours}, expected at least 1.")
        self.neighbours = neighbours
        self.register_buffer("thumbnails", torch.zeros(neighbours, 1))

    @staticmethod
    def condense(images: Tensor) -> Tensor:
        """Pixels [N, 3 H W] of thumbnails [N, 3, H, W]."""
        return images.flatten(1)

    def fit(self, condensed: Tensor) -> None:
        """Keep the pixels of normal thumbnails [n, 3 H W].

        Raises:
            InputError: There are fewer images than neighbours.
        """
        if len(condensed) < self.neighbours:
            raise InputError(f"neighbours: found {self.neighbours}, expected at most the {len(condensed)} images.")
        self.thumbnails = condensed.clone()

    def forward(self, image: Tensor) -> InferenceBatch:
        """Score images [N, 3, H, W]: mean distances [N] >= 0, no map."""
        pixels = image.flatten(1)
        squared = (
            pixels.square().sum(dim=1, keepdim=True)
            + self.thumbnails.square().sum(dim=1)
            - 2 * pixels @ self.thumbnails.T
        )
        nearest = squared.clamp_min(0).topk(self.neighbours, dim=1, largest=False).values
        return InferenceBatch(pred_score=nearest.sqrt().mean(dim=1))
