# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The lesion of a brain phantom: its shape in zones, how it pushes tissue aside, and how each modality shows it."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomalib_patchgan.data.phantoms.anatomy import CSF, GREY, WHITE, Anatomy, Box
from anomalib_patchgan.data.phantoms.fields import Array, ramp, smooth_field
from anomalib_patchgan.data.phantoms.level import Level

NECROSIS, OEDEMA, ENHANCING = 1, 2, 4
"""Labels of a BraTS segmentation; necrosis stands for the non-enhancing core too."""


@dataclass(frozen=True)
class Appearance:
    """How one kind of lesion shows, as multiples of the lesion's contrast.

    Attributes:
        deltas: Modality -> change against healthy tissue of (core, enhancing rim, necrosis, oedema).
        texture: Amplitude of the lesion's own texture.
        push: Mass effect as a share of the radius.
        has_oedema: Whether the lesion is surrounded by oedema.
    """

    deltas: dict[str, tuple[float, float, float, float]]
    texture: float
    push: float
    has_oedema: bool


APPEARANCES = {
    "hyperintense": Appearance(
        {
            "flair": (1.0, 0.9, -0.5, 1.0),
            "t1": (-0.4, -0.3, -0.8, -0.35),
            "t1ce": (-0.4, 0.9, -0.8, -0.35),
            "t2": (0.8, 0.6, 1.2, 0.9),
        },
        texture=0.25,
        push=0.25,
        has_oedema=True,
    ),
    "hypointense": Appearance(
        {
            "flair": (-0.9, -0.5, -1.1, -0.45),
            "t1": (-0.8, -0.5, -1.1, -0.3),
            "t1ce": (-0.8, 0.7, -1.1, -0.3),
            "t2": (1.0, 0.5, 1.3, 0.5),
        },
        texture=0.25,
        push=0.25,
        has_oedema=True,
    ),
    "textured": Appearance(
        {
            "flair": (0.0, 0.0, 0.0, 0.0),
            "t1": (-0.2, -0.2, -0.3, -0.1),
            "t1ce": (-0.2, 0.6, -0.3, -0.1),
            "t2": (0.3, 0.2, 0.4, 0.2),
        },
        texture=0.8,
        push=0.15,
        has_oedema=True,
    ),
    "deforming": Appearance(
        {
            "flair": (0.1, 0.1, 0.0, 0.0),
            "t1": (-0.2, -0.1, -0.2, 0.0),
            "t1ce": (-0.2, 0.5, -0.2, 0.0),
            "t2": (0.3, 0.2, 0.3, 0.0),
        },
        texture=0.1,
        push=0.6,
        has_oedema=False,
    ),
}
"""Kinds of lesion by how FLAIR shows them. Only the first is found by brightness."""


@dataclass(frozen=True)
class LesionRanges:
    """From what a level's lesions are drawn.

    Attributes:
        radius_mm: Smallest and largest radius of the core, log-uniform.
        contrast: Smallest and largest contrast, log-uniform, as a share of the intensity scale in which white matter is
            about 0.44.
        kinds: Kind of lesion -> probability.
        axes_spread: Standard deviation of the logarithm of the core's half-axes.
        roughness: Amplitude of the contour's coarse noise; that of the fine noise is half of it.
        ring_share: Probability that necrosis fills the core but for a thin rim.
        most_satellites: Largest number of smaller foci beside the core.
    """

    radius_mm: tuple[float, float]
    contrast: tuple[float, float]
    kinds: dict[str, float]
    axes_spread: float = 0.2
    roughness: float = 0.2
    ring_share: float = 0.0
    most_satellites: int = 0


RANGES: dict[Level, LesionRanges] = {
    "easy": LesionRanges(
        (12.0, 28.0), (0.30, 0.50), {"hyperintense": 0.7, "hypointense": 0.2, "textured": 0.1, "deforming": 0.0}
    ),
    "medium": LesionRanges(
        (4.0, 28.0), (0.08, 0.50), {"hyperintense": 0.35, "hypointense": 0.2, "textured": 0.25, "deforming": 0.2}
    ),
    "hard": LesionRanges(
        (4.0, 14.0), (0.06, 0.20), {"hyperintense": 0.3, "hypointense": 0.3, "textured": 0.25, "deforming": 0.15}
    ),
    "shifted": LesionRanges(
        (4.0, 24.0),
        (0.06, 0.50),
        {"hyperintense": 0.15, "hypointense": 0.35, "textured": 0.3, "deforming": 0.2},
        axes_spread=0.45,
        roughness=0.3,
        ring_share=0.3,
        most_satellites=3,
    ),
}


