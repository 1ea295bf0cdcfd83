# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Refiner and discriminator of ALOCC (Sabokrou et al., CVPR 2018)."""

import torch
from anomalib.data import InferenceBatch
from torch import Tensor, nn
from torch.nn import functional

from anomalib_patchgan.models.components.ranges import check_multiple

# Four halvings of the resolution in the discriminator.
STEP = 16


def down(before: int, after: int) -> nn.Sequential:
    """5x5 convolution that halves the resolution, batch normalisation, leaky ReLU."""
    return nn.Sequential(
        nn.Conv2d(before, after, 5, stride=2, padding=2, bias=False),
        nn.BatchNorm2d(after),
        nn.LeakyReLU(0.2, inplace=True),
    )


def up(before: int, after: int) -> nn.Sequential:
    """Doubling of the resolution, 5x5 convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2),
        nn.Conv2d(before, after, 5, padding=2, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class AloccModel(nn.Module):
    """R rebuilds a noisy image; D tells images from what R rebuilt. R helps D: R(x) of an anomaly is a bad image.

    Args:
        image_size: Side of the images in pixels, a multiple of 16.
        width: Channels after the first halving of the resolution; they double with each further one.
        reconstruction_weight: Weight of the squared error beside the adversarial term, in R's loss and in the score.

    Raises:
        InputError: The side is no multiple of 16.
    """

    def __init__(self, image_size: int, width: int, reconstruction_weight: float) -> None:
        super().__init__()
        check_multiple(STEP, image_size=image_size)
        self.reconstruction_weight = reconstruction_weight
        self.refiner = nn.Sequential(
            down(3, width),
            down(width, 2 * width),
            down(2 * width, 4 * width),
            up(4 * width, 2 * width),
            up(2 * width, width),
            up(width, width),
            nn.Conv2d(width, 3, 5, padding=2),
        )
        self.discriminator = nn.Sequential(
            nn.Conv2d(3, width, 5, stride=2, padding=2),
            nn.LeakyReLU(0.2, inplace=True),
            down(width, 2 * width),
            down(2 * width, 4 * width),
            down(4 * width, 8 * width),
            nn.Flatten(),
            nn.Linear(8 * width * (image_size // STEP) ** 2, 1),
        )

    def refiner_loss(self, image: Tensor, refined: Tensor) -> tuple[Tensor, Tensor]:
        """Adversarial term -log D(R) and squared error, both [N], of refined images [N, 3, H, W]."""
        adversarial = functional.softplus(-self.discriminator(refined).squeeze(1))
        return adversarial, (image - refined).square().mean(dim=(1, 2, 3))

    def forward(self, image: Tensor) -> InferenceBatch:
        """Score images [N, 3, H, W] in [0, 1]: R's own loss of each image [N] >= 0, and its residual [N, 1, H, W]."""
        refined = self.refiner(image)
        adversarial, error = self.refiner_loss(image, refined)
        residual = (image - refined).square().mean(dim=1, keepdim=True)
        return InferenceBatch(
            pred_score=adversarial + self.reconstruction_weight * error,
            anomaly_map=functional.avg_pool2d(residual, 5, stride=1, padding=2, count_include_pad=False),
        )


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Cross-entropy of the logits [N, 1] of real images and of refined ones."""
    return torch.mean(functional.softplus(-real) + functional.softplus(fake))
