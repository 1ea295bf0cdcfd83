# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""One writer at a time: a store is locked for as long as the process that writes to it lives."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from anomalib_patchgan.errors import InputError

_LOCK = ".lock"
_OWNER = ".lock-owner"


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the lock of a store.

    The operating system drops the lock of a process that has died, however it died, so none is ever stale.

    Args:
        root: Folder of the store; it is made if need be.

    Raises:
        InputError: Another living process holds the lock, or the folder cannot be written.
    """
    owner = root / _OWNER
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / _LOCK)
        lock.acquire(timeout=0)
    except Timeout as error:
        known = owner.read_text(encoding="utf-8").strip() if owner.exists() else "another process"
        raise InputError(
            f"{root} is being written by {known}; expected one run at a time, or another --store."
        ) from error
    except OSError as error:
        raise InputError(f"{root} cannot be written ({error.strerror}).") from error
    try:
        owner.write_text(f"process {os.getpid()} on {platform.node()}\n", encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
