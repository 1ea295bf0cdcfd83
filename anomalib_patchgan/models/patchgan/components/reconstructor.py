# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The masked reconstructor: predicts hidden cells of an image from what surrounds them."""

import torch
from torch import Tensor, nn
from torch.nn import functional

# Pixels along one side that are folded into channels before the first convolution, and unfolded after the last.
FOLD = 4


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions added to their input; the second starts at zero, so no normalisation layer is needed.

    Args:
        channels: Channels in and out.
        dilation: Dilation of the first convolution.
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        nn.init.zeros_(self.second.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Map [N, C, h, w] to [N, C, h, w]."""
        return features + self.second(functional.leaky_relu(self.first(functional.leaky_relu(features, 0.2)), 0.2))


class MaskedReconstructor(nn.Module):
    """A small U-Net on an image folded by four, so that it works at a quarter and an eighth of the resolution.

    It has no normalisation layer that mixes the images of a batch: an image's reconstruction does not depend on its
    neighbours, and a step on two devices equals the step on one.

    Args:
        channels: Image channels C.
        width: Channels at a quarter of the resolution; twice as many at an eighth.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d((channels + 1) * FOLD**2, width, 3, padding=1)
        self.encode = ResidualBlock(width, dilation=1)
        self.down = nn.Conv2d(width, 2 * width, 2, stride=2)
        # Dilations widen the view to about half of a 128-pixel image without another resolution.
        self.middle = nn.Sequential(*(ResidualBlock(2 * width, dilation) for dilation in (1, 2, 4)))
        self.up = nn.Conv2d(2 * width, 4 * width, 1)
        self.decode = ResidualBlock(width, dilation=1)
        self.leave = nn.Conv2d(width, channels * FOLD**2, 3, padding=1)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Reconstruct an image of which cells are hidden.

        Args:
            image: [N, C, H, W] in [0, 1], H and W multiples of 8.
            mask: [N, 1, H, W], 1 where hidden. Hidden pixels are set to 0 here, so nothing of them gets through.

        Returns:
            Reconstruction [N, C, H, W], not clamped: a sigmoid would die where most of an image is background.
        """
        visible = torch.cat([image * (1 - mask), mask], dim=1)
        outer = self.encode(self.enter(functional.pixel_unshuffle(visible, FOLD)))
        inner = self.middle(self.down(outer))
        merged = outer + functional.pixel_shuffle(self.up(inner), 2)
        return functional.pixel_shuffle(self.leave(self.decode(merged)), FOLD)
