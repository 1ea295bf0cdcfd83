# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Generator, critic and encoder of f-AnoGAN (Schlegl et al., Medical Image Analysis 2019)."""

from math import log2

import torch
from anomalib.data import InferenceBatch
from torch import Tensor, nn
from torch.nn import functional

from anomalib_patchgan.errors import InputError

# Side of the smallest feature map.
SMALLEST = 4


class FAnoGanModel(nn.Module):
    """G draws normal images from a latent vector, C tells real from drawn ones, E finds an image's latent vector.

    Plain strided convolutions, as in AnoGAN and DCGAN.

    Args:
        image_size: Side of the images in pixels, 4 times a power of two, at least 16.
        width: Channels at half the resolution; they double with each halving, up to eight times as many.
        latent_size: Length of the latent vector.
        feature_weight: Weight (kappa) of the feature residual beside the image residual.

    Raises:
        InputError: A side that does not fit.
    """

    def __init__(self, image_size: int, width: int, latent_size: int, feature_weight: float) -> None:
        super().__init__()
        halvings = round(log2(max(1, image_size) / SMALLEST))
        if halvings < 2 or SMALLEST * 2**halvings != image_size:
            raise InputError(f"image_size: found {image_size}, expected 16, 32, 64, 128 or 256.")
        self.latent_size = latent_size
        self.feature_weight = feature_weight
        channels = [width * min(8, 2**level) for level in range(halvings)]
        flat = channels[-1] * SMALLEST**2
        self.generator = nn.Sequential(
            nn.Linear(latent_size, flat, bias=False),
            nn.Unflatten(1, (channels[-1], SMALLEST, SMALLEST)),
            nn.BatchNorm2d(channels[-1]),
            nn.ReLU(inplace=True),
            *(self._up(before, after) for before, after in zip(channels[:0:-1], channels[-2::-1], strict=True)),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(channels[0], 3, 5, padding=2),
        )
        # No batch normalisation in the critic: the gradient penalty is a statement about single images.
        self.critic_features = nn.Sequential(
            *(self._down(before, after, nn.Identity) for before, after in zip([3, *channels], channels, strict=False)),
            nn.Flatten(),
        )
        self.critic_head = nn.Linear(flat, 1)
        self.encoder = nn.Sequential(
            *(
                self._down(before, after, nn.BatchNorm2d if before > 3 else nn.Identity)
                for before, after in zip([3, *channels], channels, strict=False)
            ),
            nn.Flatten(),
            nn.Linear(flat, latent_size),
        )

    @staticmethod
    def _up(before: int, after: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Upsample(scale_factor=2),
            nn.Conv2d(before, after, 5, padding=2, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        )

    @staticmethod
    def _down(before: int, after: int, normalisation: type[nn.Module]) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(before, after, 5, stride=2, padding=2),
            normalisation(after),
            nn.LeakyReLU(0.2),
        )

    def criticise(self, image: Tensor) -> Tensor:
        """Critic's value [N], high for real images [N, 3, H, W]."""
        return self.critic_head(self.critic_features(image)).squeeze(1)

    def critic_loss(self, real: Tensor, drawn: Tensor, penalty_weight: float) -> Tensor:
        """Wasserstein loss with gradient penalty (Gulrajani et al., 2017) of images [N, 3, H, W]."""
        share = torch.rand(len(real), 1, 1, 1, device=real.device)
        between = (share * real + (1 - share) * drawn).requires_grad_()
        (slope,) = torch.autograd.grad(self.criticise(between).sum(), between, create_graph=True)
        penalty = (slope.flatten(1).norm(dim=1) - 1).square().mean()
        return self.criticise(drawn).mean() - self.criticise(real).mean() + penalty_weight * penalty

    def residuals(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rebuild images [N, 3, H, W] from their latent vectors.

        Returns:
            What was rebuilt [N, 3, H, W], and mean squared residuals [N] of the image and of the critic's features.
        """
        rebuilt = self.generator(self.encoder(image))
        features = self.critic_features(torch.cat([image, rebuilt]))
        difference = features[: image.shape[0]] - features[image.shape[0] :]
        return rebuilt, (image - rebuilt).square().mean(dim=(1, 2, 3)), difference.square().mean(dim=1)

    def forward(self, image: Tensor) -> InferenceBatch:
        """Score images [N, 3, H, W] in [0, 1]: residuals of image + kappa x features [N], and a map [N, 1, H, W]."""
        rebuilt, of_image, of_features = self.residuals(image)
        residual = (image - rebuilt).abs().mean(dim=1, keepdim=True)
        return InferenceBatch(
            pred_score=of_image + self.feature_weight * of_features,
            anomaly_map=functional.avg_pool2d(residual, 5, stride=1, padding=2, count_include_pad=False),
        )
