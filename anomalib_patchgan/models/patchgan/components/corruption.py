# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Synthetic local corruption of normal images: the label-free targets of the ranker and fakes for the discriminator.

The families follow what the field uses to train without labels: intensity shifts (Meissen et al., 2022, on how far
intensity alone carries), texture, cut-paste (Li et al., 2021), deformation and blur; extents from a few pixels to the
whole image (Baugh et al., 2023). Nothing here is shared with the code that draws phantom lesions, and an import rule
keeps it so.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

# A pixel counts as corrupted where it moved by at least this much (images are in [0, 1]).
VISIBLE_CHANGE = 0.02
# Share of corruptions that cover the whole image: a lesion can be larger than the field of view.
WHOLE_IMAGE_SHARE = 0.35


def smooth_noise(images: int, channels: int, height: int, width: int, cells: int, device: torch.device) -> Tensor:
    """Smooth random field [images, channels, height, width], about standard normal, with this many cells a side."""
    coarse = torch.randn(images, channels, cells, cells, device=device)
    field = functional.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)
    return field / field.flatten(1).std(dim=1).clamp_min(1e-6).view(-1, 1, 1, 1)


def blobs(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Draw one soft-edged, irregular region per image, centred on its foreground.

    Args:
        image: [N, C, H, W] in [0, 1]. Pixels that are 0 in all channels are background (outside a skull-stripped
            brain) and are never covered.

    Returns:
        Opacity [N, 1, H, W] in [0, 1], centres [N, 2] as (row, column) in pixels, and radii [N] in pixels.
    """
    count, _, height, width = image.shape
    device = image.device
    foreground = (image.amax(dim=1, keepdim=True) > 0).float()
    chance = foreground.flatten(1) + 1e-6
    index = torch.multinomial(chance, 1).squeeze(1)
    centre = torch.stack([index // width, index % width], dim=1).float()
    smallest, largest = 0.02 * min(height, width), 0.35 * min(height, width)
    radius = smallest * (largest / smallest) ** torch.rand(count, device=device)
    row = torch.arange(height, device=device).view(1, -1, 1) - centre[:, 0].view(-1, 1, 1)
    column = torch.arange(width, device=device).view(1, 1, -1) - centre[:, 1].view(-1, 1, 1)
    stretch = torch.exp(0.35 * torch.randn(count, 1, 1, device=device))
    angle = torch.pi * torch.rand(count, 1, 1, device=device)
    along = (row * angle.cos() + column * angle.sin()) * stretch
    across = (column * angle.cos() - row * angle.sin()) / stretch
    distance = (along**2 + across**2).sqrt() / radius.view(-1, 1, 1)
    wobble = 0.25 * smooth_noise(count, 1, height, width, max(4, min(height, width) // 8), device).squeeze(1)
    softness = torch.empty(count, 1, 1, device=device).uniform_(0.05, 0.4)
    opacity = torch.sigmoid((1 - distance - wobble) / softness * 3).unsqueeze(1)
    whole = (torch.rand(count, 1, 1, 1, device=device) < WHOLE_IMAGE_SHARE).float()
    opacity = torch.where(opacity > 0.05, opacity, torch.zeros_like(opacity))
    return torch.maximum(opacity, whole) * foreground, centre, radius


def shift_intensity(image: Tensor, opacity: Tensor, centre: Tensor, radius: Tensor) -> Tensor:
    """Brighten or darken, the channels together for the greater part and apart for the rest."""
    del centre, radius
    count, channels = image.shape[:2]
    sign = torch.where(torch.rand(count, 1, 1, 1, device=image.device) < 0.5, -1.0, 1.0)
    amount = sign * torch.empty(count, 1, 1, 1, device=image.device).uniform_(0.06, 0.45)
    spread = 0.6 * torch.rand(count, 1, 1, 1, device=image.device) * grey_safe_noise(image, channels)
    return image + opacity * amount * (1 + spread)


def grey_safe_noise(image: Tensor, channels: int) -> Tensor:
    """Noise [N, channels, 1, 1] in [-1, 1] per channel, but 0 for images whose channels are equal: grey stays grey."""
    grey = (image.amax(dim=1) - image.amin(dim=1)).flatten(1).amax(dim=1) < 1e-4
    noise = 2 * torch.rand(len(image), channels, 1, 1, device=image.device) - 1
    return torch.where(grey.view(-1, 1, 1, 1), torch.zeros_like(noise), noise)


def add_texture(image: Tensor, opacity: Tensor, centre: Tensor, radius: Tensor) -> Tensor:
    """Add a rougher or finer random texture without a shift of the mean."""
    del centre, radius
    count, _, height, width = image.shape
    fine = smooth_noise(count, 1, height, width, max(4, height // 2), image.device)
    coarse = smooth_noise(count, 1, height, width, max(4, height // 5), image.device)
    pick = (torch.rand(count, 1, 1, 1, device=image.device) < 0.5).float()
    amount = torch.empty(count, 1, 1, 1, device=image.device).uniform_(0.03, 0.15)
    return image + opacity * amount * (pick * fine + (1 - pick) * coarse)


def paste(image: Tensor, opacity: Tensor, centre: Tensor, radius: Tensor) -> Tensor:
    """Paste what stands elsewhere, in the same image or in another one of the batch."""
    del centre, radius
    count, _, height, width = image.shape
    donor = image[torch.randperm(count, device=image.device)]
    other = torch.rand(count, 1, 1, 1, device=image.device) < 0.5
    donor = torch.where(other, donor, image)
    down, right = (int(torch.randint(size // 8, size - size // 8, (1,))) for size in (height, width))
    return image + opacity * (torch.roll(donor, (down, right), dims=(2, 3)) - image)


def deform(image: Tensor, opacity: Tensor, centre: Tensor, radius: Tensor) -> Tensor:
    """Push tissue away from a centre or pull it in (mass effect), without a change of intensities."""
    del opacity
    count, _, height, width = image.shape
    device = image.device
    row = torch.linspace(-1, 1, height, device=device).view(1, -1, 1).expand(count, height, width)
    column = torch.linspace(-1, 1, width, device=device).view(1, 1, -1).expand(count, height, width)
    middle_row = (2 * centre[:, 0] / max(1, height - 1) - 1).view(-1, 1, 1)
    middle_column = (2 * centre[:, 1] / max(1, width - 1) - 1).view(-1, 1, 1)
    reach = (2 * radius.clamp_min(4) / min(height, width)).view(-1, 1, 1) * 1.5
    distance = ((row - middle_row) ** 2 + (column - middle_column) ** 2).sqrt()
    fall = (1 - distance / reach).clamp_min(0) ** 2
    sign = torch.where(torch.rand(count, 1, 1, device=device) < 0.5, -1.0, 1.0)
    strength = sign * torch.empty(count, 1, 1, device=device).uniform_(0.4, 0.9)
    grid = torch.stack(
        [column - (column - middle_column) * fall * strength, row - (row - middle_row) * fall * strength],
        dim=-1,
    )
    return functional.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)


def blur(image: Tensor, opacity: Tensor, centre: Tensor, radius: Tensor) -> Tensor:
    """Smooth away detail."""
    del centre, radius
    size = 2 * int(torch.randint(1, 4, (1,))) + 1
    smooth = functional.avg_pool2d(image, size, stride=1, padding=size // 2, count_include_pad=False)
    return image + opacity * (smooth - image)


Corruption = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
CORRUPTIONS: dict[str, Corruption] = {
    "intensity": shift_intensity,
    "texture": add_texture,
    "paste": paste,
    "deformation": deform,
    "blur": blur,
}
# Intensity shifts are drawn more often: most lesions change the signal, and the others teach the remaining ways.
CHANCES = {"intensity": 0.4, "texture": 0.15, "paste": 0.2, "deformation": 0.15, "blur": 0.1}


@torch.no_grad()
def corrupt(image: Tensor) -> tuple[Tensor, Tensor]:
    """Corrupt one region of each image in one way.

    Args:
        image: Normal images [N, C, H, W] in [0, 1].

    Returns:
        Corrupted images [N, C, H, W] in [0, 1], and [N, 1, H, W] with 1 where a pixel changed visibly, else 0.
    """
    opacity, centre, radius = blobs(image)
    names = list(CORRUPTIONS)
    chances = torch.tensor([CHANCES[name] for name in names], device=image.device)
    kinds = torch.multinomial(chances, len(image), replacement=True)
    result = image.clone()
    for index, name in enumerate(names):
        chosen = (kinds == index).nonzero().squeeze(1)
        if len(chosen):
            result[chosen] = CORRUPTIONS[name](image[chosen], opacity[chosen], centre[chosen], radius[chosen])
    result = result.clamp(0, 1)
    changed = ((result - image).abs().amax(dim=1, keepdim=True) >= VISIBLE_CHANGE).to(image.dtype)
    return result, changed
