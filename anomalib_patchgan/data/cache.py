# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Prepared arrays on disk, so that reading a sample never decompresses a volume or a photograph again.

An entry is found by what its source holds, not by where it lies: a collection that was moved, copied or touched is not
prepared again, and one that changed is, even if size and time of the file are as before. So that a start need not read
all sources, the SHA-256 of each is kept with the file's status and is trusted while that stays the same.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

# Raised when what is written below changes its meaning, so that older entries are not read.
FORMAT_VERSION = 7
_ARRAY_NAME = "array.npy"
_FACTS_NAME = "facts.json"
_UNFINISHED_NAME = "unfinished"
# The clock of a file system may be as coarse as this: a file that changed so shortly before it was hashed may have
# changed again afterwards with the same times, so such a hash is not trusted later.
_CLOCK_STEP_NS = 2_000_000_000
# An entry is written in seconds. What is older than this was left by a process that was killed.
_LEFTOVER_AGE_S = 3600
# Every mapping holds a file open, and some systems let a process open no more than 256.
_OPEN_ARRAYS = 128


def default_cache_dir() -> Path:
    """Folder of prepared data: ``$XDG_CACHE_HOME/anomalib_patchgan``, or below ``~/.cache`` without that variable."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "anomalib_patchgan"


def source_sha256(cache_dir: Path, source: Path) -> str:
    """SHA-256 of a file; it is read only if its status is another than when it was read last.

    The status is size, inode and the times of change of content and of status. The last cannot be set by a user, so a
    file that was replaced by one of the same size and age is noticed.

    Args:
        cache_dir: Folder of all prepared data, which holds the known hashes too.
        source: The file.

    Raises:
        InputError: If the file cannot be read.
    """
    with _reading(source):
        status = source.stat()
    seen = [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]
    place = hashlib.sha256(os.fsencode(source.resolve())).hexdigest()
    record = cache_dir / "sources" / place[:2] / f"{place[2:34]}.json"
    try:
        known = json.loads(record.read_bytes())
    except (OSError, ValueError):
        known = None
    if known is not None and known["status"] == seen and status.st_ctime_ns + _CLOCK_STEP_NS < known["read_at_ns"]:
        return known["sha256"]
    read_at_ns = time.time_ns()
    with _reading(source), source.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    write_whole(record, json.dumps({"status": seen, "read_at_ns": read_at_ns, "sha256": digest}).encode())
    return digest


@contextlib.contextmanager
def _reading(source: Path) -> Iterator[None]:
    """Turn what the system says of an unreadable file into a sentence, so that it is one damaged file of many."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{source}: found a file that cannot be read ({error.strerror}), expected a readable one."
        ) from error


def entry_folder(cache_dir: Path, source: Path, settings: dict[str, Any]) -> Path:
    """Folder of the array prepared from one source file.

    It changes with the content of the source, with the settings and with the format, so a stale entry is never read.

    Args:
        cache_dir: Folder of all prepared data.
        source: The file that the array is prepared from.
        settings: What else determines the array; JSON-able.

    Raises:
        InputError: If the file cannot be read.
    """
    identity = [FORMAT_VERSION, source_sha256(cache_dir, source), settings]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return cache_dir / "prepared" / digest[:2] / digest[2:34]


def has_entry(folder: Path) -> bool:
    """Whether an array has been prepared, and is as long as it was when it was written."""
    try:
        written = json.loads((folder / _FACTS_NAME).read_bytes())
        return (folder / _ARRAY_NAME).stat().st_size == written["array_bytes"]
    except (OSError, ValueError):
        return False


def write_entry(folder: Path, array: NDArray[Any], facts: dict[str, Any]) -> None:
    """Write an array and its facts into a temporary folder and rename that, so that an entry is whole or absent.

    Args:
        folder: Where to, see :func:`entry_folder`.
        array: Any array.
        facts: What a reader needs to know of it; JSON-able.

    Raises:
        OSError: If the disk does not take it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = _unfinished(folder.parents[2])
    # A folder that tempfile makes could be read by its owner alone, and a cache may be shared.
    entry = unfinished / uuid4().hex
    entry.mkdir()
    try:
        np.save(entry / _ARRAY_NAME, array)
        written = {"array_bytes": (entry / _ARRAY_NAME).stat().st_size, "facts": facts}
        (entry / _FACTS_NAME).write_text(json.dumps(written), encoding="utf-8")
        try:
            entry.rename(folder)
        except OSError:
            # Another process prepared the same source meanwhile, and its entry is as good; or the entry that is
            # there was damaged since it was written.
            if not has_entry(folder):
                damaged = unfinished / uuid4().hex
                folder.rename(damaged)
                entry.rename(folder)
                shutil.rmtree(damaged, ignore_errors=True)
    finally:
        if entry.exists():
            shutil.rmtree(entry, ignore_errors=True)


def read_facts(folder: Path) -> dict[str, Any]:
    """Read the facts of an entry."""
    return json.loads((folder / _FACTS_NAME).read_bytes())["facts"]


def entries_sha256(folders: Iterable[Path | None], *settings: str) -> str:
    """SHA-256 over entries; it changes whenever one of their sources does.

    Args:
        folders: Folders of the entries, in an order that stays; None counts for nothing.
        settings: What else it should change with.
    """
    names = [folder.name for folder in folders if folder is not None]
    return hashlib.sha256(" ".join([*settings, *names]).encode()).hexdigest()


@functools.lru_cache(maxsize=_OPEN_ARRAYS)
def open_array(folder: Path) -> NDArray[Any]:
    """Map the array of an entry into memory, read-only; the latest 128 stay open in this process."""
    return np.load(folder / _ARRAY_NAME, mmap_mode="r")


def _unfinished(cache_dir: Path) -> Path:
    """Folder of what is not to be seen before it is whole; on the same disk, so that it can be renamed."""
    place = cache_dir / _UNFINISHED_NAME
    place.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(place)
    return place


@functools.cache
def _remove_leftovers(place: Path) -> None:
    """Remove what killed processes left; once in a process."""
    newest = time.time() - _LEFTOVER_AGE_S
    for leftover in place.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process finished or removed it
            if leftover.stat().st_mtime >= newest:
                continue
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink()
