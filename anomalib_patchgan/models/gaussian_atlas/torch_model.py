# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A Gaussian for every pixel, fitted to normal images."""

import torch
from anomalib.data import InferenceBatch
from torch import Tensor, nn
from torch.nn import functional

# Added to every standard deviation, in intensity: a pixel that is always background would make any speck infinite.
LEAST_DEVIATION = 0.02


class GaussianAtlasModel(nn.Module):
    """Squared distance of a pixel from that pixel's mean over normal images, in its own standard deviations.

    Its mean over the image is, up to constants, the negative log-likelihood of the image under independent Gaussians.

    Args:
        image_size: Side of the atlas in pixels.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, image_size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3, image_size, image_size))
        self.register_buffer("deviation", torch.ones(3, image_size, image_size))

    @staticmethod
    def condense(images: Tensor) -> Tensor:
        """Number, sum and sum of squares of a batch [N, 3, H, W], pixel by pixel: [1, 3, 3, H, W]."""
        wide = images.double()
        number = torch.full_like(wide[0], len(wide))
        return torch.stack([number, wide.sum(dim=0), wide.square().sum(dim=0)]).unsqueeze(0)

    def fit(self, condensed: Tensor) -> None:
        """Fit to what was kept of normal images in [0, 1], [batches, 3, 3, H, W]."""
        number, total, squares = condensed.sum(dim=0)
        mean = total / number
        self.mean.copy_(mean)
        self.deviation.copy_((squares / number - mean.square()).clamp_min(0).sqrt() + LEAST_DEVIATION)

    def forward(self, image: Tensor) -> InferenceBatch:
        """Score images [N, 3, H, W] in [0, 1]: mean squared distance [N], and its smoothed map [N, 1, H, W]."""
        squared = ((image - self.mean) / self.deviation).square().mean(dim=1, keepdim=True)
        return InferenceBatch(
            pred_score=squared.mean(dim=(1, 2, 3)),
            anomaly_map=functional.avg_pool2d(squared, 5, stride=1, padding=2, count_include_pad=False),
        )
