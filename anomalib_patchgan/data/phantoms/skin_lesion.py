# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The lesion of a skin phantom: contour, pigment and blood, pigment network."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomalib_patchgan.data.phantoms.fields import Array, smooth_field
from anomalib_patchgan.data.phantoms.level import Level

HARMONICS = 7


@dataclass(frozen=True)
class SkinLesionRanges:
    """From what a level's lesions are drawn.

    Attributes:
        radius: Smallest and largest radius as a share of the image's shorter side.
        contrast: Smallest and largest factor, log-uniform, on the lesion's change of pigment and blood.
        kinds: Kind of lesion -> probability: "pigmented" is much darker than skin, "reddish" a little, "pale" brighter,
            "textured" as bright as skin on average.
        irregularity: Scale of the contour's harmonics.
        largest_stretch: Largest ratio of the lesion's two axes; 1 for none.
        most_satellites: Largest number of smaller spots beside the lesion.
    """

    radius: tuple[float, float]
    contrast: tuple[float, float]
    kinds: dict[str, float]
    irregularity: float = 0.3
    largest_stretch: float = 1.0
    most_satellites: int = 0


RANGES: dict[Level, SkinLesionRanges] = {
    "easy": SkinLesionRanges((0.24, 0.36), (0.7, 1.0), {"pigmented": 0.9, "reddish": 0.1}),
    "medium": SkinLesionRanges(
        (0.18, 0.36), (0.1, 1.0), {"pigmented": 0.35, "reddish": 0.2, "pale": 0.25, "textured": 0.2}
    ),
    "hard": SkinLesionRanges(
        (0.18, 0.30), (0.1, 0.4), {"pigmented": 0.25, "reddish": 0.25, "pale": 0.25, "textured": 0.25}
    ),
    "shifted": SkinLesionRanges(
        (0.16, 0.30),
        (0.1, 1.0),
        {"pigmented": 0.1, "reddish": 0.25, "pale": 0.35, "textured": 0.3},
        irregularity=0.5,
        largest_stretch=1.8,
        most_satellites=3,
    ),
}

# Change of (melanin, blood, amplitude of the melanin's texture) at contrast 1. "pale" takes a share of melanin away.
PIGMENT = {
    "pigmented": (0.60, 0.05, 0.0),
    "reddish": (0.04, 0.30, 0.0),
    "pale": (-0.85, -0.02, 0.0),
    "textured": (0.0, 0.0, 0.35),
}


@dataclass(frozen=True)
class SkinLesion:
    """What is drawn of a lesion before it is rendered.

    Attributes:
        kind: Key of ``PIGMENT``.
        centre: Row and column of its middle, in shorter sides from the middle of the image.
        radius: Mean radius as a share of the image's shorter side.
        contrast: See ``SkinLesionRanges``.
        melanin: Change of the melanin density, natural logarithm of red reflectance.
        blood: Change of the blood density.
        texture: Amplitude of a texture of the melanin density whose mean is 0.
        edge: Width of the soft edge as a share of the radius.
        network: Strength of the pigment network, 0..1.
        amplitudes: Of the contour's harmonics, as shares of the radius.
        phases: Of the contour's harmonics, in radians.
        stretch: Ratio of its two axes.
        direction: Of the longer axis, in radians.
        satellites: Smaller spots: row and column from its middle, and radius, in shorter sides of the image.
    """

    kind: str
    centre: tuple[float, float]
    radius: float
    contrast: float
    melanin: float
    blood: float
    texture: float
    edge: float
    network: float
    amplitudes: tuple[float, ...]
    phases: tuple[float, ...]
    stretch: float
    direction: float
    satellites: tuple[tuple[float, float, float], ...]

    def record(self) -> dict[str, Any]:
        """Returns the lesion as JSON-able values."""
        return asdict(self)


