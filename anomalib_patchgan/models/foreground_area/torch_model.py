# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""How much of an image is no background."""

from anomalib.data import InferenceBatch
from torch import Tensor, nn

# Darker is background: outside a skull-stripped brain it is 0, and resizing and JPEG leave a faint rim.
BACKGROUND = 0.02


class ForegroundAreaModel(nn.Module):
    """Share of pixels that are not dark in all channels.

    One-sided: of an axial brain slice it says how central the slice is and how large the brain. An AUROC far from 0.5,
    above or below, says that the label can be guessed without a look at the tissue.
    """

    @staticmethod
    def condense(images: Tensor) -> Tensor:
        """Nothing is needed of the images [N, 3, H, W]."""
        return images.new_zeros(0)

    def fit(self, condensed: Tensor) -> None:
        """There is nothing to fit."""

    def forward(self, image: Tensor) -> InferenceBatch:
        """Score images [N, 3, H, W] in [0, 1]: shares [N] in [0, 1], no map."""
        return InferenceBatch(pred_score=(image.amax(dim=1) > BACKGROUND).float().mean(dim=(1, 2)))