@dataclass(frozen=True)
class Lesion:
    """What is drawn of a lesion before it is rendered.

    Attributes:
        kind: Key of ``APPEARANCES``.
        centre: Voxel of the brain box.
        radius_mm: Radius of the core.
        contrast: See ``LesionRanges``.
        edge_mm: Width of the soft edge.
        necrotic_share: Radius of the necrosis as a share of the core's, 0 for none.
        enhances: Whether the rim takes up contrast agent.
        oedema_reach: Radius of the oedema as a multiple of the core's, in pure white matter.
        mass_effect_mm: Largest displacement of the surrounding tissue.
        axes: Relative length of the core's three half-axes.
        roughness: See ``LesionRanges``.
        satellites: Further foci: offset from the centre along the three axes and radius, all in mm.
    """

    kind: str
    centre: tuple[int, int, int]
    radius_mm: float
    contrast: float
    edge_mm: float
    necrotic_share: float
    enhances: bool
    oedema_reach: float
    mass_effect_mm: float
    axes: tuple[float, float, float]
    roughness: float
    satellites: tuple[tuple[float, float, float, float], ...]

    def record(self) -> dict[str, Any]:
        """Returns the lesion as JSON-able values."""
        return asdict(self)


@dataclass(frozen=True)
class Zones:
    """A lesion on the voxel grid, in the part of the brain box it reaches.

    Attributes:
        box: Part of the brain box.
        displacement: By how much tissue was moved to arrive at each voxel, in mm [3, ...box].
        core: Share of a voxel that is core, rim and necrosis included [...box], 0..1; the other three alike.
        necrosis: Share that is necrosis.
        rim: Share that is the core's rim.
        oedema: Share that is oedema outside the core.
        texture: The lesion's own texture, unit variance.
    """

    box: Box
    displacement: Array
    core: Array
    necrosis: Array
    rim: Array
    oedema: Array
    texture: Array

    def labels(self, lesion: Lesion) -> NDArray[np.uint8]:
        """Returns the BraTS labels [...box]: a voxel belongs to what fills at least half of it."""
        labels = np.zeros(self.core.shape, dtype=np.uint8)
        labels[self.oedema >= 0.5] = OEDEMA
        labels[self.core >= 0.5] = NECROSIS
        if lesion.enhances:
            labels[(self.core >= 0.5) & (self.necrosis < 0.5)] = ENHANCING
        return labels


def draw_lesion(
    random: np.random.Generator,
    place: NDArray[np.float64],
    level: Level,
    grade: str,
    anatomy: Anatomy,
    tissues: Array,
    brain: NDArray[np.bool_],
) -> Lesion:
    """Draws a lesion and its place: in the cerebrum, in white matter rather than in grey.

    Args:
        random: Source of randomness.
        place: Where in the level's ranges kind, radius and contrast lie [3], each in [0, 1).
        level: Which ranges to draw from.
        grade: "HGG" or "LGG".
        anatomy: The subject.
        tissues: The subject's healthy tissues [3, X, Y, Z].
        brain: The subject's brain mask [X, Y, Z].
    """
    ranges = RANGES[level]
    kind = _kind_at(place[0], ranges.kinds)
    appearance = APPEARANCES[kind]
    radius = _log_uniform_at(place[1], ranges.radius_mm)
    high_grade = grade == "HGG"
    necrotic = radius > 8 and random.random() < (0.75 if high_grade else 0.25)
    axes = np.exp(random.normal(0, ranges.axes_spread, 3))
    axes /= axes.prod() ** (1 / 3)
    return Lesion(
        kind=kind,
        centre=_draw_centre(random, anatomy, tissues, brain),
        radius_mm=round(radius, 2),
        contrast=round(_log_uniform_at(place[2], ranges.contrast), 3),
        edge_mm=round(float(random.uniform(0.8, 2.5)), 2),
        necrotic_share=_draw_necrotic_share(random, necrotic, ranges.ring_share),
        enhances=bool(random.random() < (0.9 if high_grade else 0.15)),
        oedema_reach=round(float(random.uniform(1.3, 1.9) if high_grade else random.uniform(1.1, 1.4)), 2)
        if appearance.has_oedema
        else 1.0,
        mass_effect_mm=round(float(appearance.push * radius * random.uniform(0.3, 1.0)), 2),
        axes=(round(float(axes[0]), 3), round(float(axes[1]), 3), round(float(axes[2]), 3)),
        roughness=ranges.roughness,
        satellites=_draw_satellites(random, radius, ranges.most_satellites),
    )


