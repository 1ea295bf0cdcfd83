# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What pictures are drawn on and with: coordinates that a subject's own warp has bent, ellipses, blobs, fields."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anomalib_patchgan.data.phantoms.fields import Array, ramp, smooth_field

Point = tuple[float, float]

# Waves around the contour of a blob.
HARMONICS = 5


@dataclass(frozen=True)
class Canvas:
    """A square picture's coordinates.

    Attributes:
        x: Of each pixel [S, S], 0 at the left and 1 at the right edge, but for the warp.
        y: Of each pixel [S, S], 0 at the upper and 1 at the lower edge, but for the warp.
    """

    x: Array
    y: Array

    @classmethod
    def draw(cls, random: np.random.Generator, side: int, warp: float) -> "Canvas":
        """Draws a canvas whose coordinates are bent by a smooth field.

        Args:
            random: Source of randomness.
            side: Pixels of an edge.
            warp: Standard deviation of the displacement, in edges.
        """
        middles = (np.arange(side, dtype=np.float32) + 0.5) / np.float32(side)
        y, x = np.meshgrid(middles, middles, indexing="ij")
        flat = cls(x, y)
        bent = [axis + np.float32(warp) * flat.field(random, 0.12) for axis in (x, y)]
        return cls(*bent)

    @property
    def side(self) -> int:
        """Pixels of an edge."""
        return len(self.x)

    def field(self, random: np.random.Generator, scale: float) -> Array:
        """Draws a smooth field [S, S], mean 0 and variance 1; ``scale`` is its correlation length in edges."""
        return smooth_field(random, (self.side, self.side), 1 / self.side, scale)

    def ellipse(self, centre: Point, half_axes: Point, angle: float = 0.0, edge: float = 0.015) -> Array:
        """Returns how far a pixel is inside an ellipse [S, S], 0..1.

        Args:
            centre: x and y.
            half_axes: Along x and along y before it is turned.
            angle: In radians.
            edge: Width of the soft edge.
        """
        x, y = self.x - np.float32(centre[0]), self.y - np.float32(centre[1])
        cosine, sine = np.float32(math.cos(angle)), np.float32(math.sin(angle))
        along, across = x * cosine + y * sine, y * cosine - x * sine
        distance = np.hypot(along / np.float32(half_axes[0]), across / np.float32(half_axes[1]))
        half = edge / min(half_axes) / 2
        return ramp(distance, 1 + half, 1 - half)

    def blob(self, random: np.random.Generator, centre: Point, radius: float, roughness: float) -> Array:
        """Draws an irregular patch and returns how far a pixel is inside it [S, S], 0..1.

        Args:
            random: Source of randomness.
            centre: x and y.
            radius: Mean radius.
            roughness: Standard deviation of the first wave around its contour, in radii.
        """
        x, y = self.x - np.float32(centre[0]), self.y - np.float32(centre[1])
        angle = np.arctan2(y, x)
        contour = np.ones_like(angle)
        for wave in range(1, HARMONICS + 1):
            height, phase = random.normal(0, roughness / wave), random.uniform(0, 2 * math.pi)
            contour += np.float32(height) * np.cos(wave * angle + np.float32(phase))
        return ramp(np.hypot(x, y) - np.float32(radius) * contour, 0.006, -0.006)


def laid_over(image: Array, cover: Array, colour: Array | float) -> Array:
    """Returns the image [S, S, C] with a colour (or picture) laid over it where ``cover`` [S, S] is 1."""
    return image + cover[..., None] * (np.asarray(colour, dtype=np.float32) - image)


@dataclass(frozen=True)
class Scene:
    """A healthy picture before it is taken.

    Attributes:
        image: Colours [S, S, 3], or [S, S, 1] of a grey one, about 0..1.
        region: Where lesions may lie [S, S].
    """

    image: Array
    region: NDArray[np.bool_]

    def point_inside(self, random: np.random.Generator, canvas: Canvas) -> Point:
        """Draws a point of the region, each pixel alike."""
        places = np.argwhere(self.region)
        row, column = places[random.integers(len(places))]
        return float(canvas.x[row, column]), float(canvas.y[row, column])


@dataclass(frozen=True)
class Anatomy:
    """How an anatomy is drawn.

    Attributes:
        kinds: Names of its lesions' kinds.
        draw_healthy: From a source of randomness and a canvas to a healthy scene.
        add_lesion: From a source of randomness, a canvas, a scene and a kind to the scene's image with the lesion
            and how far each pixel belongs to it [S, S], 0..1.
    """

    kinds: tuple[str, ...]
    draw_healthy: Callable[[np.random.Generator, Canvas], Scene]
    add_lesion: Callable[[np.random.Generator, Canvas, Scene, str], tuple[Array, Array]]
