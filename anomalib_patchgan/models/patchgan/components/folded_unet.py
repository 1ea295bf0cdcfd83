# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A lean U-Net on an image folded by four: the body of the reconstructor and of the ranker."""

from torch import Tensor, nn
from torch.nn import functional

# Pixels along one side that are folded into channels before the first convolution, and unfolded after the last.
FOLD = 4
# An image's sides must be multiples of this: the inner level works at an eighth of the resolution.
STRIDE = 2 * FOLD


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


class FoldedUNet(nn.Module):
    """Works at a quarter and an eighth of the resolution only: a third of a U-Net's cost at the same size.

    It has no normalisation layer that mixes the images of a batch: an image's output does not depend on its
    neighbours, and a step on two devices equals the step on one.

    Args:
        channels: Channels in.
        outputs: Channels out.
        width: Channels at a quarter of the resolution; twice as many at an eighth.
        joined: Channels that enter at an eighth of the resolution, 0 for none.
        mirrored: Whether each place also sees what is at its mirror image, left to right.
    """

    def __init__(self, channels: int, outputs: int, width: int, joined: int = 0, *, mirrored: bool = False) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels * FOLD**2, width, 3, padding=1)
        self.encode = ResidualBlock(width, dilation=1)
        self.mirror = nn.Conv2d(width, width, 3, padding=1) if mirrored else None
        self.down = nn.Conv2d(width, 2 * width, 2, stride=2)
        self.join = nn.Conv2d(joined, 2 * width, 1, bias=False) if joined else None
        # Dilations widen the view to about half of a 128-pixel image without another resolution.
        self.middle = nn.Sequential(*(ResidualBlock(2 * width, dilation) for dilation in (1, 2, 4)))
        self.whole = nn.Linear(2 * width, 2 * width) if joined else None
        self.up = nn.Conv2d(2 * width, 4 * width, 1)
        self.decode = ResidualBlock(width, dilation=1)
        self.leave = nn.Conv2d(width, outputs * FOLD**2, 3, padding=1)

    def forward(self, image: Tensor, joined: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run the network.

        Args:
            image: [N, channels, H, W], H and W multiples of 8.
            joined: [N, joined, H/8, W/8], or None where nothing joins.

        Returns:
            Output [N, outputs, H, W] and the inner features [N, 2 width, H/8, W/8].
        """
        outer = self.encode(self.enter(functional.pixel_unshuffle(image, FOLD)))
        if self.mirror is not None:
            outer = outer + self.mirror(functional.leaky_relu(outer, 0.2).flip(3))
        inner = self.down(outer)
        if self.join is not None and self.whole is not None and joined is not None:
            inner = inner + self.join(joined)
            inner = inner + self.whole(functional.leaky_relu(inner, 0.2).mean(dim=(2, 3)))[:, :, None, None]
        inner = self.middle(inner)
        merged = outer + functional.pixel_shuffle(self.up(inner), 2)
        return functional.pixel_shuffle(self.leave(self.decode(merged)), FOLD), inner
