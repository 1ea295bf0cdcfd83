# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Synthetic local corruption of normal images: what Patch-GAN and the patch scorer learn from without a label.

The families follow what the field uses to train without labels: intensity shifts (Meissen et al., 2022, on how far
intensity alone carries), texture, cut-paste (Li et al., 2021), deformation and blur; extents from a few pixels to the
whole image (Baugh et al., 2023). Nothing here is shared with the code that draws phantom lesions, and an import rule
keeps it so.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from anomalib_patchgan.models.components.enlargement import enlargement

# Radius of a region as a share of the image's shorter side, log-uniform.
SMALLEST_RADIUS, LARGEST_RADIUS = 0.02, 0.2
# A pixel counts as corrupted where it moved by at least this much (images are in [0, 1]).
VISIBLE_CHANGE = 0.02
# A patch counts as corrupted from this share of visibly changed pixels on, and as intact only without any.
CORRUPTED_SHARE = 0.1
# Share of corrupted images that are corrupted a second time, near the first place: lesions have cores and rims.
SECOND_SHARE = 0.4
# How often, and in which share of images, one more place is corrupted: a place costs little beside an image's pass
# through the networks, and each teaches as much as the first.
MORE_PLACES, MORE_SHARE = 2, 0.7


def smooth_noise(images: int, channels: int, height: int, width: int, cells: int, device: torch.device) -> Tensor:
    """Smooth random field [images, channels, height, width], about standard normal, with this many cells a side."""
    coarse = torch.randn(images, channels, cells, cells, device=device)
    down, across = (enlargement(cells, size, "bicubic", device) for size in (height, width))
    field = down @ (coarse @ across.T)
    samples = field.flatten(1)
    deviation = (samples.square().mean(dim=1) - samples.mean(dim=1).square()).clamp_min(1e-12).sqrt()
    return field / deviation.view(-1, 1, 1, 1)


def pick(weights: Tensor) -> Tensor:
    """Draw one pixel of each image by its weight: index [N, 1] from weights >= 0 [N, ...]."""
    # Several times faster than torch.multinomial, which draws a number for every pixel.
    heights = (weights.flatten(1) + 1e-6).cumsum(dim=1)
    drawn = torch.rand(len(heights), 1, device=heights.device) * heights[:, -1:]
    return torch.searchsorted(heights, drawn).clamp_max(heights.shape[1] - 1)


def foreground_of(image: Tensor) -> Tensor:
    """What is not background (0 in all channels, as outside a skull-stripped brain): [N, 1, H, W], 1 or 0."""
    return (image.amax(dim=1, keepdim=True) > 0).float()


class Regions(NamedTuple):
    """One region per image.

    Attributes:
        opacity: [N, 1, H, W] in [0, 1].
        centre: [N, 2] as (row, column) in pixels.
        radius: [N] in pixels.
        whole: bool [N], whether all of the foreground is covered.
    """

    opacity: Tensor
    centre: Tensor
    radius: Tensor
    whole: Tensor

    def of(self, chosen: Tensor) -> "Regions":
        """The regions of some of the images."""
        return Regions(*(field[chosen] for field in self))


