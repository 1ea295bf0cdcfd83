# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Cohorts of brain phantoms: lesioned in the layout of the BraTS 2019 training archive, healthy in a flat one."""

import gzip
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from anomalib_patchgan.data.phantoms.anatomy import Grid, Template, load_template
from anomalib_patchgan.data.phantoms.brain_subject import BrainSubject, RenderedSubject
from anomalib_patchgan.data.phantoms.even import even_draws
from anomalib_patchgan.data.phantoms.level import Level, check_at_least, check_at_most, check_level
from anomalib_patchgan.data.phantoms.processes import map_indices
from anomalib_patchgan.data.phantoms.tree import HEALTHY_TWINS, write_csv, write_tree

VERSION = 3
"""Raised whenever the same parameters would give other files."""
# In mm; of larger voxels a brain, 155 mm high, would hardly have any.
LARGEST_SPACING = 20.0

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

# The third number keeps the draws of a healthy cohort apart from those of a lesioned one and of skin.
HEALTHY_STREAM = 3


@dataclass(frozen=True)
class BrainPhantoms:
    """A cohort of brain phantoms, each with one lesion, two thirds of them high-grade.

    Attributes:
        subjects: Number of subjects.
        seed: Of all random draws; a subject depends on the seed and its index alone.
        spacing: Voxel edge in mm; the volume stays 240 x 240 x 155 mm.
        level: How hard the lesions are to see, or "shifted" for another population, to report on and never to tune on.
        healthy_twins: Whether the same subjects without their lesions are written too, to ``healthy_twins/<subject>/``.
    """

    subjects: int = 30
    seed: int = 0
    spacing: float = 1.0
    level: Level = "medium"
    healthy_twins: bool = False

    def __post_init__(self) -> None:
        """Refuses values that give no cohort.

        Raises:
            InputError: If a field is out of its range.
        """
        check_at_least("subjects", self.subjects, 1)
        check_at_least("seed", self.seed, 0)
        check_at_least("spacing", self.spacing, 0.5)
        check_at_most("spacing", self.spacing, LARGEST_SPACING)
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

        def write_contents(folder: Path) -> dict[str, Any]:
            writer = _LesionedWriter(self, load_template(self.spacing), folder)
            records = map_indices(writer, self.subjects, processes, progress)
            rows = ((record["grade"], "NA", "NA", "NA", record["subject"]) for record in records)
            write_csv(folder / NAME_MAPPING, NAME_MAPPING_HEADER, rows)
            return {"notice": TEMPLATE_NOTICE, "subjects": records}

        write_tree(Path(root), self.parameters(), write_contents)


@dataclass(frozen=True)
class HealthyBrainPhantoms:
    """A cohort of brain phantoms without lesions, none of them the twin of a lesioned one, whatever the seeds.

    The layout is flat: ``<subject>/<subject>_<modality>.nii.gz``, with an empty segmentation.

    Attributes:
        subjects: Number of subjects.
        seed: Of all random draws; a subject depends on the seed and its index alone.
        spacing: Voxel edge in mm; the volume stays 240 x 240 x 155 mm.
    """

    subjects: int = 30
    seed: int = 0
    spacing: float = 1.0

    def __post_init__(self) -> None:
        """Refuses values that give no cohort.

        Raises:
            InputError: If a field is out of its range.
        """
        check_at_least("subjects", self.subjects, 1)
        check_at_least("seed", self.seed, 0)
        check_at_least("spacing", self.spacing, 0.5)
        check_at_most("spacing", self.spacing, LARGEST_SPACING)

    def parameters(self) -> dict[str, Any]:
        """Returns what determines the files, the generator and its version included; JSON-able."""
        return {"generator": "anomalib_patchgan.HealthyBrainPhantoms", "version": VERSION, **asdict(self)}

    def write(
        self, root: Path, progress: Callable[[int, int], None] | None = None, processes: int | None = None
    ) -> None:
        """Writes the cohort, unless it is there already.

        Args:
            root: The folder to make.
            progress: Called with (done, subjects) after each subject.
            processes: At most this many; None means one a core. The files do not depend on it.

        Raises:
            InputError: If ``root`` holds anything but these phantoms, or nilearn is not installed.
        """

        def write_contents(folder: Path) -> dict[str, Any]:
            writer = _HealthyWriter(self, load_template(self.spacing), folder)
            records = map_indices(writer, self.subjects, processes, progress)
            return {"notice": TEMPLATE_NOTICE, "subjects": records}

        write_tree(Path(root), self.parameters(), write_contents)


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
    subject = _lesioned_subject(phantoms, template, index)
    return _with_lesion(subject, phantoms, index) if with_lesion else subject.healthy()


