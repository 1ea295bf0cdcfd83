# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""How far a slice lies from where normal training slices lie."""

import torch
from anomalib.data import InferenceBatch
from torch import Tensor, nn


class SlicePositionModel(nn.Module):
    """Distance of a slice's index from the mean index of the training slices."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    @staticmethod
    def condense(positions: Tensor) -> Tensor:
        """The indices [N] themselves."""
        return positions

    def fit(self, condensed: Tensor) -> None:
        """Fit to the indices of normal slices [n]."""
        self.mean.copy_(condensed.mean())

    def forward(self, positions: Tensor) -> InferenceBatch:
        """Score indices of slices [N]: distances [N] in slices, >= 0, no map."""
        return InferenceBatch(pred_score=(positions - self.mean).abs())
