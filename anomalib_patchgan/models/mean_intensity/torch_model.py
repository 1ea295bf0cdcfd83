# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""How far an image's mean colour lies from that of normal images."""

import torch
from anomalib.data import InferenceBatch
from torch import Tensor, nn

# Keeps the covariance of equal (grey) channels invertible; in squared intensity, where images span [0, 1].
RIDGE = 1e-5


class MeanIntensityModel(nn.Module):
    """Mahalanobis distance of the mean over pixels, and of each pixel for the map; both two-sided.

    Two-sided because no label may tell whether lesions are brighter or darker than normal tissue.
    """

    image_mean: Tensor
    image_precision: Tensor
    pixel_mean: Tensor
    pixel_precision: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("image", "pixel"):
            self.register_buffer(f"{name}_mean", torch.zeros(3))
            self.register_buffer(f"{name}_precision", torch.eye(3))

    def fit(self, images: Tensor) -> None:
        """Fit to normal images [n, 3, H, W] in [0, 1]."""
        pixels = images.permute(0, 2, 3, 1).flatten(end_dim=2)
        for name, sample in (("image", images.mean(dim=(2, 3))), ("pixel", pixels)):
            centred = sample.double() - sample.double().mean(dim=0)
            covariance = centred.T @ centred / max(1, len(sample) - 1)
            ridge = RIDGE * torch.eye(3, device=images.device)
            getattr(self, f"{name}_mean").copy_(sample.mean(dim=0))
            getattr(self, f"{name}_precision").copy_(torch.linalg.inv(covariance + ridge))

    def forward(self, image: Tensor) -> InferenceBatch:
        """Score images [N, 3, H, W]: scores [N] and maps [N, 1, H, W], both squared distances >= 0."""
        whole = image.mean(dim=(2, 3)) - self.image_mean
        pixel = image - self.pixel_mean.view(1, 3, 1, 1)
        return InferenceBatch(
            pred_score=torch.einsum("nc,cd,nd->n", whole, self.image_precision, whole),
            anomaly_map=torch.einsum("nchw,cd,ndhw->nhw", pixel, self.pixel_precision, pixel).unsqueeze(1),
        )
