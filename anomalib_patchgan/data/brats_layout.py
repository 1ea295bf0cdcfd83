# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The folders of BraTS 2018 to 2021 as their archives unpack them."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anomalib_patchgan.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Set
    from pathlib import Path

GRADES = ("HGG", "LGG")
UNGRADED = "ungraded"
HEALTHY = "healthy"
MODALITIES = ("flair", "t1", "t1ce", "t2")
LESION_LABELS = {
    0: "no tumour",
    1: "necrotic and non-enhancing core",
    2: "oedema",
    4: "enhancing tumour, for which only BraTS 2023 and later write 3",
}

_SEGMENTATION = "seg"
_ENDINGS = (".nii.gz", ".nii")
_MAPPING = "name_mapping.csv"


@dataclass(frozen=True)
class SubjectFolder:
    """Where the files of a subject are.

    Attributes:
        subject: Name of its folder.
        grade: ``HGG``, ``LGG``, ``ungraded`` where nothing says which, or ``healthy``.
        folder: Its folder.
        irregular_segmentation: Name without ending of its segmentation, where that does not follow the rule.
    """

    subject: str
    grade: str
    folder: Path
    irregular_segmentation: str | None = None

    def modality(self, name: str) -> Path:
        """File of a modality.

        Args:
            name: One of :data:`MODALITIES`.

        Raises:
            InputError: If there is no such file.
        """
        path = self._find(f"{self.subject}_{name}")
        if path is None:
            raise InputError(f"{self.folder}: found no {name} volume, expected {self.subject}_{name}.nii.gz.")
        return path

    def segmentation(self) -> Path:
        """File with the labels of the tumour.

        Raises:
            InputError: If there is no such file.
        """
        path = self.optional_segmentation()
        if path is None:
            raise InputError(f"{self.folder}: found no segmentation, expected {self.subject}_{_SEGMENTATION}.nii.gz.")
        return path

    def optional_segmentation(self) -> Path | None:
        """File with the labels of the tumour, or None where there is none."""
        path = self._find(f"{self.subject}_{_SEGMENTATION}")
        if path is None and self.irregular_segmentation is not None:
            path = self._find(self.irregular_segmentation)
        return path

    def _find(self, stem: str) -> Path | None:
        candidates = [self.folder / f"{stem}{ending}" for ending in _ENDINGS]
        return next((path for path in candidates if path.is_file()), None)


@dataclass(frozen=True)
class Layout:
    """How the training data of a year are laid out.

    Attributes:
        year: The year.
        archive: Folder that the archive unpacks to.
        prefix: What the name of every subject begins with.
        grade_folders: Whether subjects lie in ``HGG`` and ``LGG``, or side by side.
        irregular_segmentations: Name without ending of a segmentation that does not follow the rule, by subject.
    """

    year: int
    archive: str
    prefix: str
    grade_folders: bool
    irregular_segmentations: Mapping[str, str] = field(default_factory=dict)

    @property
    def class_path(self) -> str:
        """The datamodule that reads this tree."""
        return f"anomalib_patchgan.data.BraTS{self.year}"

    @property
    def expected(self) -> str:
        """The end of a sentence about a folder that is not this tree."""
        contents = " and ".join(GRADES) if self.grade_folders else f"the folders {self.prefix}*"
        return f"expected the folder that holds {contents}, as {self.archive} does"

    def folders(self, root: Path) -> list[tuple[str, Path]]:
        """Folders of subjects, each with the grade it lies under, or ``ungraded``.

        Args:
            root: Folder of the collection.
        """
        if self.grade_folders:
            return [(grade, folder) for grade in GRADES for folder in _folders_in(root / grade)]
        return [(UNGRADED, folder) for folder in _folders_in(root) if folder.name.startswith(self.prefix)]

    def is_in(self, root: Path) -> bool:
        """Whether a folder has the outline of this tree, whatever its subjects are called."""
        if self.grade_folders:
            return any((root / grade).is_dir() for grade in GRADES)
        return bool(self.folders(root))

    def is_named_in(self, root: Path) -> bool:
        """Whether a folder holds a subject of this tree under the name that it has there."""
        return any(folder.name.startswith(self.prefix) for _, folder in self.folders(root))


