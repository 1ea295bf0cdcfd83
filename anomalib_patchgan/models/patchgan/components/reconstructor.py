# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The masked reconstructor: predicts hidden cells of an image from what surrounds them."""

import torch
from torch import Tensor, nn

from anomalib_patchgan.models.patchgan.components.folded_unet import FoldedUNet


class MaskedReconstructor(nn.Module):
    """Predicts an image of which cells are hidden.

    Args:
        channels: Image channels C.
        width: Channels at a quarter of the resolution; twice as many at an eighth.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.network = FoldedUNet(channels + 1, channels, width)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Reconstruct an image of which cells are hidden.

        Args:
            image: [N, C, H, W] in [0, 1], H and W multiples of 8.
            mask: [N, 1, H, W], 1 where hidden. Hidden pixels are set to 0 here, so nothing of them gets through.

        Returns:
            Reconstruction [N, C, H, W], not clamped: a sigmoid would die where most of an image is background.
        """
        return self.network(torch.cat([image * (1 - mask), mask], dim=1))[0]
