# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The back of an eye, in colour: optic disc, macula, a tree of vessels."""

import math

import numpy as np
from PIL import ImageDraw

from anomalib_patchgan.data.phantoms.fields import Array
from anomalib_patchgan.data.phantoms.layer import new_layer, reduced
from anomalib_patchgan.data.phantoms.pictures.canvas import Canvas, Point, Scene, laid_over

KINDS = ("haemorrhage", "dots", "exudates", "scar")

# How much finer than the picture vessels are drawn.
OVERSAMPLING = 4
STEP = 0.009
BRANCHINGS = 3

RETINA = np.array([0.72, 0.36, 0.16], dtype=np.float32)
DISC = np.array([0.95, 0.75, 0.45], dtype=np.float32)
EXUDATE = np.array([0.95, 0.80, 0.40], dtype=np.float32)
SCAR = np.array([0.85, 0.75, 0.60], dtype=np.float32)
# Share of light that a vessel, and blood outside of one, take away.
VESSEL_ABSORBS = np.array([0.25, 0.50, 0.40], dtype=np.float32)
BLOOD_ABSORBS = np.array([0.40, 0.75, 0.70], dtype=np.float32)


def draw_healthy(random: np.random.Generator, canvas: Canvas) -> Scene:
    """Draws the back of a right or a left eye.

    Args:
        random: Source of randomness.
        canvas: Coordinates.
    """
    nasal = -1 if random.random() < 0.5 else 1
    disc_centre, macula = (0.5 + nasal * 0.2, 0.5), (0.5 - nasal * 0.16, 0.5)
    view = canvas.ellipse((0.5, 0.5), (0.47, 0.47), edge=0.01)
    tone = RETINA * np.exp(random.normal(0, 0.1, 3) + random.normal(0, 0.08)).astype(np.float32)
    shade = 1 + 0.12 * canvas.field(random, 0.19) + 0.03 * canvas.field(random, 0.02)
    shade -= 0.5 * ((canvas.x - 0.5) ** 2 + (canvas.y - 0.5) ** 2)
    shade *= 1 - 0.3 * np.exp(-((canvas.x - macula[0]) ** 2 + (canvas.y - macula[1]) ** 2) / 0.006)
    image = shade.astype(np.float32)[..., None] * tone
    vessels = _draw_vessels(random, canvas.side, disc_centre, nasal)
    image *= 1 - np.float32(random.uniform(0.8, 1.1)) * vessels[..., None] * VESSEL_ABSORBS
    disc = canvas.ellipse(disc_centre, (random.normal(0.065, 0.005), random.normal(0.075, 0.005)))
    image = laid_over(image, 0.8 * disc, DISC * (1 - 0.4 * vessels[..., None]))
    inside = np.hypot(canvas.x - 0.5, canvas.y - 0.5) < 0.36
    return Scene(image * view[..., None], inside & (disc == 0))


def add_lesion(random: np.random.Generator, canvas: Canvas, scene: Scene, kind: str) -> tuple[Array, Array]:
    """Draws a lesion.

    Args:
        random: Source of randomness.
        canvas: Coordinates.
        scene: The eye without it.
        kind: ``haemorrhage`` (a dark red patch), ``dots`` (several dark red specks), ``exudates`` (several yellow ones)
            or ``scar`` (a pale, mottled patch).
    """
    centre, opacity = scene.point_inside(random, canvas), np.float32(random.uniform(0.4, 0.9))
    cover = np.zeros_like(canvas.x)
    if kind in ("haemorrhage", "scar"):
        cover = canvas.blob(random, centre, random.uniform(0.03, 0.08), 0.3)
    else:
        for _ in range(int(random.integers(3, 12))):
            place = (centre[0] + random.normal(0, 0.05), centre[1] + random.normal(0, 0.05))
            cover = np.maximum(cover, canvas.blob(random, place, random.uniform(0.008, 0.018), 0.3))
    cover *= np.hypot(canvas.x - 0.5, canvas.y - 0.5) < 0.46
    if kind == "exudates":
        return laid_over(scene.image, opacity * cover, EXUDATE), cover
    if kind == "scar":
        mottled = SCAR * (1 + 0.1 * canvas.field(random, 0.013))[..., None]
        return laid_over(scene.image, 0.7 * opacity * cover, mottled), cover
    return scene.image * (1 - opacity * cover[..., None] * BLOOD_ABSORBS), cover


def _draw_vessels(random: np.random.Generator, side: int, disc: Point, nasal: int) -> Array:
    """Draws four arcades and two smaller vessels that leave the disc, and their branches [S, S], 0..1."""
    layer = new_layer(side, side, OVERSAMPLING)
    pen = ImageDraw.Draw(layer)
    temporal = math.pi if nasal > 0 else 0.0
    for turn in (-2.2, -0.7, 0.7, 2.2):
        _grow(random, pen, disc, temporal + turn, random.uniform(0.018, 0.025), 0)
    for _ in range(2):
        _grow(random, pen, disc, temporal + random.normal(0, 0.7), 0.012, 1)
    return reduced(layer, side, side)


def _grow(
    random: np.random.Generator, pen: ImageDraw.ImageDraw, start: Point, heading: float, width: float, generation: int
) -> None:
    """Draws a vessel that wanders, thins and branches; its width is in edges of the picture."""
    length = pen.im.size[0]
    x, y = start
    bend = random.normal(0, 0.012)
    for _ in range(int(random.integers(30, 60))):
        heading += bend + random.normal(0, 0.05)
        onwards = (x + STEP * math.cos(heading), y + STEP * math.sin(heading))
        line = [(x * length, y * length), (onwards[0] * length, onwards[1] * length)]
        pen.line(line, fill=255, width=max(1, round(width * length)))
        x, y = onwards
        if generation < BRANCHINGS and random.random() < 0.035:
            turn = random.choice((-1, 1)) * random.uniform(0.4, 0.9)
            _grow(random, pen, (x, y), heading + turn, 0.75 * width, generation + 1)
        width *= 0.994
