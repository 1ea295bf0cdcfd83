# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Hashes of what determines an outcome: arguments, files, versions, source code. None of it imports torch."""

import hashlib
import json
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from anomalib_patchgan import __version__

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
_DATA_SOURCES = ("data", "io")
_JOB_SOURCES = (
    *_DATA_SOURCES,
    "models",
    "deploy",
    "benchmark/job.py",
    "benchmark/recorder.py",
    "benchmark/artefact_tests.py",
    "benchmark/classes.py",
)


def digest(content: Any, length: int = 16) -> str:
    """First characters of the SHA-256 of a value's canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def folder_digest(root: Path) -> str | None:
    """Digest of the sorted relative paths and sizes of all files below a folder, or None where there is no folder.

    Of a single file, such as a manifest, it is the digest of the content.
    """
    if root.is_file():
        return hashlib.sha256(root.read_bytes()).hexdigest()
    if not root.is_dir():
        return None
    files = sorted(
        (path.relative_to(root).as_posix(), path.stat().st_size) for path in root.rglob("*") if path.is_file()
    )
    return digest(files)


@cache
def data_source_digest() -> str:
    """Digest of the source files that read data."""
    return _source_digest(_DATA_SOURCES)


@cache
def job_source_digest() -> str:
    """Digest of the source files that a job's outcome depends on."""
    return _source_digest(_JOB_SOURCES)


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


def _source_digest(sources: tuple[str, ...]) -> str:
    files: list[Path] = []
    for source in sources:
        path = _PACKAGE / source
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    contents = [
        (file.relative_to(_PACKAGE).as_posix(), hashlib.sha256(file.read_bytes()).hexdigest()) for file in files
    ]
    return digest(contents)
