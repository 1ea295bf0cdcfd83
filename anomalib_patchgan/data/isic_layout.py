# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The folders of ISIC 2016, parts 1 and 3, as their archives unpack."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anomalib_patchgan.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

HALVES = ("Training", "Test")

# The organisers write words for the training images and numbers for the test images.
_DIAGNOSES = {"benign": False, "malignant": True, "0.0": False, "1.0": True, "0": False, "1": True}


@dataclass(frozen=True)
class PhotographFiles:
    """Where an image is and what is known of it.

    Attributes:
        name: Name of the image without its ending; an image is its own subject.
        half: `Training` or `Test`.
        photograph: JPEG file.
        mask: PNG file with its lesion, or None in part 3.
        malignant: Its diagnosis, or None in part 1.
    """

    name: str
    half: str
    photograph: Path
    mask: Path | None = None
    malignant: bool | None = None


def find_segmented(root: Path) -> dict[str, PhotographFiles]:
    """List the images of part 1 by name, sorted by half and name.

    Args:
        root: Folder that holds the four folders of part 1.

    Raises:
        InputError: If ``root`` is not such a folder, a half is empty, or an image is in both halves.
    """
    check_root(root, 1, "")
    photographs: dict[str, PhotographFiles] = {}
    for half in HALVES:
        for path in _images(root, 1, half):
            mask = root / f"ISBI2016_ISIC_Part1_{half}_GroundTruth" / f"{path.stem}_Segmentation.png"
            _add(photographs, PhotographFiles(path.stem, half, path, mask=mask))
    return photographs


def find_diagnosed(root: Path) -> dict[str, PhotographFiles]:
    """List the images of part 3 by name, sorted by half and name.

    Args:
        root: Folder that holds the two folders and the two CSV files of part 3.

    Raises:
        InputError: If ``root`` is not such a folder, a half is empty, an image is in both halves, or the labels cannot
            be read.
    """
    check_root(root, 3, ".csv")
    photographs: dict[str, PhotographFiles] = {}
    for half in HALVES:
        diagnoses = read_diagnoses(root / f"ISBI2016_ISIC_Part3_{half}_GroundTruth.csv")
        images = {path.stem: path for path in _images(root, 3, half)}
        for name in sorted({*images, *diagnoses}):
            path = images.get(name, _folder(root, 3, half) / f"{name}.jpg")
            _add(photographs, PhotographFiles(name, half, path, malignant=diagnoses.get(name)))
    return photographs


def read_diagnoses(path: Path) -> dict[str, bool]:
    """Read which images show a malignant lesion.

    Args:
        path: CSV file without header: name of an image, and ``benign`` or ``malignant``, or ``0.0`` or ``1.0``.

    Raises:
        InputError: If the file cannot be read, a row has another form, or an image has two labels.
    """
    expected = "expected rows of an image's name and benign, malignant, 0.0 or 1.0"
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = [row for row in csv.reader(stream) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: found a file that cannot be read ({error}), {expected}.") from error
    diagnoses: dict[str, bool] = {}
    for row in rows:
        if len(row) != 2 or row[1].strip().lower() not in _DIAGNOSES:
            raise InputError(f"{path}: found the row {','.join(row)!r}, {expected}.")
        name, malignant = row[0].strip(), _DIAGNOSES[row[1].strip().lower()]
        if diagnoses.setdefault(name, malignant) != malignant:
            raise InputError(f"{path}: found {name} both as benign and as malignant, expected one label.")
    return diagnoses


def check_root(root: Path, part: int, truth_ending: str) -> None:
    """Refuse a folder that does not hold a part of the challenge, and say where it is if it is near.

    Args:
        root: What the user gave.
        part: Number of the part.
        truth_ending: What follows the name of the ground truth: ``.csv``, or nothing where that is a folder.

    Raises:
        InputError: If something is missing.
    """
    names = [
        f"ISBI2016_ISIC_Part{part}_{half}_{kind}" for half in HALVES for kind in ("Data", f"GroundTruth{truth_ending}")
    ]
    contents = "two folders and two files" if truth_ending else "four folders"
    pattern = f"ISBI2016_ISIC_Part{part}_{{Training,Test}}_{{Data,GroundTruth{truth_ending}}}"
    expected = f"expected the folder that holds the {contents} {pattern}"

    def missing(folder: Path) -> list[str]:
        return [name for name in names if not (folder / name).exists()]

    if not root.is_dir():
        raise InputError(f"{root}: found no such folder, {expected}.")
    lacking = missing(root)
    if not lacking:
        return
    if not missing(root.resolve().parent):
        raise InputError(f"{root}: found a folder inside the collection, {expected}: {root.resolve().parent}.")
    for child in sorted(path for path in root.iterdir() if path.is_dir()):
        if not missing(child):
            raise InputError(f"{root}: found the collection one folder further down, {expected}: {child}.")
    found = "an empty folder" if not any(root.iterdir()) else f"a folder without {' and '.join(lacking)}"
    raise InputError(f"{root}: found {found}, {expected}.")


def _images(root: Path, part: int, half: str) -> list[Path]:
    folder = _folder(root, part, half)
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() == ".jpg" and path.name[0] != ".")
    if not paths:
        raise InputError(f"{folder}: found no image, expected files named ISIC_*.jpg.")
    return paths


def _folder(root: Path, part: int, half: str) -> Path:
    return root / f"ISBI2016_ISIC_Part{part}_{half}_Data"


def _add(photographs: dict[str, PhotographFiles], files: PhotographFiles) -> None:
    if files.name in photographs:
        raise InputError(f"{files.photograph}: found the image in both halves, expected it in one of them.")
    photographs[files.name] = files