def draw_lesion(random: np.random.Generator, level: Level, skin_melanin: float) -> SkinLesion:
    """Draws a lesion.

    Args:
        random: Source of randomness.
        level: Which ranges to draw from.
        skin_melanin: Melanin density of the skin around; a pale lesion lacks a share of it.
    """
    ranges = RANGES[level]
    kinds = list(ranges.kinds)
    kind = kinds[random.choice(len(kinds), p=list(ranges.kinds.values()))]
    contrast = float(np.exp(random.uniform(*np.log(ranges.contrast))))
    melanin, blood, texture = (contrast * change for change in PIGMENT[kind])
    if kind == "pale":
        # No less than none, and enough to be seen on fair skin.
        melanin = max(melanin * max(skin_melanin, 0.12), -skin_melanin)
    order = np.arange(2, 2 + HARMONICS)
    radius = float(random.uniform(*ranges.radius))
    return SkinLesion(
        kind=kind,
        centre=(round(float(random.normal(0, 0.04)), 4), round(float(random.normal(0, 0.06)), 4)),
        radius=round(radius, 4),
        contrast=round(contrast, 4),
        melanin=round(float(melanin), 4),
        blood=round(float(blood), 4),
        texture=round(float(texture), 4),
        edge=round(float(random.uniform(0.03, 0.16)), 4),
        network=round(float(random.beta(1.2, 1.2)), 4),
        amplitudes=tuple(round(float(value), 4) for value in random.normal(0, ranges.irregularity / order**1.5)),
        phases=tuple(round(float(value), 4) for value in random.uniform(0, 2 * np.pi, HARMONICS)),
        stretch=round(float(random.uniform(1.0, ranges.largest_stretch)), 4),
        direction=round(float(random.uniform(0, np.pi)), 4),
        satellites=_draw_satellites(random, radius, ranges.most_satellites),
    )


def _draw_satellites(random: np.random.Generator, radius: float, most: int) -> tuple[tuple[float, float, float], ...]:
    satellites = []
    for _ in range(int(random.integers(0, most + 1))):
        angle, distance = random.uniform(0, 2 * np.pi), radius * random.uniform(1.2, 1.6)
        size = radius * random.uniform(0.2, 0.4)
        satellites.append(
            (
                round(float(distance * np.sin(angle)), 4),
                round(float(distance * np.cos(angle)), 4),
                round(float(size), 4),
            )
        )
    return tuple(satellites)


def paint_lesion(
    random: np.random.Generator, lesion: SkinLesion, rows: Array, columns: Array, pitch: float
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Puts a lesion onto the pixel grid.

    Args:
        random: Source of randomness.
        lesion: What was drawn.
        rows: Distance of each row from the image's middle, in shorter sides [H, 1].
        columns: The same for columns [1, W].
        pitch: Pixel pitch in shorter sides.

    Returns:
        Change of melanin [H, W], change of blood [H, W], mask [H, W].
    """
    down, right = rows - np.float32(lesion.centre[0]), columns - np.float32(lesion.centre[1])
    angle = np.arctan2(down, right)
    shape = angle.shape
    reach = np.ones(shape, dtype=np.float32)
    for order, (amplitude, phase) in enumerate(zip(lesion.amplitudes, lesion.phases, strict=True), start=2):
        reach += np.float32(amplitude) * np.cos(order * angle + np.float32(phase))
    reach *= 1 + np.float32(0.04) * smooth_field(random, shape, pitch, 0.03)
    root = np.float32(np.sqrt(lesion.stretch))
    sine, cosine = np.float32(np.sin(lesion.direction)), np.float32(np.cos(lesion.direction))
    along, across = (down * sine + right * cosine) / root, (down * cosine - right * sine) * root
    distance = np.hypot(along, across) / (lesion.radius * np.maximum(reach, 0.3))
    for row, column, size in lesion.satellites:
        distance = np.minimum(distance, np.hypot(down - np.float32(row), right - np.float32(column)) / np.float32(size))
    inside = 1 / (1 + np.exp(np.clip(4 * (distance - 1) / lesion.edge, -30, 30)))

    clouds = 1 + 0.22 * smooth_field(random, shape, pitch, 0.3 * lesion.radius)
    clouds += 0.12 * smooth_field(random, shape, pitch, 0.1 * lesion.radius)
    # The zero lines of a random field are a mesh of closed loops, as the lines of a pigment network are.
    mesh = np.exp(-((smooth_field(random, shape, pitch, 0.011) / 0.45) ** 2)) - 0.4
    globules = (smooth_field(random, shape, pitch, 0.010) > 2.1).astype(np.float32)
    pattern = np.float32(lesion.network) * (0.55 * mesh + 0.5 * globules)
    melanin = inside * (lesion.melanin * clouds + (abs(lesion.melanin) * 0.8 + 0.05) * pattern)
    melanin += inside * np.float32(lesion.texture) * smooth_field(random, shape, pitch, 0.014)
    blood = inside * lesion.blood * (1 + 0.35 * smooth_field(random, shape, pitch, 0.25 * lesion.radius))
    return melanin.astype(np.float32), blood.astype(np.float32), distance < 1