def subject_name(index: int) -> str:
    """Returns a subject's name after the pattern of BraTS 2019, from ``BraTS19_PHANTOM_0001_1`` on."""
    return f"BraTS19_PHANTOM_{index + 1:04d}_1"


def healthy_subject_name(index: int) -> str:
    """Returns the name of a subject of a healthy cohort, from ``PHANTOM_HEALTHY_0001`` on."""
    return f"PHANTOM_HEALTHY_{index + 1:04d}"


def _grade(index: int) -> str:
    return "LGG" if index % 3 == 2 else "HGG"


def _lesioned_subject(phantoms: BrainPhantoms, template: Template, index: int) -> BrainSubject:
    return BrainSubject([phantoms.seed, index], phantoms.level, template, Grid(phantoms.spacing))


def _with_lesion(subject: BrainSubject, phantoms: BrainPhantoms, index: int) -> RenderedSubject:
    return subject.with_lesion(even_draws(phantoms.seed, index, 3), _grade(index))


@dataclass(frozen=True)
class _LesionedWriter:
    phantoms: BrainPhantoms
    template: Template
    folder: Path

    def __call__(self, index: int) -> dict[str, Any]:
        subject = _lesioned_subject(self.phantoms, self.template, index)
        name, grade, grid = subject_name(index), _grade(index), Grid(self.phantoms.spacing)
        rendered = _with_lesion(subject, self.phantoms, index)
        _write_volumes(self.folder / grade, name, rendered, grid)
        if self.phantoms.healthy_twins:
            _write_volumes(self.folder / HEALTHY_TWINS, name, subject.healthy(), grid)
        millilitres = grid.spacing**3 / 1000
        return {
            "subject": name,
            "grade": grade,
            "lesion": None if rendered.lesion is None else rendered.lesion.record(),
            "volume_ml": {
                str(label): round(float((rendered.labels == label).sum() * millilitres), 3) for label in (1, 2, 4)
            },
        }


@dataclass(frozen=True)
class _HealthyWriter:
    phantoms: HealthyBrainPhantoms
    template: Template
    folder: Path

    def __call__(self, index: int) -> dict[str, Any]:
        grid, name = Grid(self.phantoms.spacing), healthy_subject_name(index)
        subject = BrainSubject([self.phantoms.seed, index, HEALTHY_STREAM], "medium", self.template, grid)
        _write_volumes(self.folder, name, subject.healthy(), grid)
        return {"subject": name}


def _write_volumes(parent: Path, name: str, rendered: RenderedSubject, grid: Grid) -> None:
    folder = parent / name
    folder.mkdir(parents=True, exist_ok=True)
    for modality, volume in (*rendered.scans.items(), ("seg", rendered.labels.astype(np.int16))):
        image = nibabel.Nifti1Image(volume, grid.affine)
        image.header.set_xyzt_units("mm", "sec")
        # Level 1 is five times as fast as the default for a few per cent of size; no time stamp, for equal bytes.
        (folder / f"{name}_{modality}.nii.gz").write_bytes(gzip.compress(image.to_bytes(), 1, mtime=0))
