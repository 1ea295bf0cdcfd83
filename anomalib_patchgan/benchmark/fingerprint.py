# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Hashes of what determines an outcome: arguments, files, versions, source code. None of it imports torch."""

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from anomalib_patchgan import __version__
from anomalib_patchgan.benchmark.imports import files_behind

_PACKAGE = Path(__file__).parents[1]
_DISTRIBUTIONS = (
    "anomalib",
    "lightning",
    "nncf",
    "numpy",
    "onnxruntime",
    "openvino",
    "scikit-learn",
    "simpleitk",
    "timm",
    "torch",
    "torchio",
    "torchvision",
)
# Names to import those by that are called otherwise.
_IMPORTED_AS = {"scikit-learn": "sklearn", "simpleitk": "SimpleITK"}
_DATA_SOURCES = ("data", "io")
_JOB_SOURCES = (
    *_DATA_SOURCES,
    "benchmark/job.py",
    "benchmark/recorder.py",
    "benchmark/artefact_tests.py",
    "benchmark/classes.py",
    "benchmark/labels.py",
    "store/maps.py",
)
# What a job uses of the layers below, whatever its model is.
_USED_BY_ALL = ("models.backbones", "models.components.post_processor")
_USED_BY_BACKENDS = ("deploy.deployment_rows",)
# Maps under artefacts are not kept, so no report can compute their metric again.
_USED_BY_ARTEFACTS = ("evaluation.count_pixels", "evaluation.rank_maps")


def digest(content: Any, length: int = 16) -> str:
    """First characters of the SHA-256 of a value's canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    # A file's name may hold bytes that are no UTF-8.
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:length]


def folder_digest(root: Path) -> str | None:
    """Digest of the sorted relative paths and sizes of all files below a folder, or None where there is no folder.

    Links to folders are followed, as the readers of data sets follow them. Of a single file, such as a manifest, it is
    the digest of the content.
    """
    if root.is_file():
        return hashlib.sha256(root.read_bytes()).hexdigest()
    if not root.is_dir():
        return None
    return digest(sorted((path.relative_to(root).as_posix(), path.stat().st_size) for path in _files_below(root)))


@cache
def data_source_digest() -> str:
    """Digest of the source files that read data."""
    return _content_digest(_files(_DATA_SOURCES))


@cache
def package_source_digest() -> str:
    """Digest of every source file of the package, which says what state of it a result was made with."""
    return _content_digest(set(_PACKAGE.rglob("*.py")))


def job_source_digest(
    model_class: str, model_arguments: dict[str, Any], deployed: bool, under_artefacts: bool = False
) -> str:
    """Digest of the source files that a job's outcome depends on: none of another model's is among them.

    Of another package that a class path names, every Python file counts, unless its version stands in the key. What
    such a package imports from elsewhere is not seen.

    Args:
        model_class: Dotted path of the model.
        model_arguments: Its arguments, which may name classes by ``class_path``.
        deployed: Whether the job exports its model too.
        under_artefacts: Whether the job tests its model under artefacts too.
    """
    return _job_source_digest(class_paths(model_class, model_arguments), deployed, under_artefacts)


@cache
def other_source_digest(named: frozenset[str]) -> str | None:
    """Digest of the source of packages other than this one and those whose version stands in the key.

    Args:
        named: Dotted paths of classes, see :func:`class_paths`.

    Returns:
        The digest, or None where all classes are of known packages.
    """
    others = _other_packages(named)
    return digest({name: _digests_of_other(name) for name in others}) if others else None


def class_paths(class_path: str, arguments: dict[str, Any]) -> frozenset[str]:
    """A class and every other one that its arguments name by ``class_path``."""
    return frozenset([class_path, *_class_paths(arguments)])


@cache
def package_versions() -> dict[str, str | None]:
    """Installed versions of the packages that an outcome depends on; None for one that is not installed."""
    versions: dict[str, str | None] = {"anomalib-patchgan": __version__}
    for name in _DISTRIBUTIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


@cache
def _job_source_digest(named: frozenset[str], deployed: bool, under_artefacts: bool) -> str:
    names = _USED_BY_ALL + (_USED_BY_BACKENDS if deployed else ()) + (_USED_BY_ARTEFACTS if under_artefacts else ())
    used = [f"{_PACKAGE.name}.{name}" for name in names]
    own = _content_digest(_files(_JOB_SOURCES) | files_behind([*named, *used], _PACKAGE))
    others = _other_packages(named)
    # Only then, so that other models keep the keys that they always had.
    return digest([own, {name: _digests_of_other(name) for name in others}]) if others else own


def _other_packages(named: frozenset[str]) -> set[str]:
    known = {_PACKAGE.name, *(_IMPORTED_AS.get(name, name) for name in _DISTRIBUTIONS)}
    return {path.partition(".")[0] for path in named} - known


def _digests_of_other(package: str) -> list[str | None]:
    """Digest of a module's file, or of each folder of a package; they are found by name, and nothing is imported."""
    try:
        spec = find_spec(package)
    except ValueError:
        # The name is empty, or that of the running script.
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations is None:
        return [folder_digest(Path(str(spec.origin)))]
    folders = map(Path, spec.submodule_search_locations)
    return [_content_digest({file for file in folder.rglob("*.py") if file.is_file()}, folder) for folder in folders]


def _class_paths(arguments: Any) -> Iterator[str]:
    """Every ``class_path`` in nested arguments."""
    if isinstance(arguments, dict):
        if isinstance(arguments.get("class_path"), str):
            yield arguments["class_path"]
        arguments = list(arguments.values())
    if isinstance(arguments, list):
        for argument in arguments:
            yield from _class_paths(argument)


def _files(sources: tuple[str, ...]) -> set[Path]:
    paths = [_PACKAGE / source for source in sources]
    return {file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path])}


def _files_below(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Files at any depth, by way of links too, but for those that lead back to a folder above."""
    place = folder.resolve()
    if place in above:
        return
    try:
        entries = list(folder.iterdir())
    except PermissionError:
        return
    for path in entries:
        if path.is_dir():
            yield from _files_below(path, above | {place})
        elif path.is_file():
            yield path


def _content_digest(files: set[Path], root: Path = _PACKAGE) -> str:
    contents = [
        (file.relative_to(root).as_posix(), hashlib.sha256(file.read_bytes()).hexdigest()) for file in sorted(files)
    ]
    return digest(contents)
