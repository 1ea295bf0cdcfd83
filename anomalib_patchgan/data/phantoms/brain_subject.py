# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""One brain phantom in memory, with its lesion or as its healthy twin."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomalib_patchgan.data.phantoms.anatomy import DEFORMATIONS, GREY, WHITE, Anatomy, Grid, Template, draw_anatomy
from anomalib_patchgan.data.phantoms.fields import Array
from anomalib_patchgan.data.phantoms.lesion import Lesion, Zones, draw_lesion, paint_lesion, shape_lesion
from anomalib_patchgan.data.phantoms.level import Level
from anomalib_patchgan.data.phantoms.scanner import SCANNERS, draw_intensities, render_tissues, scan, ventricle_seams


@dataclass(frozen=True)
class RenderedSubject:
    """A subject's volumes.

    Attributes:
        scans: Modality -> raw intensities [X, Y, Z] of the whole volume.
        labels: BraTS labels [X, Y, Z] of the whole volume.
        lesion: What was drawn; None in the healthy twin.
    """

    scans: dict[str, NDArray[np.int16]]
    labels: NDArray[np.uint8]
    lesion: Lesion | None


class BrainSubject:
    """A subject whose healthy anatomy is drawn; it can be scanned with and without a lesion.

    Anatomy, lesion and scan draw from separate streams, so that the lesion is all that sets the two apart.

    Args:
        entropy: Non-negative numbers that all its random draws depend on.
        level: Its population.
        template: The average brain, for the grid's spacing.
        grid: Voxel grid.
    """

    def __init__(self, entropy: list[int], level: Level, template: Template, grid: Grid) -> None:
        of_anatomy, self._of_lesion, self._of_scan = np.random.SeedSequence(entropy).spawn(3)
        self._level, self._grid = level, grid
        self._anatomy: Anatomy = draw_anatomy(np.random.default_rng(of_anatomy), DEFORMATIONS[level], template, grid)
        self._brain = self._anatomy.brain()
        self._tissues: Array = self._anatomy.tissues((slice(None), slice(None), slice(None)))

    def healthy(self) -> RenderedSubject:
        """Scans it without a lesion."""
        return self._scan(self._tissues, None, None)

    def with_lesion(self, place: NDArray[np.float64], grade: str) -> RenderedSubject:
        """Scans it with its lesion.

        Args:
            place: Where in its population's ranges the lesion lies, see ``draw_lesion``.
            grade: "HGG" or "LGG".
        """
        random = np.random.default_rng(self._of_lesion)
        lesion = draw_lesion(random, place, self._level, grade, self._anatomy, self._tissues, self._brain)
        zones = shape_lesion(random, lesion, self._anatomy, self._tissues, self._brain)
        tissues = self._tissues.copy()
        tissues[:, *zones.box] = self._anatomy.tissues(zones.box, zones.displacement)
        return self._scan(tissues, lesion, zones)

    def _scan(self, tissues: Array, lesion: Lesion | None, zones: Zones | None) -> RenderedSubject:
        random = np.random.default_rng(self._of_scan)
        grid, scanner = self._grid, SCANNERS[self._level]
        seams = ventricle_seams(tissues, grid.spacing)
        seam_contrast = random.uniform(0.0, 0.25)
        scans = {}
        for modality in scanner.contrasts:
            intensities = draw_intensities(random, scanner, modality)
            image = render_tissues(tissues, intensities, seams, modality, seam_contrast)
            if lesion is not None and zones is not None:
                paint_lesion(image, modality, lesion, zones, float(intensities[[GREY, WHITE]].mean()))
            scans[modality] = _in_volume(scan(random, scanner, image, self._brain, grid.spacing), grid)
        labels = np.zeros(grid.shape, dtype=np.uint8)
        if lesion is not None and zones is not None:
            labels[zones.box] = zones.labels(lesion) * self._brain[zones.box]
        return RenderedSubject(scans, _in_volume(labels, grid), lesion)


def _in_volume(part: Any, grid: Grid) -> Any:
    volume = np.zeros(grid.volume_shape, dtype=part.dtype)
    volume[grid.brain_box] = part
    return volume
