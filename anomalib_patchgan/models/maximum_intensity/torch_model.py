# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The brightest smoothed spot of an image."""

from anomalib.data import InferenceBatch
from torch import Tensor, nn
from torch.nn import functional

from anomalib_patchgan.errors import InputError


class MaximumIntensityModel(nn.Module):
    """Intensity, averaged over channels and a small square.

    Args:
        spot_size: Side of the square in pixels, odd.

    Raises:
        InputError: The side is even or not positive.
    """

    def __init__(self, spot_size: int) -> None:
        super().__init__()
        if spot_size < 1 or spot_size % 2 == 0:
            raise InputError(f"spot_size: found {spot_size}, expected an odd number of pixels.")
        self.spot_size = spot_size

    @staticmethod
    def condense(images: Tensor) -> Tensor:
        """Nothing is needed of the images [N, 3, H, W]."""
        return images.new_zeros(0)

    def fit(self, condensed: Tensor) -> None:
        """There is nothing to fit."""

    def forward(self, image: Tensor) -> InferenceBatch:
        """Score images [N, 3, H, W] in [0, 1]: the map's maximum [N], and the map [N, 1, H, W] in [0, 1]."""
        grey = image.mean(dim=1, keepdim=True)
        smooth = functional.avg_pool2d(
            grey, self.spot_size, stride=1, padding=self.spot_size // 2, count_include_pad=False
        )
        return InferenceBatch(pred_score=smooth.flatten(1).amax(dim=1), anomaly_map=smooth)
