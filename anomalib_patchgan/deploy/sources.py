# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Finding what is to be predicted: images, volumes and series, in the folders that a user names."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import is_dicom

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_VOLUME_ENDINGS = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Source:
    """One input.

    Attributes:
        name: Its path relative to the folder that the user named; what results are called.
        files: Its file; or one for each modality; or the folder of a DICOM series.
    """

    name: str
    files: tuple[Path, ...]


def find_sources(inputs: Sequence[Path], modalities: Sequence[str]) -> list[Source]:
    """List the inputs of a prediction.

    A model of images takes every file below a folder, so that one that is no image is noticed; a model of volumes takes
    NIfTI files (where some end in the name of the modality, those only) and folders that hold DICOM files.

    Args:
        inputs: Files and folders.
        modalities: Names of the volumes that make one input; empty where an input is an image.

    Returns:
        Sources with distinct names, in the order of the inputs and of their names.

    Raises:
        InputError: If an input does not exist, or nothing is found.
    """
    sources: list[Source] = []
    for given in inputs:
        if not given.exists():
            raise InputError(f"{given}: found no such file or folder, expected what is to be predicted.")
        found = list(_volumes(given, modalities) if modalities else _images(given))
        if not found:
            wanted = "NIfTI volumes or DICOM series" if modalities else "images"
            raise InputError(f"{given}: found an empty folder or nothing to read, expected {wanted}.")
        prefix = f"{given.resolve().name}/" if len(inputs) > 1 and given.is_dir() else ""
        sources += [Source(f"{prefix}{source.name}", source.files) for source in found]
    # Two scans may differ in their ending only, or lie in two folders of one name.
    repeated = [name for name, count in Counter(source.name for source in sources).items() if count > 1]
    if repeated:
        raise InputError(f"inputs: found {repeated[0]!r} twice, expected inputs of different names.")
    return sources


def _images(given: Path) -> Iterator[Source]:
    if given.is_file():
        yield Source(given.name, (given,))
        return
    for path in _files_below(given):
        yield Source(path.relative_to(given).as_posix(), (path,))


def _volumes(given: Path, modalities: Sequence[str]) -> Iterator[Source]:
    if given.is_file():
        yield Source(given.name, (given,)) if len(modalities) == 1 else _with_siblings(given, given.name, modalities)
        return
    folders: dict[Path, list[Path]] = {}
    for path in _files_below(given):
        folders.setdefault(path.parent, []).append(path)
    for folder, files in sorted(folders.items()):
        volumes = [path for path in files if path.name.lower().endswith(_VOLUME_ENDINGS)]
        first = [path for path in volumes if _stem(path).lower().endswith(f"_{modalities[0].lower()}")]
        for path in first or (volumes if len(modalities) == 1 else volumes[:1]):
            name = path.relative_to(given).as_posix()
            yield Source(name, (path,)) if len(modalities) == 1 else _with_siblings(path, name, modalities)
        if not volumes and any(is_dicom(path) for path in files):
            place = folder.relative_to(given).as_posix()
            yield Source(given.resolve().name if place == "." else place, (folder,))


def _with_siblings(path: Path, name: str, modalities: Sequence[str]) -> Source:
    """The volumes of a subject by the name of the first; what is missing is said when they are read."""
    ending = path.name[len(_stem(path)) :]
    subject = _stem(path).removesuffix(f"_{modalities[0]}")
    return Source(name, (path, *(path.with_name(f"{subject}_{other}{ending}") for other in modalities[1:])))


def _files_below(folder: Path) -> Iterator[Path]:
    """Files below a folder, sorted, without hidden ones."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place) / name for name in sorted(files) if not name.startswith("."))


def _stem(path: Path) -> str:
    for ending in _VOLUME_ENDINGS:
        if path.name.lower().endswith(ending):
            return path.name[: -len(ending)]
    return path.stem
