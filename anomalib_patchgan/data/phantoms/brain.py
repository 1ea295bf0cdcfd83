# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A brain cohort in the layout of the BraTS 2019 training archive."""

import csv
import gzip
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from anomalib_patchgan.data.phantoms.anatomy import GREY, WHITE, Grid, Template, draw_anatomy, load_template
from anomalib_patchgan.data.phantoms.lesion import Lesion, Zones, draw_lesion, paint_lesion, shape_lesion
from anomalib_patchgan.data.phantoms.level import Level, check_at_least, check_level
from anomalib_patchgan.data.phantoms.processes import map_indices
from anomalib_patchgan.data.phantoms.scanner import CONTRASTS, draw_levels, render_tissues, scan, ventricle_seams
from anomalib_patchgan.data.phantoms.tree import write_tree

VERSION = 1
"""Raised whenever the same parameters would give other files."""

TEMPLATE_NOTICE = (
    "Derived from the ICBM 2009a Nonlinear Asymmetric template, copyright (C) 1993-2009 Louis Collins, McConnell Brain "
    "Imaging Centre, Montreal Neurological Institute, McGill University."
)

NAME_MAPPING = "name_mapping.csv"
NAME_MAPPING_HEADER = (
    "Grade",
    "BraTS_2017_subject_ID",
    "BraTS_2018_subject_ID",
    "TCGA_TCIA_subject_ID",
    "BraTS_2019_subject_ID",
)


@dataclass(frozen=True)
class BrainPhantoms:
    """A cohort of brain phantoms, each with one lesion, two thirds of them high-grade.

    Attributes:
        subjects: Number of subjects.
        seed: Of all random draws; a subject depends on the seed and its index alone.
        spacing: Voxel edge in mm; the volume stays 240 x 240 x 155 mm.
        level: How hard the lesions are to see.
    """

    subjects: int = 30
    seed: int = 0
    spacing: float = 1.0
    level: Level = "medium"

    def __post_init__(self) -> None:
        """Refuses values that give no cohort.

        Raises:
            InputError: If a field is out of its range.
        """
        check_at_least("subjects", self.subjects, 1)
        check_at_least("seed", self.seed, 0)
        check_at_least("spacing", self.spacing, 0.5)
        check_level(self.level)

    def parameters(self) -> dict[str, Any]:
        """Returns what determines the files, the generator and its version included; JSON-able."""
        return {"generator": "anomalib_patchgan.BrainPhantoms", "version": VERSION, **asdict(self)}

    def write(
        self, root: Path, progress: Callable[[int, int], None] | None = None, processes: int | None = None
    ) -> None:
        """Writes the cohort, unless it is there already.

        Args:
            root: The folder to make, as the archive ``MICCAI_BraTS_2019_Data_Training`` unpacks to.
            progress: Called with (done, subjects) after each subject.
            processes: At most this many; None means one a core. The files do not depend on it.

        Raises:
            InputError: If ``root`` holds anything but these phantoms, or nilearn is not installed.
        """
        root = Path(root)

        def write_contents(folder: Path) -> dict[str, Any]:
            writer = _SubjectWriter(self, load_template(self.spacing), folder)
            records = map_indices(writer, self.subjects, processes, progress)
            with (folder / NAME_MAPPING).open("w", newline="", encoding="utf-8") as stream:
                rows = csv.writer(stream, lineterminator="\n")
                rows.writerow(NAME_MAPPING_HEADER)
                rows.writerows([record["grade"], "NA", "NA", "NA", record["subject"]] for record in records)
            return {"notice": TEMPLATE_NOTICE, "subjects": records}

        write_tree(root, self.parameters(), write_contents)


@dataclass(frozen=True)
class RenderedSubject:
    """A subject's volumes.

    Attributes:
        scans: Modality -> raw intensities [X, Y, Z] of the whole volume.
        labels: BraTS labels [X, Y, Z] of the whole volume.
        grade: "HGG" or "LGG".
        lesion: What was drawn; None in the healthy twin.
    """

    scans: dict[str, NDArray[np.int16]]
    labels: NDArray[np.uint8]
    grade: str
    lesion: Lesion | None


