# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Files that no reader ever meets half written."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def replaced_file(path: Path, ending: str = "") -> Iterator[Path]:
    """Give a hidden name beside a file, which takes the file's place when the block ends without an exception.

    What ``tempfile`` makes could be read by its owner alone, and so could the file in the end.

    Args:
        path: The file; missing folders are made.
        ending: What the hidden name is to end in, for a writer that goes by it.

    Yields:
        Where to write to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".unfinished.{uuid4().hex}{ending}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all; missing folders are made.

    Args:
        path: Where to.
        content: What to write.
    """
    with replaced_file(path) as temporary:
        temporary.write_bytes(content)
