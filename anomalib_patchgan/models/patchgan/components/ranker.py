# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Rankings: how much each patch counts for the image's score, learned or by a fixed rule."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from anomalib_patchgan.models.patchgan.components.reconstructor import FOLD, ResidualBlock


class PatchRanker(nn.Module):
    """Gives each patch an importance from its evidence and from the image around it.

    The context is read from the image and its reconstruction at a quarter of the resolution; dilated convolutions over
    the grid of patches then let the same evidence rank differently in other surroundings.

    Args:
        evidence: Channels of evidence and features per patch.
        channels: Image channels C.
        width: Hidden channels.
        patch_size: Side of a patch in pixels, a multiple of 4.
    """

    def __init__(self, evidence: int, channels: int, width: int, patch_size: int) -> None:
        super().__init__()
        self.pool = patch_size // FOLD
        self.context = nn.Sequential(
            nn.Conv2d(2 * channels * FOLD**2, width, 3, padding=1),
            ResidualBlock(width, dilation=1),
            ResidualBlock(width, dilation=2),
        )
        self.enter = nn.Conv2d(evidence + 2 * width, width, 1)
        self.near = ResidualBlock(width, dilation=1)
        self.image = nn.Linear(width, width)
        self.far = ResidualBlock(width, dilation=2)
        self.leave = nn.Conv2d(width, 1, 1)

    def forward(self, evidence: Tensor, image: Tensor, reconstruction: Tensor) -> Tensor:
        """Rank patches.

        Args:
            evidence: [N, evidence, rows, columns].
            image: [N, C, H, W] in [0, 1].
            reconstruction: [N, C, H, W].

        Returns:
            Importance logits [N, 1, rows, columns]; the higher, the sooner a patch is looked at.
        """
        pair = torch.cat([image - 0.5, 4 * (image - reconstruction)], dim=1)
        context = functional.leaky_relu(self.context(functional.pixel_unshuffle(pair, FOLD)), 0.2)
        pooled = [functional.avg_pool2d(context, self.pool), functional.max_pool2d(context, self.pool)]
        hidden = self.near(self.enter(torch.cat([evidence, *pooled], dim=1)))
        whole = self.image(functional.leaky_relu(hidden, 0.2).mean(dim=(2, 3)))[:, :, None, None]
        return self.leave(functional.leaky_relu(self.far(hidden + whole), 0.2))


def learned(scores: Tensor, importance: Tensor) -> Tensor:
    """Importance above that of normal patches (softplus), a share of the number of patches.

    Not normalised to a sum of 1: how important the most important patch is, is itself evidence.
    """
    del scores
    return functional.softplus(importance) / importance.shape[1]


def mean(scores: Tensor, importance: Tensor) -> Tensor:
    """Every patch counts the same: no ranking."""
    del importance
    return torch.ones_like(scores) / scores.shape[1]


def maximum(scores: Tensor, importance: Tensor) -> Tensor:
    """Only the patch with the highest score counts."""
    del importance
    return (scores >= scores.amax(dim=1, keepdim=True)).to(scores.dtype)


def author2020(scores: Tensor, importance: Tensor) -> Tensor:
    """The fixed rule of the first author's public 2019-2020 code: 1.1 x the highest + 1 x the second highest."""
    del importance
    top = scores.topk(min(2, scores.shape[1]), dim=1).values
    return (scores >= top[:, -1:]).to(scores.dtype) + 0.1 * (scores >= top[:, :1]).to(scores.dtype)


# Each rule maps patch scores [N, P] and importance logits [N, P] to weights [N, P].
RANKINGS = {"learned": learned, "mean": mean, "max": maximum, "author2020": author2020}
