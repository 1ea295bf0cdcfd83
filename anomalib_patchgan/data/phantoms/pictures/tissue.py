# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A stained section of tissue under the microscope, in colour: stroma, glands, scattered nuclei; nothing is aligned."""

import math

import numpy as np
from numpy.typing import NDArray

from anomalib_patchgan.data.phantoms.fields import Array
from anomalib_patchgan.data.phantoms.pictures.canvas import Canvas, Point, Scene, laid_over

KINDS = ("crowded", "infiltrate", "necrosis", "lake")

STROMA = np.array([0.90, 0.68, 0.80], dtype=np.float32)
GLAND = np.array([0.80, 0.50, 0.68], dtype=np.float32)
LUMEN = np.array([0.95, 0.95, 0.95], dtype=np.float32)
NUCLEUS = np.array([0.45, 0.30, 0.60], dtype=np.float32)
DARK_NUCLEUS = np.array([0.33, 0.20, 0.50], dtype=np.float32)
DEAD = np.array([0.93, 0.72, 0.78], dtype=np.float32)
BLOOD = np.array([0.85, 0.25, 0.35], dtype=np.float32)

GLANDS = 12
# Between the middles of two glands.
GLAND_DISTANCE = 0.2
# Nuclei on a whole picture: of the stroma, of an infiltrate, of a crowded field.
STROMA_NUCLEI, INFILTRATE_NUCLEI, CROWDED_NUCLEI = 60, 5500, 4000
# Farther than this no pixel is displaced, in edges.
BENT = 0.06


def draw_healthy(random: np.random.Generator, canvas: Canvas) -> Scene:
    """Draws a section without lesion.

    Args:
        random: Source of randomness.
        canvas: Coordinates.
    """
    stain = STROMA * np.exp(random.normal(0, 0.04, 3)).astype(np.float32)
    fibres = (1 + 0.03 * canvas.field(random, 0.06)) * (1 + 0.05 * canvas.field(random, 0.0075))
    image = fibres[..., None] * stain
    for centre in _scattered(random):
        image = _draw_gland(random, canvas, image, centre)
    everywhere = np.ones(canvas.x.shape, dtype=bool)
    image = _draw_nuclei(random, canvas, image, everywhere, STROMA_NUCLEI, 0.008, NUCLEUS)
    middle = np.maximum(np.abs(canvas.x - 0.5), np.abs(canvas.y - 0.5)) < 0.25
    return Scene(image, middle)


def add_lesion(random: np.random.Generator, canvas: Canvas, scene: Scene, kind: str) -> tuple[Array, Array]:
    """Draws a lesion.

    Args:
        random: Source of randomness.
        canvas: Coordinates.
        scene: The section without it.
        kind: ``crowded`` (large dark nuclei side by side), ``infiltrate`` (many small ones), ``necrosis`` (pale and
            without structure) or ``lake`` (blood).
    """
    centre = scene.point_inside(random, canvas)
    cover = canvas.blob(random, centre, random.uniform(0.10, 0.22), 0.3)
    inside = cover > 0.5
    if kind == "crowded":
        return _draw_nuclei(random, canvas, scene.image, inside, CROWDED_NUCLEI, 0.016, DARK_NUCLEUS), cover
    if kind == "infiltrate":
        return _draw_nuclei(random, canvas, scene.image, inside, INFILTRATE_NUCLEI, 0.007, DARK_NUCLEUS), cover
    colour, grain = (DEAD, 0.07) if kind == "necrosis" else (BLOOD, 0.04)
    mottled = colour * (1 + np.float32(grain) * canvas.field(random, 0.007))[..., None]
    return laid_over(scene.image, cover, mottled), cover


def _scattered(random: np.random.Generator) -> list[Point]:
    """Draws where glands are: no two of them closer than ``GLAND_DISTANCE``."""
    found: list[Point] = []
    for x, y in random.random((5 * GLANDS, 2)):
        if len(found) < GLANDS and all(math.hypot(x - left, y - top) > GLAND_DISTANCE for left, top in found):
            found.append((float(x), float(y)))
    return found


def _draw_gland(random: np.random.Generator, canvas: Canvas, image: Array, centre: Point) -> Array:
    radius = random.uniform(0.055, 0.085)
    image = laid_over(image, canvas.blob(random, centre, radius, 0.1), GLAND)
    image = laid_over(image, canvas.blob(random, centre, 0.4 * radius, 0.15), LUMEN)
    for angle in np.arange(0, 2 * math.pi, 0.5):
        place = (centre[0] + 0.75 * radius * math.cos(angle), centre[1] + 0.75 * radius * math.sin(angle))
        _stamp(canvas, image, place, (0.013, 0.009), float(angle), NUCLEUS)
    return image


def _draw_nuclei(
    random: np.random.Generator,
    canvas: Canvas,
    image: Array,
    where: NDArray[np.bool_],
    on_whole: int,
    radius: float,
    colour: Array,
) -> Array:
    """Draws nuclei in a region, as many as its share of ``on_whole`` on a whole picture."""
    image, places = image.copy(), np.argwhere(where)
    for row, column in places[random.integers(len(places), size=round(on_whole * where.mean()))]:
        centre = (float(canvas.x[row, column]), float(canvas.y[row, column]))
        half_axes = (radius * random.uniform(0.7, 1.2), radius * random.uniform(0.7, 1.2))
        _stamp(canvas, image, centre, half_axes, random.uniform(0, math.pi), colour, random.uniform(0.7, 1))
    return image


def _stamp(
    canvas: Canvas,
    image: Array,
    centre: Point,
    half_axes: Point,
    angle: float,
    colour: Array,
    opacity: float = 1.0,
) -> None:
    """Draws a nucleus into the image; of many small ones, only the pixels around each are looked at."""
    reach = max(half_axes) + BENT
    left, right = (max(0, round((centre[0] + side * reach) * canvas.side)) for side in (-1, 1))
    top, bottom = (max(0, round((centre[1] + side * reach) * canvas.side)) for side in (-1, 1))
    around = (slice(top, bottom), slice(left, right))
    cover = Canvas(canvas.x[around], canvas.y[around]).ellipse(centre, half_axes, angle, edge=0.01)
    image[around] = laid_over(image[around], np.float32(opacity) * cover, colour)
