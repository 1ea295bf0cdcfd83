# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What comes between skin and image, and is no lesion: hairs, gel bubbles, vignette, colour cast, blur, noise."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw
from scipy import ndimage

from anomalib_patchgan.data.phantoms.fields import Array, ramp
from anomalib_patchgan.data.phantoms.layer import new_layer, reduced
from anomalib_patchgan.data.phantoms.level import Level

# How much finer than the image hairs and bubbles are drawn.
OVERSAMPLING = 2


@dataclass(frozen=True)
class Light:
    """From what a population's light is drawn.

    Attributes:
        vignette: Range of the share of light that the corners lack.
        cast: Standard deviations of the logarithm of the colour cast in red, green and blue.
    """

    vignette: tuple[float, float]
    cast: tuple[float, float, float]


REFERENCE_LIGHT = Light(vignette=(0.0, 0.6), cast=(0.05, 0.04, 0.06))
LIGHTS: dict[Level, Light] = {
    "easy": REFERENCE_LIGHT,
    "medium": REFERENCE_LIGHT,
    "hard": REFERENCE_LIGHT,
    "shifted": Light(vignette=(0.3, 0.8), cast=(0.10, 0.08, 0.12)),
}


def add_hairs(random: np.random.Generator, image: Array) -> Array:
    """Lays hairs over an image, over two images in five.

    Args:
        random: Source of randomness.
        image: Linear colours [H, W, 3], 0..1.
    """
    hairy = random.random() < 0.4
    count = int(random.integers(4, 30))
    opacity, tint = random.uniform(0.35, 0.85), random.uniform(0.03, 0.30)
    thickness = random.uniform(0.003, 0.008)
    if not hairy:
        return image
    height, width = image.shape[:2]
    size = np.array([width, height]) * OVERSAMPLING
    layer = new_layer(height, width, OVERSAMPLING)
    draw = ImageDraw.Draw(layer)
    for _ in range(count):
        start = random.uniform(-0.1, 1.1, 2) * size
        direction, length = random.uniform(0, 2 * math.pi), random.uniform(0.2, 0.9) * size.min()
        end = start + length * np.array([math.cos(direction), math.sin(direction)])
        bend = (start + end) / 2 + random.normal(0, 0.15 * length, 2)
        step = np.linspace(0, 1, 24)[:, None]
        path = (1 - step) ** 2 * start + 2 * step * (1 - step) * bend + step**2 * end
        line = max(1, round(thickness * random.uniform(0.6, 1.4) * size.min()))
        draw.line([(float(x), float(y)) for x, y in path], fill=255, width=line, joint="curve")
    cover = reduced(layer, height, width) * np.float32(opacity)
    colour = np.float32(tint) * np.array([1.0, 0.75, 0.6], dtype=np.float32)
    return image * (1 - cover[..., None]) + cover[..., None] * colour


def add_bubbles(random: np.random.Generator, image: Array) -> Array:
    """Lays bright rings of gel bubbles over an image, over one image in six.

    Args:
        random: Source of randomness.
        image: Linear colours [H, W, 3], 0..1.
    """
    bubbly = random.random() < 1 / 6
    count = int(random.integers(2, 12))
    if not bubbly:
        return image
    height, width = image.shape[:2]
    size = np.array([width, height]) * OVERSAMPLING
    layer = new_layer(height, width, OVERSAMPLING)
    draw = ImageDraw.Draw(layer)
    for _ in range(count):
        x, y = random.uniform(0, 1, 2) * size
        radius = random.uniform(0.01, 0.05) * size.min()
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=int(random.integers(60, 180)), width=2)
    cover = reduced(layer, height, width)[..., None]
    return image * (1 - cover) + cover


def photograph(
    random: np.random.Generator, light_ranges: Light, image: Array, rows: Array, columns: Array
) -> NDArray[np.uint8]:
    """Takes the picture.

    Args:
        random: Source of randomness.
        light_ranges: From what the light is drawn.
        image: Colours [H, W, 3], 0..1.
        rows: Distance of each row from the image's middle, in shorter sides [H, 1].
        columns: The same for columns [1, W].

    Returns:
        Colours [H, W, 3], 0..255.
    """
    height, width = image.shape[:2]
    shorter = min(height, width)
    slope = random.normal(0, 0.10, 2)
    light = 1 + np.float32(slope[0]) * rows + np.float32(slope[1]) * columns
    corner = np.hypot(rows / rows.max(), columns / columns.max()) / math.sqrt(2)
    light *= 1 - np.float32(random.uniform(*light_ranges.vignette)) * ramp(corner, 0.45, 1.15) ** 2
    has_tube, tube, tube_edge = random.random() < 0.25, random.uniform(0.58, 0.72), random.uniform(0.005, 0.03)
    if has_tube:
        # The end of the instrument's tube: a dark frame around a round field of view.
        light *= 0.06 + 0.94 * ramp(np.hypot(rows, columns), tube + tube_edge, tube)
    image = image * light[..., None] * np.exp(random.normal(0, light_ranges.cast)).astype(np.float32)
    image = ndimage.gaussian_filter(image, random.uniform(0.0004, 0.0018) * shorter + 0.25, axes=(0, 1), truncate=2.5)
    image += np.float32(random.uniform(0.004, 0.018)) * random.standard_normal(image.shape, dtype=np.float32)
    return np.round(image * 255).clip(0, 255).astype(np.uint8)
