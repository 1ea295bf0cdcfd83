# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The four folders of ISIC 2016, part 1, as their archives unpack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from anomalib_patchgan.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

PARTS = ("Training", "Test")

_EXPECTED = "expected the folder that holds the four folders ISBI2016_ISIC_Part1_{Training,Test}_{Data,GroundTruth}"


@dataclass(frozen=True)
class PhotographFiles:
    """Where an image and its mask are.

    Attributes:
        name: Name of the image without its ending; an image is its own subject.
        part: `Training` or `Test`.
        photograph: JPEG file.
        mask: PNG file.
    """

    name: str
    part: str
    photograph: Path
    mask: Path


def find_photographs(root: Path) -> list[PhotographFiles]:
    """List the images below ``root``, sorted by part and name.

    Args:
        root: Folder that holds the four folders.

    Raises:
        InputError: If ``root`` is not such a folder, a part is empty, or an image lacks its mask.
    """
    check_root(root)
    photographs: dict[str, PhotographFiles] = {}
    for part in PARTS:
        folder = _data_folder(root, part)
        paths = sorted(folder.glob("*.jpg"))
        if not paths:
            raise InputError(f"{folder}: found no image, expected files named ISIC_*.jpg.")
        for path in paths:
            mask = _truth_folder(root, part) / f"{path.stem}_Segmentation.png"
            if not mask.is_file():
                raise InputError(f"{path}: found an image without mask, expected {mask}.")
            if path.stem in photographs:
                raise InputError(f"{path}: found the image in both parts, expected it in one of them.")
            photographs[path.stem] = PhotographFiles(path.stem, part, path, mask)
    return list(photographs.values())


def check_root(root: Path) -> None:
    """Refuse a folder that does not hold the four folders, and say where they are if they are near.

    Args:
        root: What the user gave.

    Raises:
        InputError: If one of the four folders is missing.
    """
    if not root.is_dir():
        raise InputError(f"{root}: found no such folder, {_EXPECTED}.")
    missing = _missing(root)
    if not missing:
        return
    if not _missing(root.resolve().parent):
        raise InputError(f"{root}: found a folder inside the collection, {_EXPECTED}: {root.resolve().parent}.")
    for child in sorted(path for path in root.iterdir() if path.is_dir()):
        if not _missing(child):
            raise InputError(f"{root}: found the collection one folder further down, {_EXPECTED}: {child}.")
    found = "an empty folder" if not any(root.iterdir()) else f"a folder without {' and '.join(missing)}"
    raise InputError(f"{root}: found {found}, {_EXPECTED}.")


def _missing(root: Path) -> list[str]:
    folders = [folder for part in PARTS for folder in (_data_folder(root, part), _truth_folder(root, part))]
    return [folder.name for folder in folders if not folder.is_dir()]


def _data_folder(root: Path, part: str) -> Path:
    return root / f"ISBI2016_ISIC_Part1_{part}_Data"


def _truth_folder(root: Path, part: str) -> Path:
    return root / f"ISBI2016_ISIC_Part1_{part}_GroundTruth"