def _kind_at(share: float, kinds: dict[str, float]) -> str:
    """The kind at a share of the kinds, laid one after the other by their probabilities."""
    ends = np.cumsum(list(kinds.values()))
    # Rounding may leave the last end a little below 1.
    return list(kinds)[min(int(np.searchsorted(ends, share, side="right")), len(kinds) - 1)]


def _log_uniform_at(share: float, limits: tuple[float, float]) -> float:
    """The value at a share of a log-uniform distribution."""
    low, high = np.log(limits)
    return float(np.exp(low + share * (high - low)))


def _draw_necrotic_share(random: np.random.Generator, necrotic: bool, ring_share: float) -> float:
    share, ring, ring_width = random.uniform(0.35, 0.75), random.random(), random.uniform(0.78, 0.9)
    if ring < ring_share:
        return round(float(ring_width), 2)
    return round(float(share), 2) if necrotic else 0.0


def _draw_satellites(
    random: np.random.Generator, radius: float, most: int
) -> tuple[tuple[float, float, float, float], ...]:
    satellites = []
    for _ in range(int(random.integers(0, most + 1))):
        direction = random.normal(0, 1, 3)
        first, second, third = direction / np.linalg.norm(direction) * radius * random.uniform(1.2, 1.9)
        size = radius * random.uniform(0.25, 0.5)
        satellites.append(
            (round(float(first), 2), round(float(second), 2), round(float(third), 2), round(float(size), 2))
        )
    return tuple(satellites)


def _draw_centre(
    random: np.random.Generator, anatomy: Anatomy, tissues: Array, brain: NDArray[np.bool_]
) -> tuple[int, int, int]:
    left, posterior, superior = anatomy.template_mm()
    cerebellum = (superior < -12) & (posterior > 35)
    stem = (np.abs(left) < 18) & (superior < -5) & (posterior > 0)
    weight = (tissues[WHITE] + 0.35 * tissues[GREY]) * (brain & ~cerebellum & ~stem)
    weight *= ramp(tissues[CSF], 0.5, 0.3)
    cumulated = np.cumsum(weight, dtype=np.float64)
    chosen = int(np.searchsorted(cumulated, random.random() * cumulated[-1], side="right"))
    first, second, third = np.unravel_index(chosen, weight.shape)
    return int(first), int(second), int(third)


