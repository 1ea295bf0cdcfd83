# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A small fully convolutional network that tells corrupted patches from intact ones."""

import torch
from anomalib.data import InferenceBatch
from torch import Tensor, nn
from torch.nn import functional

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.models.components.perception import PERCEIVED, Perception
from anomalib_patchgan.models.components.ranges import check_multiple

# Side of a patch in pixels: the image is folded by this before the first layer.
PATCH = 4
# The image's side must be a multiple of this: two more halvings of the resolution.
STEP = 4 * PATCH
# Channels that share their statistics in group normalisation.
GROUP = 8


class Residual(nn.Module):
    """Two 3x3 convolutions beside the identity, with group normalisation (Wu and He, 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.GroupNorm(channels // GROUP, channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.GroupNorm(channels // GROUP, channels),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Refine [N, channels, H, W]."""
        return functional.relu(inputs + self.body(inputs))


class PatchScorerModel(nn.Module):
    """A U-Net of three levels on the folded image: one logit a patch of 4 x 4 pixels, with context.

    Args:
        image_size: Side of the images in pixels, a multiple of 16.
        channels: 3, or 1 to average equal (grey) channels first.
        width: Channels at the finest level, a multiple of 8; they double with each halving of the resolution.
        top_share: Share of the highest patch logits that an image's score is the mean of, in (0, 1].
        perceptual: Whether frozen ImageNet features join at the second level.

    Raises:
        InputError: An argument out of its range.
    """

    def __init__(
        self, image_size: int, channels: int, width: int, top_share: float, *, perceptual: bool = False
    ) -> None:
        super().__init__()
        check_multiple(STEP, image_size=image_size)
        if channels not in {1, 3}:
            raise InputError(f"channels: found {channels}, expected 1 (grey) or 3.")
        check_multiple(GROUP, width=width)
        if not 0 < top_share <= 1:
            raise InputError(f"top_share: found {top_share}, expected a share in (0, 1].")
        self.channels = channels
        self.top = max(1, round(top_share * (image_size // PATCH) ** 2))
        self.enter = nn.Conv2d(channels * PATCH**2, width, 3, padding=1)
        self.fine = nn.Sequential(Residual(width), Residual(width))
        self.to_middle = nn.Conv2d(width, 2 * width, 2, stride=2)
        self.middle = nn.Sequential(Residual(2 * width), Residual(2 * width))
        self.to_coarse = nn.Conv2d(2 * width, 4 * width, 2, stride=2)
        self.coarse = nn.Sequential(Residual(4 * width), Residual(4 * width))
        self.from_coarse = nn.Conv2d(4 * width, 2 * width, 1)
        self.middle_again = Residual(2 * width)
        self.from_middle = nn.Conv2d(2 * width, width, 1)
        self.fine_again = Residual(width)
        self.leave = nn.Conv2d(width, 1, 1)
        self.perceive = (
            nn.Sequential(
                Perception(2 * PATCH), nn.BatchNorm2d(PERCEIVED, affine=False), nn.Conv2d(PERCEIVED, 2 * width, 1)
            )
            if perceptual
            else None
        )

    def to_channels(self, image: Tensor) -> Tensor:
        """Bring a batch [N, 3, H, W] to the network's channels [N, C, H, W]."""
        return image if self.channels == image.shape[1] else image.mean(dim=1, keepdim=True)

    def logits(self, image: Tensor) -> Tensor:
        """Judge every patch of [N, C, H, W]: logits [N, 1, H/4, W/4], high where it looks corrupted."""
        # Centred and spread out; the folding keeps every pixel, at a sixteenth of the positions.
        fine = self.fine(functional.relu(self.enter(functional.pixel_unshuffle(4 * (image - 0.5), PATCH))))
        middle = self.to_middle(fine)
        if self.perceive is not None:
            middle = middle + self.perceive(image)
        middle = self.middle(functional.relu(middle))
        coarse = self.coarse(functional.relu(self.to_coarse(middle)))
        middle = self.middle_again(middle + functional.interpolate(self.from_coarse(coarse), scale_factor=2.0))
        fine = self.fine_again(fine + functional.interpolate(self.from_middle(middle), scale_factor=2.0))
        return self.leave(fine)

    def forward(self, image: Tensor) -> InferenceBatch:
        """Score images [N, 3, H, W] in [0, 1]: mean of the highest logits [N], and the chance of each pixel's patch
        to be corrupted [N, 1, H, W] in (0, 1).
        """  # noqa: D205 - one sentence
        logits = self.logits(self.to_channels(image))
        highest = logits.flatten(1).topk(self.top, dim=1).values
        return InferenceBatch(
            pred_score=highest.mean(dim=1),
            anomaly_map=functional.interpolate(torch.sigmoid(logits), scale_factor=float(PATCH), mode="bilinear"),
        )
