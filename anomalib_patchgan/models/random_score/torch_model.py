# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A score drawn from the image's content, so that it is random and yet the same whenever the image is scored."""

import torch
from anomalib.data import InferenceBatch
from torch import Tensor, nn

# A prime that fits into 31 bits: products with a byte, summed over any image, fit into 64.
PRIME = 2**31 - 1


class RandomScoreModel(nn.Module):
    """Multilinear hash of the image's 8-bit pixels (Carter and Wegman, 1979), spread over [0, 1].

    Whole numbers, because sums of floats depend on batch size and threads in their last bits, and a hash is all of
    them. The key is drawn at construction from torch's generator, so the job's seed decides it.
    """

    key: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("key", torch.randint(1, PRIME, (3,)))

    @staticmethod
    def condense(images: Tensor) -> Tensor:
        """Nothing is needed of the images [N, 3, H, W]."""
        return images.new_zeros(0)

    def fit(self, condensed: Tensor) -> None:
        """There is nothing to fit."""

    def forward(self, image: Tensor) -> InferenceBatch:
        """Score images [N, 3, H, W] in [0, 1]: scores [N] in [0, 1], no map."""
        pixels = (255 * image).round().long().flatten(1)
        position = torch.arange(pixels.shape[1], device=pixels.device) % PRIME
        # Twice, since one linear map of the position would give like images like scores.
        weight = (self.key[0] * position + self.key[1]) % PRIME
        weight = (weight * ((weight + self.key[2]) % PRIME)) % PRIME
        hashed = ((pixels + 1) * weight).sum(dim=1) % PRIME
        return InferenceBatch(pred_score=hashed.float() / PRIME)
