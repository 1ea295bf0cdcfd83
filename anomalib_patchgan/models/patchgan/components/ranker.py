# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Rankings: which patches matter, and the image's score from them, learned or by a fixed rule."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from anomalib_patchgan.models.patchgan.components.folded_unet import STRIDE, FoldedUNet
from anomalib_patchgan.models.patchgan.components.masks import to_pixels

# Importance logit of a pixel before training: few pixels are corrupted.
RARE = -3.0


class PatchRanker(nn.Module):
    """Gives each patch, and each pixel within it, an importance from the patch's evidence and from the image around it.

    The context is read from the image and its reconstruction; the patches' evidence joins at an eighth of the
    resolution, where dilated convolutions and the mean over the whole image let the same evidence rank differently in
    other surroundings. Where the ranker is mirrored, a place's surroundings include the other side of the image: most
    anatomy is nearly symmetric, and few lesions are.

    Args:
        evidence: Channels of evidence and features per patch.
        channels: Image channels C.
        width: Channels at a quarter of the resolution; twice as many at an eighth.
        patch_size: Side of a patch in pixels, a multiple of 8.
        mirrored: Whether a place is compared with its mirror image, left to right.
    """

    def __init__(self, evidence: int, channels: int, width: int, patch_size: int, mirrored: bool) -> None:
        super().__init__()
        self.cells = patch_size // STRIDE
        self.network = FoldedUNet(2 * channels, 1, width, joined=evidence, mirrored=mirrored)
        self.leave = nn.Conv2d(2 * width, 1, 1)
        nn.init.constant_(cast("Tensor", self.network.leave.bias), RARE)

    def forward(self, evidence: Tensor, image: Tensor, discrepancy: Tensor) -> tuple[Tensor, Tensor]:
        """Rank patches.

        Args:
            evidence: [N, evidence, rows, columns].
            image: [N, C, H, W] in [0, 1].
            discrepancy: Image minus reconstruction [N, C, H, W].

        Returns:
            Importance logits of the patches [N, 1, rows, columns] and of the pixels [N, 1, H, W]; the higher, the
            sooner one is looked at.
        """
        pair = torch.cat([image - 0.5, 4 * discrepancy], dim=1)
        pixels, inner = self.network(pair, to_pixels(evidence, self.cells))
        patches = functional.avg_pool2d(self.leave(functional.leaky_relu(inner, 0.2)), self.cells)
        return patches + functional.avg_pool2d(pixels, STRIDE * self.cells), pixels


class PatchwiseRanker(nn.Module):
    """Ranks a patch by its own evidence alone: what is left of the ranker without context.

    Args:
        evidence: Channels of evidence and features per patch.
        channels: Unused.
        width: Half of the hidden units.
        patch_size: Side of a patch in pixels.
        mirrored: Unused.
    """

    def __init__(self, evidence: int, channels: int, width: int, patch_size: int, mirrored: bool) -> None:
        super().__init__()
        del channels, mirrored
        self.patch_size = patch_size
        self.layers = nn.Sequential(
            nn.Conv2d(evidence, 2 * width, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 2 * width, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 1, 1),
        )

    def forward(self, evidence: Tensor, image: Tensor, discrepancy: Tensor) -> tuple[Tensor, Tensor]:
        """Rank patches; see :meth:`PatchRanker.forward`. All pixels of a patch are as important as the patch."""
        del image, discrepancy
        patches = self.layers(evidence)
        return patches, to_pixels(patches, self.patch_size)


def learned(scores: Tensor, importance: Tensor, shown: Tensor) -> Tensor:
    """Mean of what the map shows of each patch, times the patch's importance above that of normal patches (softplus).

    The weights are not normalised to a sum of 1: how important the most important patch is, is itself evidence.
    """
    del scores
    return (functional.softplus(importance) * shown).mean(dim=1)


def whole(scores: Tensor, importance: Tensor, shown: Tensor) -> Tensor:
    """Mean importance logit of all patches, which may be negative: for images that a lesion fills.

    Where all patches are abnormal or none, their logits add up as independent pieces of evidence do (Neyman and
    Pearson, 1933), while ``learned`` asks whether there is an abnormal one somewhere.
    """
    del scores, shown
    return importance.mean(dim=1)


def mean(scores: Tensor, importance: Tensor, shown: Tensor) -> Tensor:
    """Mean of the scores: no ranking."""
    del importance, shown
    return scores.mean(dim=1)


def maximum(scores: Tensor, importance: Tensor, shown: Tensor) -> Tensor:
    """The highest score."""
    del importance, shown
    return scores.amax(dim=1)


def top(scores: Tensor, importance: Tensor, shown: Tensor) -> Tensor:
    """Mean of the highest tenth of the scores, at least one."""
    del importance, shown
    return scores.topk(max(1, scores.shape[1] // 10), dim=1).values.mean(dim=1)


def author2020(scores: Tensor, importance: Tensor, shown: Tensor) -> Tensor:
    """The fixed rule of the first author's public 2019-2020 code: 1.1 x the highest + 1 x the second highest."""
    del importance, shown
    highest = scores.topk(min(2, scores.shape[1]), dim=1).values
    return highest.sum(dim=1) + 0.1 * highest[:, 0]


# Each rule maps patch scores, importance logits and the map's mean over each patch, all [N, P], to image scores [N].
RANKINGS = {"learned": learned, "whole": whole, "mean": mean, "max": maximum, "top": top, "author2020": author2020}
