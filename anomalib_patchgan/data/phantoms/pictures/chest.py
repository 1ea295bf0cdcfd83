# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A chest seen by X-rays, in grey: lungs with vessels and ribs, heart, spine."""

import math

import numpy as np

from anomalib_patchgan.data.phantoms.fields import Array, ramp
from anomalib_patchgan.data.phantoms.pictures.canvas import Canvas, Scene, laid_over

KINDS = ("nodule", "opacity", "cavity", "effusion")

# Share of light that passes; what is laid over another absorbs more and is brighter in the picture.
BODY, HEART, FLUID = 0.55, 0.60, 0.55


def draw_healthy(random: np.random.Generator, canvas: Canvas) -> Scene:
    """Draws a chest without lesion.

    Args:
        random: Source of randomness.
        canvas: Coordinates.
    """
    from_middle = np.abs(canvas.x - 0.5)
    body = canvas.ellipse((0.5, 0.55), (0.47, 0.55), edge=0.04)
    lungs = np.zeros_like(body)
    for side in (-1, 1):
        centre = (0.5 + side * random.normal(0.20, 0.012), random.normal(0.50, 0.015))
        half_axes = (random.normal(0.135, 0.010), random.normal(0.30, 0.015))
        lungs = np.maximum(lungs, canvas.ellipse(centre, half_axes, side * random.normal(0.12, 0.04), edge=0.03))
    image = np.float32(BODY) * body * (1 - np.float32(0.62) * lungs)

    # Vessels: where a field crosses 0, more of them towards the hilum.
    hilum = np.exp(-((from_middle - 0.08) ** 2 + (canvas.y - 0.5) ** 2) / 0.03)
    crossing = np.abs(canvas.field(random, 0.014))
    image += lungs * (0.05 * ramp(crossing, 0.5, 0) + 0.10 * hilum * ramp(crossing, 1, 0))

    start, distance, brightness = random.uniform(0, 0.07), random.normal(0.078, 0.004), random.uniform(0.05, 0.11)
    height = canvas.y + 0.9 * (from_middle - 0.2) ** 2 + 0.25 * from_middle - start
    ribs = ramp(np.cos(2 * np.pi * height / distance), 0.4, 1.0) * (from_middle > 0.07)
    image += np.float32(brightness) * ribs * canvas.ellipse((0.5, 0.5), (0.38, 0.42), edge=0.05)

    centre = (0.5 + random.normal(0.05, 0.012), random.normal(0.66, 0.015))
    heart = canvas.ellipse(centre, (random.normal(0.12, 0.012), random.normal(0.13, 0.012)), 0.5, edge=0.03)
    image += heart * (HEART + 0.02 * canvas.field(random, 0.025) - image)
    image += 0.16 * np.exp(-(((canvas.x - 0.5) / 0.035) ** 2)) * body
    free = (lungs > 0.9) & (heart < 0.1)
    return Scene(image.astype(np.float32)[..., None], free)


def add_lesion(random: np.random.Generator, canvas: Canvas, scene: Scene, kind: str) -> tuple[Array, Array]:
    """Draws a lesion into a lung.

    Args:
        random: Source of randomness.
        canvas: Coordinates.
        scene: The chest without it.
        kind: ``nodule`` (a small bright spot), ``opacity`` (a large cloud), ``cavity`` (a hole with a bright rim) or
            ``effusion`` (fluid at the base of one lung, as bright as tissue).
    """
    image, centre = scene.image, scene.point_inside(random, canvas)
    if kind == "nodule":
        cover = canvas.blob(random, centre, random.uniform(0.020, 0.045), 0.2)
        return image + np.float32(random.uniform(0.08, 0.25)) * cover[..., None], cover
    if kind == "opacity":
        radius = random.uniform(0.06, 0.12)
        distance = np.hypot(canvas.x - centre[0], canvas.y - centre[1]) * np.exp(0.3 * canvas.field(random, 0.05))
        cover = np.exp(-0.5 * (distance / np.float32(radius)) ** 2)
        cloud = np.float32(random.uniform(0.10, 0.25)) + 0.05 * canvas.field(random, 0.01)
        return image + (cover * cloud)[..., None], cover
    if kind == "cavity":
        radius, stretch, angle = random.uniform(0.03, 0.06), random.uniform(0.8, 1.2), random.uniform(0, math.pi)
        hole = canvas.ellipse(centre, (radius, radius * stretch), angle)
        whole = canvas.ellipse(centre, (radius + 0.012, radius * stretch + 0.012), angle)
        return image * (1 - 0.75 * hole[..., None]) + 0.2 * (whole - hole)[..., None], whole
    lung = scene.region & ((canvas.x > 0.5) == (centre[0] > 0.5))
    surface = np.float32(canvas.y[lung].max() - random.uniform(0.05, 0.12))
    cover = ramp(canvas.y - surface, -0.005, 0.005) * lung
    return laid_over(image, cover, FLUID), cover
