# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A convolutional autoencoder with a bottleneck; what it cannot rebuild is abnormal."""

from anomalib.data import InferenceBatch
from torch import Tensor, nn
from torch.nn import functional

STEP = 8
"""The side of an image is a multiple of it."""


def convolution(before: int, after: int, stride: int) -> nn.Sequential:
    """3x3 convolution, batch normalisation, leaky ReLU."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.LeakyReLU(0.2, inplace=True),
    )


class ConvolutionalAutoencoderModel(nn.Module):
    """Three halvings of the resolution, a narrow 1x1 bottleneck, three doublings.

    Args:
        width: Channels after the first halving; they double with each further one.
        latent_channels: Channels of the bottleneck at an eighth of the resolution.
    """

    def __init__(self, width: int, latent_channels: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            convolution(3, width, 2),
            convolution(width, 2 * width, 2),
            convolution(2 * width, 4 * width, 2),
            nn.Conv2d(4 * width, latent_channels, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(latent_channels, 4 * width, 1),
            nn.Upsample(scale_factor=2),
            convolution(4 * width, 2 * width, 1),
            nn.Upsample(scale_factor=2),
            convolution(2 * width, width, 1),
            nn.Upsample(scale_factor=2),
            convolution(width, width, 1),
            nn.Conv2d(width, 3, 3, padding=1),
            nn.Sigmoid(),
        )

    def reconstruct(self, image: Tensor) -> Tensor:
        """Rebuild images [N, 3, H, W] in [0, 1], H and W multiples of 8."""
        return self.decoder(self.encoder(image))

    def forward(self, image: Tensor) -> InferenceBatch:
        """Score images [N, 3, H, W]: mean squared error [N], and its smoothed map [N, 1, H, W]."""
        error = (image - self.reconstruct(image)).square().mean(dim=1, keepdim=True)
        return InferenceBatch(
            pred_score=error.mean(dim=(1, 2, 3)),
            anomaly_map=functional.avg_pool2d(error, 5, stride=1, padding=2, count_include_pad=False),
        )
