# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Healthy anatomy of a brain phantom: a template, deformed, its tissue borders perturbed (after SynthSeg's idea)."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomalib_patchgan.data.phantoms.fields import Array, fine_field, ramp, smooth_field
from anomalib_patchgan.data.phantoms.level import Level
from anomalib_patchgan.errors import InputError

GREY, WHITE, CSF = 0, 1, 2
"""Index of grey matter, white matter and cerebrospinal fluid in the first axis of a tissue array."""

Box = tuple[slice, slice, slice]

BRATS_SIZE_MM = (240.0, 240.0, 155.0)
# The part of a BraTS volume in which the brain lies; work outside it would be wasted.
BRAIN_SIZE_MM = (176.0, 212.0, 155.0)


@dataclass(frozen=True)
class Grid:
    """The voxel grid of a volume and the centred box in it that can hold brain. Axes run to left, posterior, superior.

    Attributes:
        spacing: Edge of a voxel in mm.
    """

    spacing: float

    @property
    def volume_shape(self) -> tuple[int, int, int]:
        """Voxels per axis of the whole volume: 240 x 240 x 155 at 1 mm."""
        first, second, third = (math.ceil(size / self.spacing) for size in BRATS_SIZE_MM)
        return first, second, third

    @property
    def brain_box(self) -> Box:
        """Where in the volume the brain box lies."""
        edges = []
        for size, length in zip(BRAIN_SIZE_MM, self.volume_shape, strict=True):
            width = min(length, math.ceil(size / self.spacing))
            edges.append(slice((length - width) // 2, (length - width) // 2 + width))
        return edges[0], edges[1], edges[2]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels per axis of the brain box."""
        first, second, third = (edge.stop - edge.start for edge in self.brain_box)
        return first, second, third

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel index to world coordinates in mm [4, 4], as in BraTS: x and y reversed, the origin at the last row."""
        affine = np.diag([-self.spacing, -self.spacing, self.spacing, 1.0])
        affine[1, 3] = (self.volume_shape[1] - 1) * self.spacing
        return affine


@dataclass(frozen=True)
class Template:
    """An average brain as tissue maps.

    Attributes:
        tissues: Grey, white, CSF [3, X, Y, Z], 0..255 = probability 0..1; their sum fades to 0 outside the brain.
        spacing: Edge of a template voxel in mm.
        centre_mm: Template (MNI) coordinates, in mm to the left, posterior and superior, of the middle of the array.
    """

    tissues: NDArray[np.uint8]
    spacing: float
    centre_mm: tuple[float, float, float]


def load_template(spacing: float) -> Template:
    """Reads the ICBM152 2009a template that ships inside the nilearn wheel.

    Args:
        spacing: Voxel edge in mm of the volumes to be made; the template is blurred to suit it.

    Raises:
        InputError: If nilearn is not installed.
    """
    try:
        from nilearn import datasets
    except ImportError as error:
        raise InputError(
            "brain phantoms: found no package nilearn, expected it for the brain template it carries: "
            "install the train extra (pip install 'anomalib-patchgan[train]')"
        ) from error
    images: list[Any] = [
        load(resolution=1)
        for load in (
            datasets.load_mni152_template,
            datasets.load_mni152_gm_template,
            datasets.load_mni152_wm_template,
        )
    ]
    volumes = [np.asarray(image.dataobj, dtype=np.float32)[::-1, ::-1] for image in images]
    inside = np.argwhere(volumes[0] > 0)
    low, high = np.maximum(inside.min(axis=0) - 2, 0), inside.max(axis=0) + 3
    weighted, grey, white = (volume[tuple(map(slice, low, high))] for volume in volumes)
    brain = (weighted > 0).astype(np.float32)
    # The tissue maps give the ventricles some white matter; the dark T1 there tells that it is fluid.
    fluid = np.maximum(1 - grey - white, ramp(weighted, 0.6, 0.42)).clip(0, 1)
    solid = (1 - fluid) / np.maximum(grey + white, 1e-3)
    tissues = np.stack([grey * solid, white * solid, fluid]) * brain
    if spacing > 1:
        tissues = ndimage.gaussian_filter(tissues, 0.3 * spacing, axes=(1, 2, 3))
    step = max(1, int(spacing / 2))
    tissues = tissues[:, ::step, ::step, ::step]
    # Reversing an axis keeps its middle in the middle: the world coordinates change their sign there, nothing else.
    origin = images[0].affine[:3, 3]
    length = np.array(volumes[0].shape)
    full_centre = (origin + (length - 1) / 2) * (-1, -1, 1)
    centre = full_centre + low + (np.array(tissues.shape[1:]) - 1) * step / 2 - (length - 1) / 2
    return Template(
        tissues=np.round(tissues * 255).clip(0, 255).astype(np.uint8),
        spacing=float(step),
        centre_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
    )


@dataclass(frozen=True)
class Anatomy:
    """One subject's healthy brain, able to show its tissues also where a lesion pushes them aside.

    Attributes:
        template: The average brain it is made from.
        grid: Voxel grid.
        matrix: From the subject's mm to the template's mm [3, 3].
        position: Where in the template each voxel comes from, in mm from the template's middle [3, X, Y, Z].
        perturbation: What is added to the tissues' log-probabilities [3, X, Y, Z].
        sharpness: Factor on the log-probabilities: the average of 152 brains is blurred, a brain is not.
    """

    template: Template
    grid: Grid
    matrix: NDArray[np.float32]
    position: Array
    perturbation: Array
    sharpness: float

    def tissues(self, box: Box, displacement: Array | None = None) -> Array:
        """Returns the tissue probabilities in a part of the brain box.

        Args:
            box: Part of the brain box.
            displacement: By how much tissue was moved to arrive at each voxel, in mm [3, ...box].

        Returns:
            Grey, white, CSF [3, ...box], summing to 1 everywhere; outside the brain all is CSF.
        """
        position = self.position[:, *box]
        if displacement is not None:
            position = position - np.tensordot(self.matrix, displacement, axes=(1, 0))
        middle = (np.array(self.template.tissues.shape[1:], dtype=np.float32) - 1) / 2
        index = position / np.float32(self.template.spacing) + middle[:, None, None, None]
        maps = np.empty(position.shape, dtype=np.float32)
        for tissue in (GREY, WHITE, CSF):
            ndimage.map_coordinates(self.template.tissues[tissue], index, output=maps[tissue], order=1)
        maps /= 255
        maps[CSF] += 1 - maps.sum(axis=0)
        logits = (np.log(np.maximum(maps, 1e-3)) + self.perturbation[:, *box]) * np.float32(self.sharpness)
        logits -= logits.max(axis=0)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=0)
        return logits

    def brain(self) -> NDArray[np.bool_]:
        """Returns the brain mask [X, Y, Z]. A lesion does not change it: the skull does not give way."""
        middle = (np.array(self.template.tissues.shape[1:], dtype=np.float32) - 1) / 2
        index = self.position / np.float32(self.template.spacing) + middle[:, None, None, None]
        whole = self.template.tissues.sum(axis=0, dtype=np.uint16).clip(0, 255).astype(np.uint8)
        return ndimage.map_coordinates(whole, index, output=np.float32, order=1) > 127

    def template_mm(self) -> Array:
        """Returns each voxel's template (MNI) coordinates [3, X, Y, Z], in mm to the left, posterior and superior."""
        centre = np.array(self.template.centre_mm, dtype=np.float32)
        return self.position + centre[:, None, None, None]


@dataclass(frozen=True)
class Deformation:
    """How a population's brains differ from the template.

    Attributes:
        coarse: Amplitude and correlation length in mm of the elastic warp's coarse part.
        fine: The same of its fine part.
        atrophy: Mean of what is added to the log-probability of CSF; its standard deviation is 0.35.
    """

    coarse: tuple[float, float]
    fine: tuple[float, float]
    atrophy: float


REFERENCE_DEFORMATION = Deformation(coarse=(3.0, 32.0), fine=(1.6, 11.0), atrophy=0.0)
DEFORMATIONS: dict[Level, Deformation] = {
    "easy": REFERENCE_DEFORMATION,
    "medium": REFERENCE_DEFORMATION,
    "hard": REFERENCE_DEFORMATION,
    "shifted": Deformation(coarse=(3.5, 48.0), fine=(2.6, 16.0), atrophy=0.5),
}


def draw_anatomy(random: np.random.Generator, deformation: Deformation, template: Template, grid: Grid) -> Anatomy:
    """Draws one subject: affine, elastic warp on two scales, perturbed tissue borders, more or less atrophy.

    Args:
        random: Source of randomness.
        deformation: How far it is from the template.
        template: The average brain.
        grid: Voxel grid.
    """
    size = 0.97 * np.exp(random.normal(0, 0.025) + random.normal(0, 0.02, 3)).clip(0.93, 1.05)
    tilt, nod, turn = np.deg2rad(random.normal(0, (3.0, 4.0, 3.0)))
    rotation = _rotation(1, 2, nod) @ _rotation(0, 2, tilt) @ _rotation(0, 1, turn)
    matrix = ((rotation + random.normal(0, 0.015, (3, 3))) / size).astype(np.float32)
    shift = random.normal(0, (2.0, 3.0, 1.5)).astype(np.float32)

    axes = [
        ((np.arange(length) - (length - 1) / 2) * grid.spacing).astype(np.float32) - shift[axis]
        for axis, length in enumerate(grid.shape)
    ]
    lattice = np.meshgrid(*axes, indexing="ij", sparse=True)
    position = np.stack([sum(matrix[axis, other] * lattice[other] for other in range(3)) for axis in range(3)]).astype(
        np.float32
    )
    for axis in range(3):
        for amplitude, length_mm in (deformation.coarse, deformation.fine):
            position[axis] += np.float32(amplitude) * smooth_field(random, grid.shape, grid.spacing, length_mm)

    perturbation = np.stack([0.45 * smooth_field(random, grid.shape, grid.spacing, 7.0) for _ in range(3)])
    perturbation += 0.25 * np.stack([fine_field(random, grid.shape, 1.0) for _ in range(3)])
    perturbation[CSF] += random.normal(deformation.atrophy, 0.35)
    return Anatomy(template, grid, matrix, position, perturbation.astype(np.float32), float(random.uniform(1.6, 2.4)))


def _rotation(first: int, second: int, angle: float) -> NDArray[np.float64]:
    rotation = np.eye(3)
    rotation[first, first] = rotation[second, second] = np.cos(angle)
    rotation[first, second], rotation[second, first] = -np.sin(angle), np.sin(angle)
    return rotation
