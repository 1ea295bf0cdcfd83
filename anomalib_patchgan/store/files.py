# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Writing and reading folders so that a killed process never leaves a half-written one behind."""

import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.store.schema import SCHEMA_VERSION

UNFINISHED_PREFIX = ".unfinished-"


class CannotWriteError(InputError):
    """The disk is full or does not take a file for another reason; what was there before is untouched."""


@contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """Give a temporary sibling folder that becomes ``target`` when the block ends without an exception.

    Args:
        target: Folder to create, or to replace as a whole.

    Yields:
        The empty temporary folder to write to.

    Raises:
        CannotWriteError: The disk is full, or does not take a file; nothing is left of it.
    """
    temporary = target.parent / f"{UNFINISHED_PREFIX}{target.name}"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        _flush(temporary)
        _rename(temporary, target)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise CannotWriteError(f"{target} cannot be written ({error.strerror or error}).") from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _flush(folder: Path) -> None:
    """Have every file on the disk before any can be seen: some file systems find out late that it is full."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _rename(temporary: Path, target: Path) -> None:
    if not target.exists():
        temporary.rename(target)
        return
    # A folder cannot be renamed over another one; the old one steps aside under a name that no reader takes.
    aside = target.parent / f"{UNFINISHED_PREFIX}old-{target.name}"
    shutil.rmtree(aside, ignore_errors=True)
    target.rename(aside)
    try:
        temporary.rename(target)
    except OSError:
        aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def remove_unfinished(parent: Path) -> int:
    """Remove what killed writes left in a folder and return how many there were."""
    leftovers = sorted(parent.glob(f"{UNFINISHED_PREFIX}*")) if parent.is_dir() else []
    for leftover in leftovers:
        shutil.rmtree(leftover, ignore_errors=True)
    return len(leftovers)


def plain(value: Any) -> Any:
    """Turn a value into what JSON can hold: numpy scalars, paths and tuples become plain, NaN and infinity None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return str(value)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file with the schema version; the file appears complete or not at all.

    Raises:
        OSError: It cannot be written; nothing is left of it.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    text = json.dumps(plain({"schema_version": SCHEMA_VERSION} | content), indent=1, ensure_ascii=False)
    try:
        # A message may name a file whose name is no UTF-8.
        temporary.write_text(text + "\n", encoding="utf-8", errors="replace")
        os.replace(temporary, path)  # noqa: PTH105 - the documented atomic call on every platform
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


REMOVE_FOLDER = "remove its folder to have it made again"


def read_json(path: Path, remedy: str = REMOVE_FOLDER) -> dict[str, Any]:
    """Read a JSON file of this schema version.

    Args:
        path: The file.
        remedy: What to do about a damaged one.

    Raises:
        InputError: The file is missing, is not JSON, or was written with another schema version.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; expected a file written by `anomalib-patchgan benchmark`.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}); {remedy}.") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{path} has schema_version {version!r}; this version of the package reads {SCHEMA_VERSION}, so it needs "
            "the version that wrote it, or another store."
        )
    del content["schema_version"]
    return content
