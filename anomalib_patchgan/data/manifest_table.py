# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A CSV file that lists images: read, and checked line by line before any image is opened."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

from anomalib_patchgan.data.protocols import ABNORMAL, NORMAL
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import is_dicom

if TYPE_CHECKING:
    from collections.abc import Iterable

FILE_NAME = "manifest.csv"
_REQUIRED = ("image", "label")
COLUMNS = ("image", "mask", "label", "subject_id", "split")
_LABELS = {"0": NORMAL, "normal": NORMAL, "1": ABNORMAL, "abnormal": ABNORMAL}
_SPLITS = {
    "train": "train",
    "reference": "reference",
    "calibration": "calibration",
    "val": "calibration",
    "validation": "calibration",
    "test": "test",
}
_VOLUME_ENDINGS = (".nii", ".nii.gz")
_UNFIT_FOR_A_FILE_NAME = re.compile(r"[^\w.-]+")
# In bytes; the name of a file holds 255, of which slice, position and ending need some.
_LONGEST_NAME = 120


@dataclass(frozen=True)
class ManifestRow:
    """A line of the manifest.

    Attributes:
        line: Its number in the file.
        name: Name of the sample, made from ``image``; unique in the manifest and fit for a file.
        image: A file, or the folder of a DICOM series.
        mask: Its mask, or None.
        label: ``NORMAL`` or ``ABNORMAL``.
        subject: Whose it is.
        split: `train`, `reference`, `calibration` or `test`, or None if the manifest leaves the split to us.
    """

    line: int
    name: str
    image: Path
    mask: Path | None
    label: int
    subject: str
    split: str | None

    @property
    def is_volume(self) -> bool:
        """Whether the image is a volume: NIfTI, or the folder of a DICOM series."""
        return self.image.is_dir() or self.image.name.lower().endswith(_VOLUME_ENDINGS)


@dataclass(frozen=True)
class ManifestTable:
    """A manifest that has been checked.

    Attributes:
        path: The file.
        rows: Its lines.
        names_subjects: Whether it says whose each image is.
    """

    path: Path
    rows: tuple[ManifestRow, ...]
    names_subjects: bool

    @property
    def is_split(self) -> bool:
        """Whether the manifest says which group each image belongs to."""
        return self.rows[0].split is not None

    @property
    def holds_healthy_volumes(self) -> bool:
        """Whether some of the images are volumes labelled normal."""
        return self.holds_volumes and any(row.label == NORMAL for row in self.rows)

    @property
    def holds_volumes(self) -> bool:
        """Whether the images are volumes."""
        return self.rows[0].is_volume

    def subjects(self) -> dict[str, list[ManifestRow]]:
        """The lines of each subject."""
        found: dict[str, list[ManifestRow]] = {}
        for row in self.rows:
            found.setdefault(row.subject, []).append(row)
        return found


def find_manifest(root: Path) -> Path:
    """Say which file the user means.

    Args:
        root: The CSV file, or a folder that holds ``manifest.csv``.

    Raises:
        InputError: If there is no such file.
    """
    path = root / FILE_NAME if root.is_dir() else root
    if not path.is_file():
        raise InputError(f"{path}: found no such file, expected a CSV file, or a folder that holds {FILE_NAME}.")
    return path


def read_manifest(path: Path) -> ManifestTable:
    """Read a manifest and check what can be checked without opening an image.

    Args:
        path: CSV file in UTF-8 with the columns ``image`` and ``label``, and if wanted ``mask``, ``subject_id`` and
            ``split``.

    Raises:
        InputError: If a column is missing, a value is unknown, a file is missing, an image is listed twice, a subject
            is in two groups, or volumes and other images are mixed; the message has the number of the line.
    """
    cells = _read_cells(path)
    # Without names an image is its own subject.
    names_subjects = any(values["subject_id"] for _, values in cells)
    is_split = any(values["split"] for _, values in cells)
    rows = []
    used: set[str] = set()
    for line, values in cells:
        row = _read_row(path, line, values, names_subjects, is_split, used)
        used.add(row.name)
        rows.append(row)
    _check_images(path, rows)
    _check_groups(path, rows)
    return ManifestTable(path, tuple(rows), names_subjects)