def draw_regions(image: Tensor, whole_share: float, near: Regions | None = None) -> Regions:
    """Draw one soft-edged, irregular region per image, centred on its foreground.

    Args:
        image: [N, C, H, W] in [0, 1]. Pixels that are 0 in all channels are background (outside a skull-stripped
            brain) and are never covered.
        whole_share: Share in [0, 1] of regions that cover all of the image's foreground.
        near: Regions in which the new ones are centred, or None for anywhere.

    Returns:
        The regions.
    """
    count, _, height, width = image.shape
    device = image.device
    foreground = foreground_of(image)
    places = foreground if near is None else foreground * near.opacity
    index = pick(places).squeeze(1)
    centre = torch.stack([index // width, index % width], dim=1).float()
    smallest, largest = SMALLEST_RADIUS * min(height, width), LARGEST_RADIUS * min(height, width)
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
    opacity = torch.where(opacity > 0.05, opacity, torch.zeros_like(opacity))
    whole = torch.rand(count, device=device) < whole_share
    opacity = torch.maximum(opacity, whole.float().view(-1, 1, 1, 1)) * foreground
    return Regions(opacity, centre, radius, whole)


def log_uniform(count: int, low: float, high: float, device: torch.device) -> Tensor:
    """Draw [count, 1, 1, 1] log-uniform between two positive numbers."""
    return low * (high / low) ** torch.rand(count, 1, 1, 1, device=device)


def coin(count: int, device: torch.device) -> Tensor:
    """Draw [count, 1, 1, 1] of 0 and 1, both as likely."""
    return torch.randint(2, (count, 1, 1, 1), device=device).float()


def draw_shift(count: int, device: torch.device) -> Tensor:
    """Draw a change of brightness of either sign, faint ones more often: [count, 1, 1, 1]."""
    return (1 - 2 * coin(count, device)) * log_uniform(count, 0.04, 0.5, device)


def draw_tone(image: Tensor) -> Tensor:
    """Draw a tone of each image's own foreground: [N, C, 1, 1]."""
    index = pick(foreground_of(image)).view(len(image), 1, 1).expand(-1, image.shape[1], -1)
    return image.flatten(2).gather(2, index).unsqueeze(3)


def shift_intensity(image: Tensor, regions: Regions) -> Tensor:
    """Brighten or darken, half of it unevenly; of what has colour, half changes its tint instead, by channel.

    Not all of it unevenly: smooth noise is easier to see than a shift, and what learns from it alone sees the noise.
    """
    count, channels, height, width = image.shape
    amount = draw_shift(count, image.device)
    drawn = torch.rand(count, 1, 1, 1, device=image.device)
    apart = grey_safe_noise(image, channels)
    tinted = (drawn >= 0.5) & (apart != 0).any(dim=1, keepdim=True)
    direction = torch.where(tinted, apart, 1 + 0.6 * drawn * apart)
    cloud = 0.3 * coin(count, image.device) * smooth_noise(count, 1, height, width, max(4, height // 8), image.device)
    return image + regions.opacity * amount * direction * (1 + cloud)


def fill(image: Tensor, regions: Regions) -> Tensor:
    """Replace what is there by a tone of the image's own, half of it textured: structure is lost, brightness stays."""
    count, _, height, width = image.shape
    tone = draw_tone(image)
    texture = coin(count, image.device) * smooth_noise(count, 1, height, width, max(4, height // 3), image.device)
    return image + regions.opacity * (tone + log_uniform(count, 0.005, 0.15, image.device) * texture - image)


def grey_safe_noise(image: Tensor, channels: int) -> Tensor:
    """Noise [N, channels, 1, 1] in [-1, 1] per channel, but 0 for images whose channels are equal: grey stays grey."""
    grey = (image.amax(dim=1) - image.amin(dim=1)).flatten(1).amax(dim=1) < 1e-4
    noise = 2 * torch.rand(len(image), channels, 1, 1, device=image.device) - 1
    return torch.where(grey.view(-1, 1, 1, 1), torch.zeros_like(noise), noise)


def add_texture(image: Tensor, regions: Regions) -> Tensor:
    """Add a rougher or finer random texture without a shift of the mean."""
    count, _, height, width = image.shape
    fine = smooth_noise(count, 1, height, width, max(4, height // 2), image.device)
    coarse = smooth_noise(count, 1, height, width, max(4, height // 5), image.device)
    texture = torch.where(coin(count, image.device) > 0, fine, coarse)
    return image + regions.opacity * log_uniform(count, 0.03, 0.2, image.device) * texture


def paste(image: Tensor, regions: Regions) -> Tensor:
    """Paste what stands elsewhere, in the same image or in another one of the batch."""
    count, _, height, width = image.shape
    donor = image[torch.randperm(count, device=image.device)]
    donor = torch.where(coin(count, image.device) > 0, donor, image)
    down, right = (int(torch.randint(size // 8, size - size // 8, (1,))) for size in (height, width))
    return image + regions.opacity * (torch.roll(donor, (down, right), dims=(2, 3)) - image)


def deform(image: Tensor, regions: Regions) -> Tensor:
    """Push tissue away from a centre or pull it in (mass effect), without a change of intensities."""
    centre = regions.centre
    count, _, height, width = image.shape
    device = image.device
    row = torch.linspace(-1, 1, height, device=device).view(1, -1, 1).expand(count, height, width)
    column = torch.linspace(-1, 1, width, device=device).view(1, 1, -1).expand(count, height, width)
    middle_row = (2 * centre[:, 0] / max(1, height - 1) - 1).view(-1, 1, 1)
    middle_column = (2 * centre[:, 1] / max(1, width - 1) - 1).view(-1, 1, 1)
    reach = (2 * regions.radius.clamp_min(4) / min(height, width)).view(-1, 1, 1) * 1.5
    distance = ((row - middle_row) ** 2 + (column - middle_column) ** 2).sqrt()
    fall = (1 - distance / reach).clamp_min(0) ** 2
    sign = torch.where(torch.rand(count, 1, 1, device=device) < 0.5, -1.0, 1.0)
    strength = sign * torch.empty(count, 1, 1, device=device).uniform_(0.4, 0.9)
    grid = torch.stack(
        [column - (column - middle_column) * fall * strength, row - (row - middle_row) * fall * strength],
        dim=-1,
    )
    return functional.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)


def blur(image: Tensor, regions: Regions) -> Tensor:
    """Smooth away detail."""
    size = 2 * int(torch.randint(1, 4, (1,))) + 1
    smooth = functional.avg_pool2d(image, size, stride=1, padding=size // 2, count_include_pad=False)
    return image + regions.opacity * (smooth - image)


Corruption = Callable[[Tensor, Regions], Tensor]
CORRUPTIONS: dict[str, Corruption] = {
    "intensity": shift_intensity,
    "fill": fill,
    "texture": add_texture,
    "paste": paste,
    "deformation": deform,
    "blur": blur,
}
# Intensity shifts are drawn more often: most lesions change the signal, and the others teach the remaining ways.
CHANCES = {"intensity": 0.35, "fill": 0.15, "texture": 0.1, "paste": 0.15, "deformation": 0.15, "blur": 0.1}
# Not drawn where a region covers everything: what is pasted then is a normal image with a seam, and a ranker that looks
# for seams is led away from lesions; a deformation keeps to its place whatever the region is.
LOCAL = ("paste", "deformation")


@torch.no_grad()
def corrupt(image: Tensor, whole_share: float) -> tuple[Tensor, Tensor]:
    """Corrupt one or a few regions of each image, the first of some of them once more in another way.

    Args:
        image: Normal images [N, C, H, W] in [0, 1]; N may be 0.
        whole_share: Share in [0, 1] of regions that cover the whole image: a lesion can fill the field of view.

    Returns:
        Corrupted images [N, C, H, W] in [0, 1], and [N, 1, H, W] with 1 where a pixel changed visibly, else 0.
    """
    if not len(image):
        return image, image.new_zeros(0, 1, *image.shape[2:])
    regions = draw_regions(image, whole_share)
    result = apply_corruptions(image, regions)
    again = torch.rand(len(image), device=image.device) < SECOND_SHARE
    if again.any():
        result[again] = apply_corruptions(result[again], draw_regions(image[again], 0.0, regions.of(again)))
    for _ in range(MORE_PLACES):
        more = torch.rand(len(image), device=image.device) < MORE_SHARE
        if more.any():
            result[more] = apply_corruptions(result[more], draw_regions(image[more], 0.0))
    return result, visibly_changed(image, result)


def visibly_changed(before: Tensor, after: Tensor) -> Tensor:
    """Where two images [N, C, H, W] differ visibly in a channel: [N, 1, H, W], 1 or 0."""
    return ((after - before).abs().amax(dim=1, keepdim=True) >= VISIBLE_CHANGE).to(before.dtype)


def apply_corruptions(image: Tensor, regions: Regions) -> Tensor:
    """Corrupt each image [N, C, H, W] in its region by one kind, drawn at random; the result is clamped to [0, 1]."""
    names = list(CORRUPTIONS)
    chances = torch.tensor([CHANCES[name] for name in names], device=image.device)
    everywhere = torch.tensor([CHANCES[name] * (name not in LOCAL) for name in names], device=image.device)
    kinds = torch.multinomial(torch.where(regions.whole.unsqueeze(1), everywhere, chances), 1).squeeze(1)
    result = image.clone()
    for index, name in enumerate(names):
        chosen = (kinds == index).nonzero().squeeze(1)
        if len(chosen):
            result[chosen] = CORRUPTIONS[name](image[chosen], regions.of(chosen))
    return result.clamp(0, 1)
