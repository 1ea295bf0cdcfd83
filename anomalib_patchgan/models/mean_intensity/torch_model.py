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

    def condense(self, images: Tensor) -> Tensor:
        """Mean colour of each image [N, 3, H, W] and, in squares and products, that of its pixels: [N, 4, 3]."""
        pixels = images.flatten(2).double()
        products = pixels @ pixels.transpose(1, 2) / pixels.shape[2]
        return torch.cat([pixels.mean(dim=2, keepdim=True).transpose(1, 2), products], dim=1)

    def fit(self, condensed: Tensor) -> None:
        """Fit to what was kept of normal images in [0, 1], [n, 4, 3]."""
        means, products = condensed[:, 0], condensed[:, 1:]
        centred = means - means.mean(dim=0)
        within = products.mean(dim=0) - torch.outer(means.mean(dim=0), means.mean(dim=0))
        between = centred.T @ centred / max(1, len(means) - 1)
        for name, covariance in (("image", between), ("pixel", within)):
            ridge = RIDGE * torch.eye(3, device=means.device)
            getattr(self, f"{name}_mean").copy_(means.mean(dim=0))
            getattr(self, f"{name}_precision").copy_(torch.linalg.inv(covariance + ridge))

    def forward(self, image: Tensor) -> InferenceBatch:
        """Score images [N, 3, H, W]: scores [N] and maps [N, 1, H, W], both squared distances >= 0."""
        whole = image.mean(dim=(2, 3)) - self.image_mean
        pixel = image - self.pixel_mean.view(1, 3, 1, 1)
        return InferenceBatch(
            pred_score=torch.einsum("nc,cd,nd->n", whole, self.image_precision, whole),
            anomaly_map=torch.einsum("nchw,cd,ndhw->nhw", pixel, self.pixel_precision, pixel).unsqueeze(1),
        )