def _read_cells(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Numbers of lines and values by column, without the lines that are empty."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            columns = [(name or "").strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            _check_columns(path, columns)
            lines = [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: found bytes that are not UTF-8, expected a CSV file in UTF-8.") from error
    except csv.Error as error:
        raise InputError(f"{path}: found no proper CSV ({error}), expected columns separated by commas.") from error
    for line, row in lines:
        if None in row:
            raise InputError(
                f"{path}, line {line}: found more values than columns, expected {len(columns)}; put a value that "
                "holds a comma in quotes."
            )
    cells = [(line, {name: (row.get(name) or "").strip() for name in COLUMNS}) for line, row in lines]
    kept = [(line, values) for line, values in cells if any(values.values())]
    if not kept:
        raise InputError(f"{path}: found no line below the header, expected an image a line.")
    return kept


def _check_columns(path: Path, columns: list[str]) -> None:
    found = ", ".join(columns) or "no columns"
    if missing := [name for name in _REQUIRED if name not in columns]:
        raise InputError(f"{path}, line 1: found {found}, expected the columns {' and '.join(missing)} too.")
    if unknown := [name for name in columns if name not in COLUMNS]:
        raise InputError(f"{path}, line 1: found the column {unknown[0]!r}, expected only {', '.join(COLUMNS)}.")
    if len(set(columns)) != len(columns):
        raise InputError(f"{path}, line 1: found a column twice ({found}), expected each once.")


def _read_row(
    path: Path, line: int, values: dict[str, str], names_subjects: bool, is_split: bool, used: set[str]
) -> ManifestRow:
    where = f"{path}, line {line}"
    if not values["image"]:
        raise InputError(f"{where}: found no image, expected its path.")
    label = _LABELS.get(values["label"].lower())
    if label is None:
        raise InputError(f"{where}: found the label {values['label']!r}, expected one of {', '.join(_LABELS)}.")
    if names_subjects and not values["subject_id"]:
        raise InputError(f"{where}: found no subject_id, expected one in every line, as others have one.")
    split = _SPLITS.get(values["split"].lower())
    if is_split and split is None:
        raise InputError(
            f"{where}: found the split {values['split']!r}, expected one of {', '.join(_SPLITS)} in every line, or in "
            "none."
        )
    image = _locate(path, line, values["image"])
    mask = _locate(path, line, values["mask"]) if values["mask"] else None
    name = _name_of(values["image"])
    # Images of which the names differ only in what cannot be in the name of a file.
    while name in used:
        name = f"{name}_line{line}"
    return ManifestRow(line, name, image, mask, label, values["subject_id"] or name, split)


def _locate(path: Path, line: int, written: str) -> Path:
    """Find a file by what the manifest says: a path, absolute or relative to the manifest, of either system."""
    plain = path.parent / written
    # A manifest from Windows has backslashes; elsewhere a file name may hold one, so the plain reading comes first.
    found = plain if plain.exists() else path.parent / PureWindowsPath(written).as_posix()
    if not found.exists():
        raise InputError(f"{path}, line {line}: found no file {found}, expected the path relative to the manifest.")
    return found


def _name_of(written: str) -> str:
    path = PureWindowsPath(written)
    # The folder of the manifest itself, written as a dot, has no name.
    parts = path.with_suffix("").parts if path.name else path.parts
    name = "/".join(part for part in parts if part not in (path.anchor, "..", "."))
    fit = _UNFIT_FOR_A_FILE_NAME.sub("_", name.removesuffix(".nii"))
    return fit.encode()[-_LONGEST_NAME:].decode(errors="ignore").strip("_") or "image"


def _check_images(path: Path, rows: Iterable[ManifestRow]) -> None:
    first_line: dict[Path, int] = {}
    kinds: dict[bool, int] = {}
    for row in rows:
        place = row.image.resolve()
        if place in first_line:
            raise InputError(
                f"{path}, line {row.line}: found {row.image.name} again, expected it once (it is in line "
                f"{first_line[place]})."
            )
        first_line[place] = row.line
        kinds.setdefault(row.is_volume, row.line)
        if len(kinds) == 2:
            raise InputError(
                f"{path}, line {row.line}: found {'a volume' if row.is_volume else 'no volume'}, expected the same "
                f"kind as in line {kinds[not row.is_volume]}; list volumes and other images in a manifest each."
            )
        if row.is_volume and row.mask is None and row.label == ABNORMAL:
            raise InputError(
                f"{path}, line {row.line}: found an abnormal volume without mask, expected one, since the lesion says "
                "which slices are abnormal."
            )
        if row.image.is_dir() and not any(file.is_file() and is_dicom(file) for file in row.image.iterdir()):
            raise InputError(
                f"{path}, line {row.line}: found a folder without DICOM files, expected those of a series."
            )


def _check_groups(path: Path, rows: Iterable[ManifestRow]) -> None:
    home: dict[str, ManifestRow] = {}
    for row in rows:
        first = home.setdefault(row.subject, row)
        if row.split != first.split:
            raise InputError(
                f"{path}, line {row.line}: found the subject {row.subject} in {row.split}, expected {first.split} as "
                f"in line {first.line}."
            )
