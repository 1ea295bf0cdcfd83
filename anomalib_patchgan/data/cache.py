# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Prepared arrays on disk, so that reading a sample never decompresses a volume or a photograph again."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Raised when what is written below changes its meaning, so that older entries are not read.
_FORMAT_VERSION = 2
_ARRAY_NAME = "array.npy"
_FACTS_NAME = "facts.json"


def default_cache_dir() -> Path:
    """Folder of prepared data: ``$XDG_CACHE_HOME/anomalib_patchgan``, or below ``~/.cache`` without that variable."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "anomalib_patchgan"


def entry_folder(cache_dir: Path, source: Path, settings: dict[str, Any]) -> Path:
    """Folder of the array prepared from one source file.

    It changes with the place, size and time of the source, with the settings and with the format, so a stale entry is
    never read.

    Args:
        cache_dir: Folder of all prepared data.
        source: The file that the array is prepared from.
        settings: What else determines the array; JSON-able.
    """
    status = source.stat()
    identity = [_FORMAT_VERSION, str(source.resolve()), status.st_size, status.st_mtime_ns, settings]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return cache_dir / "prepared" / digest[:2] / digest[2:34]


def has_entry(folder: Path) -> bool:
    """Whether an array has been prepared."""
    return (folder / _FACTS_NAME).is_file()


def write_entry(folder: Path, array: NDArray[Any], facts: dict[str, Any]) -> None:
    """Write an array and its facts into a temporary folder and rename that, so that an entry is whole or absent.

    Args:
        folder: Where to, see :func:`entry_folder`.
        array: Any array.
        facts: What a reader needs to know of it; JSON-able.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        np.save(temporary / _ARRAY_NAME, array)
        (temporary / _FACTS_NAME).write_text(json.dumps(facts), encoding="utf-8")
        # The folder exists already if another process prepared the same source meanwhile: its entry is as good.
        with contextlib.suppress(OSError):
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_facts(folder: Path) -> dict[str, Any]:
    """Read the facts of an entry."""
    return json.loads((folder / _FACTS_NAME).read_text(encoding="utf-8"))


@functools.lru_cache(maxsize=512)
def open_array(folder: Path) -> NDArray[Any]:
    """Map the array of an entry into memory, read-only; the latest 512 stay open in this process."""
    return np.load(folder / _ARRAY_NAME, mmap_mode="r")
