# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Finding what is to be predicted: images, volumes and series, in the folders that a user names."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from anomalib_patchgan.deploy.preparation import OF_A_MANIFEST
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import is_dicom

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

TABLE_NAME, RUN_NAME = "scores.csv", "run.json"
KINDS = ("maps", "masks", "overlays")
"""What can be written beside the table, each into a folder of its name."""
_VOLUME_ENDINGS = (".nii.gz", ".nii")
# The table of contents of a disc, which is DICOM and no slice (DICOM PS3.10).
_DISC_CONTENTS = "DICOMDIR"


@dataclass(frozen=True)
class Source:
    """One input.

    Attributes:
        name: Its path relative to the folder that the user named; what results are called.
        files: Its file; or one for each modality; or the folder of a DICOM series.
        problem: Why it cannot be predicted, where that is known before it is read.
    """

    name: str
    files: tuple[Path, ...]
    problem: str = ""

    @property
    def base(self) -> str:
        """Its name without the ending of a volume: what its map and its mask are called, but for their ending."""
        return volume_base(self.name)


def find_sources(
    inputs: Sequence[Path], modalities: Sequence[str], results: Collection[Path] = frozenset()
) -> list[Source]:
    """List the inputs of a prediction.

    A model of images takes every file below a folder, so that one that is no image is noticed; a model of volumes takes
    NIfTI files (where some end in the name of the modality, those only; a manifest names none) and folders that hold
    DICOM files. What is below a folder and cannot be opened is listed with its problem.

    Args:
        inputs: Files and folders.
        modalities: Names of the volumes that make one input; empty where an input is an image.
        results: Files and folders, resolved, that will hold results and are no inputs wherever they lie; those of
            earlier predictions are known by ``scores.csv`` and ``run.json``.

    Returns:
        Sources with distinct names, in the order of the inputs and of their names.

    Raises:
        InputError: If an input does not exist, or nothing is found.
    """
    sources: list[Source] = []
    names = Counter(given.name for given in inputs)
    for given in inputs:
        try:
            exists = given.exists()
        except OSError as error:
            raise InputError(f"{given}: found a path that cannot be read ({error.strerror}), expected one.") from error
        if not exists:
            raise InputError(f"{given}: found no such file or folder, expected what is to be predicted.")
        found = list(_volumes(given, modalities, results) if modalities else _images(given, results))
        if not found:
            wanted = "NIfTI volumes or DICOM series" if modalities else "images"
            raise InputError(f"{given}: found an empty folder or nothing to read, expected {wanted}.")
        prefix = ""
        if len(inputs) > 1 and given.is_dir():
            prefix = f"{given.resolve().name}/"
        elif names[given.name] > 1:
            prefix = f"{given.resolve().parent.name}/"
        sources += [replace(source, name=_shown(f"{prefix}{source.name}")) for source in found]
    # Two scans may lie in two folders of one name.
    repeated = [name for name, count in Counter(source.name for source in sources).items() if count > 1]
    if repeated:
        raise InputError(f"inputs: found {repeated[0]!r} twice, expected inputs of different names.")
    return list(_without_shared_results(sources)) if modalities else sources


