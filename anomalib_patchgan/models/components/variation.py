# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Variation of normal images in training: what differs from image to image and is no anomaly.

The ranker then learns to tell such differences, which normal images of other subjects and scanners have, from
corruption.
"""

import torch
from torch import Tensor
from torch.nn import functional

from anomalib_patchgan.models.components.corruption import smooth_noise

# Largest change, uniform around none: turn in radians, relative scale, shift relative to the image's side.
TURN, SCALE, SHIFT = 0.15, 0.1, 0.05
# Standard deviations of the logarithm of gain, of gamma and of a smooth multiplicative field, and of added noise.
GAIN, GAMMA, FIELD, NOISE = 0.05, 0.1, 0.05, 0.01


@torch.no_grad()
def move(image: Tensor, strength: float) -> Tensor:
    """Mirror every other image left to right, and turn, scale and shift each a little.

    Args:
        image: [N, C, H, W] in [0, 1].
        strength: 0 for none, 1 for the amounts of this module.

    Returns:
        [N, C, H, W] in [0, 1].
    """
    if strength == 0:
        return image
    count, _, height, width = image.shape
    device = image.device
    small = strength * (2 * torch.rand(count, 4, device=device) - 1)
    angle, scale = TURN * small[:, 0], 1 + SCALE * small[:, 1]
    mirror = torch.where(torch.rand(count, device=device) < 0.5, -1.0, 1.0)
    cosine, sine = angle.cos() * scale, angle.sin() * scale
    matrix = torch.stack(
        [
            torch.stack([cosine * mirror, -sine * height / width, 2 * SHIFT * small[:, 2]], dim=1),
            torch.stack([sine * mirror * width / height, cosine, 2 * SHIFT * small[:, 3]], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(matrix, list(image.shape), align_corners=False)
    return functional.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)


@torch.no_grad()
def relight(image: Tensor, strength: float) -> Tensor:
    """Change gain, gamma, the evenness of light, and noise of each image a little.

    The background (exactly 0) stays exactly 0.

    Args:
        image: [N, C, H, W] in [0, 1].
        strength: 0 for none, 1 for the amounts of this module.

    Returns:
        [N, C, H, W] in [0, 1].
    """
    if strength == 0:
        return image
    count, _, height, width = image.shape
    device = image.device
    draw = strength * torch.randn(count, 2, 1, 1, 1, device=device)
    field = strength * smooth_noise(count, 1, height, width, 4, device)
    noise = strength * NOISE * torch.rand(count, 1, 1, 1, device=device) * torch.randn_like(image[:, :1])
    bright = image.clamp_min(1e-6) ** (GAMMA * draw[:, 1]).exp() * (GAIN * draw[:, 0] + FIELD * field).exp() + noise
    return torch.where(image > 0, bright, torch.zeros_like(bright)).clamp(0, 1)
