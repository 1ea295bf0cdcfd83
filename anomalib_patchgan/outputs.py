# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Places of results that a command line names: looked at before the work is done, so that none is done in vain."""

import os
from pathlib import Path

from anomalib_patchgan.errors import InputError


def check_folder(folder: Path, option: str, *, written: bool = True) -> None:
    """Refuse a folder that cannot be made, without making it.

    Args:
        folder: The folder, which need not be there.
        option: What names it, for the message.
        written: Whether anything is to be written to it.

    Raises:
        InputError: A file is in its way, or where it is or would be cannot be written.
    """
    found = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not found.is_dir():
        raise InputError(f"{option}: found the file {found}, expected a folder or a free name.")
    if written and not os.access(found, os.W_OK):
        raise InputError(f"{option}: found the folder {found}, expected one that can be written.")


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, unless it is there.

    Raises:
        InputError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: found no folder that can be made ({error.strerror}), expected one.") from error


def make_room(file: Path) -> None:
    """Make the folder of a file that is written later.

    Raises:
        InputError: The folder cannot be made, or a folder has the file's name.
    """
    make_folder(file.parent)
    try:
        is_folder = file.is_dir()
    except OSError as error:
        raise not_writable(file, error.strerror) from error
    if is_folder:
        raise InputError(f"{file}: found a folder, expected a file or a free name.")


def write_text(file: Path, text: str) -> None:
    """Write a text and end its last line.

    Raises:
        InputError: The file cannot be written.
    """
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise not_writable(file, error.strerror) from error


def not_writable(file: Path, reason: str | None) -> InputError:
    """What is said of a file that cannot be written, and why."""
    return InputError(f"{file}: found that it cannot be written ({reason}), expected a file.")