def volume_base(name: str) -> str:
    """The name of a volume without its ending."""
    for ending in _VOLUME_ENDINGS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def _shown(name: str) -> str:
    """A name that can be written to a table, even where the file system's is no UTF-8.

    A carriage return is escaped as well: csv leaves it without quotes, and readers take it for the end of a line.
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace").replace("\r", "\\r")


def _without_shared_results(sources: Sequence[Source]) -> Iterator[Source]:
    """Volumes that differ in their ending only would share a map: the first of them keeps it."""
    first: dict[str, str] = {}
    for source in sources:
        if first.setdefault(source.base, source.name) == source.name:
            yield source
        else:
            other = first[source.base]
            yield replace(source, problem=f"found beside {other}, whose results have the same name, expected one.")


def _images(given: Path, results: Collection[Path]) -> Iterator[Source]:
    if given.is_file():
        yield Source(given.name, (given,))
        return
    yield from _files_below(given, results)


def _volumes(given: Path, modalities: Sequence[str], results: Collection[Path]) -> Iterator[Source]:
    if given.is_file():
        if not _is_volume(given) and _is_slice(given):
            raise InputError(f"{given}: found one file of a DICOM series, expected the folder of the series.")
        yield Source(given.name, (given,)) if len(modalities) == 1 else _with_siblings(given, given.name, modalities)
        return
    folders: dict[Path, list[Source]] = {}
    for source in _files_below(given, results):
        folders.setdefault(source.files[0].parent, []).append(source)
    for folder, below in sorted(folders.items()):
        unreadable = [source for source in below if source.problem]
        volumes = [source for source in below if not source.problem and _is_volume(source.files[0])]
        named = [] if tuple(modalities) == OF_A_MANIFEST else volumes
        first = [source for source in named if _subject(source.base, modalities[0]) != source.base]
        for source in first or (volumes if len(modalities) == 1 else volumes[:1]):
            one = len(modalities) == 1
            yield source if one else _with_siblings(source.files[0], source.name, modalities)
        series = False
        for source in below:
            if source.problem or source in volumes or source.files[0].name.upper() == _DISC_CONTENTS:
                continue
            try:
                series = series or is_dicom(source.files[0])
            except OSError as error:
                problem = f"{source.files[0]}: found a file that cannot be read ({error.strerror}), expected one."
                unreadable.append(replace(source, problem=problem))
        if series:
            place = folder.relative_to(given).as_posix()
            yield Source(given.resolve().name if place == "." else place, (folder,))
        yield from unreadable


def _is_volume(path: Path) -> bool:
    return path.name.lower().endswith(_VOLUME_ENDINGS)


def _is_slice(path: Path) -> bool:
    try:
        return is_dicom(path)
    except OSError:
        # What is wrong with it is said when it is read.
        return False


def _with_siblings(path: Path, name: str, modalities: Sequence[str]) -> Source:
    """The volumes of a subject by the name of the first; what is missing is said when they are read."""
    stem = volume_base(path.name)
    ending = path.name[len(stem) :]
    subject = _subject(stem, modalities[0])
    others = [path.with_name(f"{subject}_{other}{ending}") for other in modalities[1:]]
    return Source(name, (path, *map(_in_any_case, others)))


def _subject(stem: str, modality: str) -> str:
    """A name without the modality at its end, in letters of any case; the name itself where it has another end."""
    ending = f"_{modality}"
    return stem[: -len(ending)] if stem.lower().endswith(ending.lower()) else stem


def _in_any_case(path: Path) -> Path:
    """The file of this name in letters of any case, or else the path as it is."""
    if path.exists():
        return path
    return min((other for other in path.parent.glob("*") if other.name.lower() == path.name.lower()), default=path)


def _files_below(given: Path, results: Collection[Path]) -> Iterator[Source]:
    """Files below a folder, sorted, without hidden ones and results; and the folders that cannot be listed."""
    unlisted: list[OSError] = []
    visited: set[Path] = set()
    for place, folders, files in os.walk(given, onerror=unlisted.append, followlinks=True):
        folder = Path(place)
        # A link may lead back to a folder above it.
        if folder.resolve() in visited:
            folders.clear()
            continue
        visited.add(folder.resolve())
        if {TABLE_NAME, RUN_NAME}.issubset(files):
            # An earlier prediction has written here.
            folders[:] = [name for name in folders if name not in KINDS]
            files = [name for name in files if name not in (TABLE_NAME, RUN_NAME)]
        folders[:] = sorted(name for name in folders if _is_input(folder / name, results))
        for path in (folder / name for name in sorted(files)):
            if _is_input(path, results):
                problem = "" if path.is_file() else f"{path}: found no file that can be read, expected one."
                yield Source(path.relative_to(given).as_posix(), (path,), problem)
    for error in unlisted:
        path = Path(error.filename)
        problem = f"{path}: found a folder that cannot be read ({error.strerror}), expected one."
        yield Source(path.relative_to(given).as_posix(), (path,), problem)


def _is_input(path: Path, results: Collection[Path]) -> bool:
    # A link to itself has no resolved path; Path.resolve raises there.
    return not path.name.startswith(".") and Path(os.path.realpath(path)) not in results