LAYOUTS = {
    layout.year: layout
    for layout in (
        Layout(2018, "MICCAI_BraTS_2018_Data_Training", "Brats18_", grade_folders=True),
        Layout(2019, "MICCAI_BraTS_2019_Data_Training", "BraTS19_", grade_folders=True),
        Layout(
            2020,
            "MICCAI_BraTS2020_TrainingData",
            "BraTS20_",
            grade_folders=False,
            irregular_segmentations={"BraTS20_Training_355": "W39_1998.09.19_Segm"},
        ),
        Layout(2021, "BraTS2021_Training_Data", "BraTS2021_", grade_folders=False),
    )
}


def find_subjects(root: Path, layout: Layout) -> dict[str, SubjectFolder]:
    """List the subjects of a collection by name, in the order of their names.

    Links are followed, so that a subject may lie outside ``root``.

    Args:
        root: Folder of the collection.
        layout: How it should be laid out.

    Raises:
        InputError: If ``root`` is not such a folder, or a subject has two grades.
    """
    check_root(root, layout)
    folders = layout.folders(root)
    names = {folder.name for _, folder in folders}
    grades = _read_grades(root / _MAPPING, f"BraTS_{layout.year}_subject_ID", names)
    subjects: dict[str, SubjectFolder] = {}
    for grade, folder in folders:
        name = folder.name
        if name in subjects:
            raise InputError(
                f"{folder}: found the subject under both {' and '.join(GRADES)}, expected it under one of them."
            )
        irregular = layout.irregular_segmentations.get(name)
        subjects[name] = SubjectFolder(name, grades.get(name, grade), folder, irregular)
    if not subjects:
        raise InputError(f"{root}: found no subject below {' or '.join(GRADES)}, expected a folder for each subject.")
    return dict(sorted(subjects.items()))


def find_healthy(root: Path) -> dict[str, SubjectFolder]:
    """List the subjects of a healthy cohort by name, in the order of their names.

    Args:
        root: Folder that holds one folder a subject, with files named as in BraTS; a segmentation is not needed.

    Raises:
        InputError: If ``root`` is not such a folder.
    """
    expected = "expected a healthy cohort: one folder a subject, with files named as in BraTS"
    if not root.is_dir():
        raise InputError(f"{root}: found no such folder, {expected}.")
    folders = _folders_in(root)
    if not folders:
        raise InputError(f"{root}: found no folder in it, {expected}.")
    return {folder.name: SubjectFolder(folder.name, HEALTHY, folder) for folder in folders}


def check_root(root: Path, layout: Layout) -> None:
    """Refuse a folder that is not laid out as it should be, and say what it is or where the collection is.

    Args:
        root: What the user gave.
        layout: How it should be laid out.

    Raises:
        InputError: If ``root`` is another folder, or the collection of another year.
    """
    if not root.is_dir():
        raise InputError(f"{root}: found no such folder, {layout.expected}.")
    if layout.is_named_in(root):
        return
    for other in LAYOUTS.values():
        if other.is_named_in(root):
            raise InputError(
                f"{root}: found the subjects of BraTS {other.year}, {layout.expected}; "
                f"the datamodule of this folder is {other.class_path}."
            )
    if layout.is_in(root):
        return
    for parent in list(root.resolve().parents)[:2]:
        if layout.is_in(parent):
            raise InputError(f"{root}: found a folder inside the collection, {layout.expected}: {parent}.")
    children = _folders_in(root)
    for child in children:
        if layout.is_in(child):
            raise InputError(f"{root}: found the collection one folder further down, {layout.expected}: {child}.")
    found = f"{len(children)} other folders" if any(root.iterdir()) else "an empty folder"
    raise InputError(f"{root}: found {found}, {layout.expected}.")


def _folders_in(folder: Path) -> list[Path]:
    # A link that leads nowhere is listed, so that its subject is missed and not silently left out.
    return sorted(
        path
        for path in folder.glob("*")
        if not path.name.startswith(".") and (path.is_dir() or (path.is_symlink() and not path.exists()))
    )


def _read_grades(path: Path, subject_column: str, subjects: Set[str]) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns, rows = reader.fieldnames or [], list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: found a file that cannot be read ({error}), expected a CSV file.") from error
    if not {"Grade", subject_column} <= set(columns):
        raise InputError(
            f"{path}: found the columns {', '.join(columns)}, expected Grade and {subject_column} among them."
        )
    grades: dict[str, str] = {}
    for row in rows:
        subject, grade = row[subject_column], row["Grade"]
        # The column also holds placeholders, for subjects who are in the collection of another year only.
        if subject in subjects and grades.setdefault(subject, grade) != grade:
            raise InputError(f"{path}: found the subject {subject} as {grades[subject]} and as {grade}, expected one.")
    return grades