def shape_lesion(
    random: np.random.Generator, lesion: Lesion, anatomy: Anatomy, tissues: Array, brain: NDArray[np.bool_]
) -> Zones:
    """Puts a lesion onto the grid: noisy contour, soft edge, necrosis inside, oedema along white matter, mass effect.

    Args:
        random: Source of randomness.
        lesion: What was drawn.
        anatomy: The subject.
        tissues: The subject's healthy tissues [3, X, Y, Z].
        brain: The subject's brain mask [X, Y, Z].
    """
    spacing, radius = anatomy.grid.spacing, lesion.radius_mm
    reach = int(np.ceil((2.6 * radius + 8) / spacing))
    edges = [
        slice(max(0, centre - reach), min(length, centre + reach + 1))
        for centre, length in zip(lesion.centre, brain.shape, strict=True)
    ]
    box: Box = (edges[0], edges[1], edges[2])
    offset = np.stack(
        np.meshgrid(
            *[
                (np.arange(edge.start, edge.stop, dtype=np.float32) - centre) * np.float32(spacing)
                for edge, centre in zip(box, lesion.centre, strict=True)
            ],
            indexing="ij",
        )
    )
    inside = brain[box].astype(np.float32)
    shape = inside.shape

    axes = np.array(lesion.axes, dtype=np.float32)[:, None, None, None]
    roughness = np.float32(lesion.roughness)
    contour = roughness * smooth_field(random, shape, spacing, max(0.45 * radius, 3.0))
    contour += roughness / 2 * smooth_field(random, shape, spacing, max(0.2 * radius, 2.0))
    distance = np.sqrt(((offset / axes) ** 2).sum(axis=0)) / radius
    for *place, size in lesion.satellites:
        away = offset - np.array(place, dtype=np.float32)[:, None, None, None]
        distance = np.minimum(distance, np.sqrt((away**2).sum(axis=0)) / np.float32(size))
    distance = distance * np.exp(contour)
    core = _soft(1 - distance, radius / lesion.edge_mm) * inside

    inner = distance * np.exp(0.25 * smooth_field(random, shape, spacing, max(0.3 * radius, 2.5)))
    necrosis = _soft(lesion.necrotic_share - inner, radius / lesion.edge_mm) * core
    if lesion.necrotic_share == 0:
        necrosis = np.zeros_like(core)

    outer = distance * np.exp(0.25 * smooth_field(random, shape, spacing, max(0.5 * radius, 4.0)))
    spread = 0.5 + 0.6 * ndimage.gaussian_filter(tissues[WHITE][box], 1.0 / spacing)
    oedema = _soft(lesion.oedema_reach * spread - outer, radius / (2 * lesion.edge_mm))
    oedema *= inside * (1 - tissues[CSF][box]) * (1 - core)
    if lesion.oedema_reach <= 1:
        oedema = np.zeros_like(core)
    # Oedema spreads from the tumour: what white matter elsewhere would take up without a way there is dropped.
    pieces, _ = ndimage.label(core + oedema > 0.1)
    oedema *= np.isin(pieces, np.unique(pieces[core >= 0.5]))

    # Full push at the core's edge, none in its middle nor two radii further out, none at the skull.
    radial = np.sqrt((offset**2).sum(axis=0))
    relative = radial / radius
    strength = relative * np.exp(0.5 * (1 - relative**2)) * lesion.mass_effect_mm
    room = ramp(ndimage.gaussian_filter(inside, 4.0 / spacing), 0.6, 1.0)
    displacement = offset / np.maximum(radial, spacing) * strength * room

    texture = smooth_field(random, shape, spacing, max(0.14 * radius, 1.6))
    return Zones(box, displacement, core, necrosis, core - necrosis, oedema, texture)


def paint_lesion(image: Array, modality: str, lesion: Lesion, zones: Zones, tissue_level: float) -> None:
    """Paints a lesion into one modality, in place.

    The core replaces the tissue; oedema changes it and lets it shine through.

    Args:
        image: Noise-free intensities of the brain box [X, Y, Z], about 0..1.
        modality: "flair", "t1", "t1ce" or "t2".
        lesion: What was drawn.
        zones: The lesion on the grid.
        tissue_level: Intensity of healthy tissue, the mean of grey and white matter.
    """
    appearance = APPEARANCES[lesion.kind]
    core, rim, necrosis, oedema = appearance.deltas[modality]
    solid = rim if lesion.enhances else core
    texture = np.float32(appearance.texture * lesion.contrast) * zones.texture
    part = image[zones.box]
    part *= 1 - zones.core
    part += zones.core * np.float32(tissue_level)
    part += np.float32(lesion.contrast) * (solid * zones.rim + necrosis * zones.necrosis + oedema * zones.oedema)
    part += texture * (zones.core + np.float32(0.6) * zones.oedema)
    np.maximum(part, 0.03, out=part)


def _soft(depth: Array, steepness: float) -> Array:
    """Logistic edge: 0.5 where ``depth`` is 0."""
    return 1 / (1 + np.exp(np.clip(-4 * steepness * depth, -30, 30)))