def render_subject(
    phantoms: BrainPhantoms, template: Template, index: int, *, with_lesion: bool = True
) -> RenderedSubject:
    """Makes one subject. Without its lesion, anatomy, contrasts and noise stay the same: its healthy twin.

    Args:
        phantoms: The cohort.
        template: The average brain, for the cohort's spacing.
        index: Which subject, from 0.
        with_lesion: Whether it has its lesion.
    """
    seeds = np.random.SeedSequence([phantoms.seed, index]).spawn(3)
    of_anatomy, of_lesion, of_scan = (np.random.default_rng(seed) for seed in seeds)
    grid = Grid(phantoms.spacing)
    whole = (slice(None), slice(None), slice(None))
    grade = "LGG" if index % 3 == 2 else "HGG"

    anatomy = draw_anatomy(of_anatomy, template, grid)
    brain = anatomy.brain()
    tissues = anatomy.tissues(whole)
    lesion: Lesion | None = None
    zones: Zones | None = None
    if with_lesion:
        lesion = draw_lesion(of_lesion, phantoms.level, grade, anatomy, tissues, brain)
        zones = shape_lesion(of_lesion, lesion, anatomy, tissues, brain)
        tissues[:, *zones.box] = anatomy.tissues(zones.box, zones.displacement)

    seams = ventricle_seams(tissues, grid.spacing)
    seam_contrast = of_scan.uniform(0.0, 0.25)
    scans = {}
    for modality in CONTRASTS:
        levels = draw_levels(of_scan, modality)
        image = render_tissues(tissues, levels, seams, modality, seam_contrast)
        if lesion is not None and zones is not None:
            paint_lesion(image, modality, lesion, zones, float(levels[[GREY, WHITE]].mean()))
        scans[modality] = _in_volume(scan(of_scan, image, brain, grid.spacing), grid)
    labels = np.zeros(grid.shape, dtype=np.uint8)
    if lesion is not None and zones is not None:
        labels[zones.box] = zones.labels(lesion) * brain[zones.box]
    return RenderedSubject(scans, _in_volume(labels, grid), grade, lesion)


def subject_name(index: int) -> str:
    """Returns a subject's name after the pattern of BraTS 2019, from ``BraTS19_PHANTOM_0001_1`` on."""
    return f"BraTS19_PHANTOM_{index + 1:04d}_1"


@dataclass(frozen=True)
class _SubjectWriter:
    phantoms: BrainPhantoms
    template: Template
    folder: Path

    def __call__(self, index: int) -> dict[str, Any]:
        subject = render_subject(self.phantoms, self.template, index)
        name = subject_name(index)
        folder = self.folder / subject.grade / name
        folder.mkdir(parents=True, exist_ok=True)
        grid = Grid(self.phantoms.spacing)
        for modality, volume in (*subject.scans.items(), ("seg", subject.labels.astype(np.int16))):
            image = nibabel.Nifti1Image(volume, grid.affine)
            image.header.set_xyzt_units("mm", "sec")
            # Level 1 is five times as fast as the default for a few per cent of size; no time stamp, for equal bytes.
            (folder / f"{name}_{modality}.nii.gz").write_bytes(gzip.compress(image.to_bytes(), 1, mtime=0))
        millilitres = grid.spacing**3 / 1000
        return {
            "subject": name,
            "grade": subject.grade,
            "lesion": None if subject.lesion is None else subject.lesion.record(),
            "volume_ml": {
                str(label): round(float((subject.labels == label).sum() * millilitres), 3) for label in (1, 2, 4)
            },
        }


def _in_volume(part: Any, grid: Grid) -> Any:
    volume = np.zeros(grid.volume_shape, dtype=part.dtype)
    volume[grid.brain_box] = part
    return volume
