# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The folders of BraTS 2019 as its archive unpacks them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anomalib_patchgan.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

GRADES = ("HGG", "LGG")
MODALITIES = ("flair", "t1", "t1ce", "t2")
SEGMENTATION = "seg"

_EXPECTED = "expected the folder that holds HGG and LGG, as MICCAI_BraTS_2019_Data_Training does"
_ENDINGS = (".nii.gz", ".nii")


@dataclass(frozen=True)
class SubjectFiles:
    """Where the files of a subject are.

    Attributes:
        subject: Name of its folder.
        grade: `HGG` or `LGG`.
        modalities: One file for each modality asked for.
        segmentation: File with the labels of its tumour.
    """

    subject: str
    grade: str
    modalities: tuple[Path, ...]
    segmentation: Path


def find_subjects(root: Path, modalities: Sequence[str]) -> list[SubjectFiles]:
    """List the subjects below ``root``, sorted by name.

    Args:
        root: Folder that holds ``HGG`` and ``LGG``, or one of them.
        modalities: Names of the modalities needed; other files are not looked for.

    Raises:
        InputError: If ``root`` is not such a folder, or a subject lacks a file.
    """
    check_root(root)
    grades = _read_grades(root / "name_mapping.csv")
    subjects: dict[str, SubjectFiles] = {}
    for grade in GRADES:
        for folder in sorted(path for path in (root / grade).glob("*") if path.is_dir()):
            if folder.name in subjects:
                raise InputError(
                    f"{folder}: found the subject under both {' and '.join(GRADES)}, expected it under one of them."
                )
            subjects[folder.name] = SubjectFiles(
                folder.name,
                grades.get(folder.name, grade),
                tuple(_file_of(folder, modality) for modality in modalities),
                _file_of(folder, SEGMENTATION),
            )
    if not subjects:
        raise InputError(f"{root}: found no subject below {' or '.join(GRADES)}, expected a folder for each subject.")
    return [subjects[name] for name in sorted(subjects)]


def check_root(root: Path) -> None:
    """Refuse a folder that does not hold the grades, and say where they are if they are near.

    Args:
        root: What the user gave.

    Raises:
        InputError: If ``root`` holds neither ``HGG`` nor ``LGG``.
    """
    if not root.is_dir():
        raise InputError(f"{root}: found no such folder, {_EXPECTED}.")
    if _holds_grades(root):
        return
    for parent in list(root.resolve().parents)[:2]:
        if _holds_grades(parent):
            raise InputError(f"{root}: found a folder inside the collection, {_EXPECTED}: {parent}.")
    children = sorted(path for path in root.iterdir() if path.is_dir())
    for child in children:
        if _holds_grades(child):
            raise InputError(f"{root}: found the collection one folder further down, {_EXPECTED}: {child}.")
    found = f"{len(children)} other folders" if any(root.iterdir()) else "an empty folder"
    raise InputError(f"{root}: found {found}, {_EXPECTED}.")


def _holds_grades(folder: Path) -> bool:
    return any((folder / grade).is_dir() for grade in GRADES)


def _file_of(folder: Path, kind: str) -> Path:
    for ending in _ENDINGS:
        path = folder / f"{folder.name}_{kind}{ending}"
        if path.is_file():
            return path
    what = "segmentation" if kind == SEGMENTATION else f"{kind} volume"
    raise InputError(f"{folder}: found no {what}, expected {folder.name}_{kind}.nii.gz.")


def _read_grades(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    if rows and not {"Grade", "BraTS_2019_subject_ID"} <= set(rows[0]):
        raise InputError(
            f"{path}: found the columns {', '.join(rows[0])}, expected Grade and BraTS_2019_subject_ID among them."
        )
    return {row["BraTS_2019_subject_ID"]: row["Grade"] for row in rows}
