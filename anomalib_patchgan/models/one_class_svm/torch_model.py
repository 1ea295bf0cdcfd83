# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A one-class SVM fitted by scikit-learn and evaluated by torch, so that it exports like any other model."""

import torch
from anomalib.data import InferenceBatch
from anomalib.models.components import DynamicBufferMixin
from sklearn.svm import OneClassSVM
from torch import Tensor, nn


class OneClassSvmModel(DynamicBufferMixin, nn.Module):
    """One-class SVM (Schoelkopf et al., 2001) with a Gaussian kernel on an image's pixels.

    Args:
        nu: Upper bound on the share of training images left outside, in (0, 1].
    """

    support: Tensor
    coefficients: Tensor
    intercept: Tensor
    gamma: Tensor

    def __init__(self, nu: float) -> None:
        super().__init__()
        self.nu = nu
        self.register_buffer("support", torch.zeros(1, 1))
        self.register_buffer("coefficients", torch.zeros(1))
        self.register_buffer("intercept", torch.zeros(()))
        self.register_buffer("gamma", torch.ones(()))

    def condense(self, images: Tensor) -> Tensor:
        """Pixels [N, 3 H W] of thumbnails [N, 3, H, W] in [0, 1]."""
        return images.flatten(1)

    def fit(self, condensed: Tensor) -> None:
        """Fit to the pixels of normal thumbnails [n, 3 H W]; the kernel's gamma is 1 / (pixels x variance)."""
        machine = OneClassSVM(kernel="rbf", gamma="scale", nu=self.nu)
        machine.fit(condensed.cpu().double().numpy())
        device = condensed.device
        self.support = torch.as_tensor(machine.support_vectors_, dtype=torch.float32, device=device)
        self.coefficients = torch.as_tensor(machine.dual_coef_[0], dtype=torch.float32, device=device)
        self.intercept = torch.tensor(float(machine.intercept_[0]), device=device)
        self.gamma = torch.tensor(float(machine._gamma), device=device)  # noqa: SLF001

    def forward(self, image: Tensor) -> InferenceBatch:
        """Score images [N, 3, H, W]: negative decision function [N], above 0 outside the support; no map."""
        pixels = image.flatten(1)
        squared = (
            pixels.square().sum(dim=1, keepdim=True) + self.support.square().sum(dim=1) - 2 * pixels @ self.support.T
        )
        return InferenceBatch(pred_score=-(torch.exp(-self.gamma * squared) @ self.coefficients + self.intercept))
