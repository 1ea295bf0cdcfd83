# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A folder that is either complete or not there: written under a temporary name, renamed when done, with a marker."""

import csv
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from anomalib_patchgan.errors import InputError

MARKER = "phantoms.json"
"""Name of the file that is written last and says that a folder holds complete phantoms, and which."""

HEALTHY_TWINS = "healthy_twins"
"""Name of the folder with the same subjects without their lesions; no reader of the real layouts looks into it."""

# A living writer adds files every few seconds, so a temporary folder at rest for an hour belongs to a killed one.
ABANDONED_AFTER_SECONDS = 3600.0


def read_parameters(root: Path) -> dict[str, Any] | None:
    """Returns the parameters of the phantoms in a folder, or None where the folder does not hold phantoms.

    Args:
        root: A data set's folder.

    Raises:
        InputError: If the marker is there but cannot be read.
    """
    marker = root / MARKER
    if not marker.is_file():
        return None
    try:
        parameters = json.loads(marker.read_text(encoding="utf-8"))["parameters"]
    except (ValueError, KeyError, TypeError) as error:
        message = f"{marker}: found something unreadable, expected JSON with the key 'parameters'"
        raise InputError(message) from error
    return dict(parameters)


def write_tree(root: Path, parameters: dict[str, Any], write_contents: Callable[[Path], dict[str, Any]]) -> None:
    """Writes phantoms once; a second call with the same parameters touches nothing.

    Args:
        root: The folder to make. It may exist if it is empty or already holds these very phantoms.
        parameters: What determines the contents; JSON-able.
        write_contents: Fills the (temporary) folder it is given and returns what else the marker is to record.

    Raises:
        InputError: If ``root`` is a file, holds phantoms of other parameters, or holds anything else.
    """
    parameters = json.loads(json.dumps(parameters))
    if _holds_these(root, parameters):
        return
    parent = root.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(parent, root.name)
    temporary = Path(tempfile.mkdtemp(prefix=_temporary_prefix(root.name), dir=parent))
    try:
        temporary.chmod(0o755)
        record = write_contents(temporary)
        marker = json.dumps({"parameters": parameters, **record}, indent=1)
        (temporary / MARKER).write_text(marker + "\n", encoding="utf-8")
        # Another process may have written the same phantoms meanwhile: then its folder stands and ours goes.
        if not _holds_these(root, parameters):
            if root.is_dir():
                root.rmdir()
            temporary.rename(root)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_csv(file: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Writes a table that comes with a data set: UTF-8, the same bytes on every system."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)


def _holds_these(root: Path, parameters: dict[str, Any]) -> bool:
    if not root.exists():
        return False
    if not root.is_dir():
        raise InputError(f"{root}: found a file, expected a folder for phantoms or nothing")
    found = read_parameters(root)
    if found is None:
        if any(root.iterdir()):
            raise InputError(
                f"{root}: found a folder that has contents but no {MARKER}, expected an empty or new folder: "
                "phantoms are never written over what may be real data"
            )
        return False
    if found != parameters:
        differing = sorted(key for key in {*found, *parameters} if found.get(key) != parameters.get(key))
        raise InputError(
            f"{root / MARKER}: found phantoms that differ in {', '.join(differing)} "
            f"({', '.join(f'{key}={found.get(key)!r}' for key in differing)}), "
            f"expected {', '.join(f'{key}={parameters.get(key)!r}' for key in differing)}: "
            "give another folder, or remove this one"
        )
    return True


def _temporary_prefix(name: str) -> str:
    return f".{name}.partial-"


def _remove_abandoned(parent: Path, name: str) -> None:
    oldest = time.time() - ABANDONED_AFTER_SECONDS
    for folder in parent.glob(f"{_temporary_prefix(name)}*"):
        try:
            touched = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
        except FileNotFoundError:  # its writer is alive and has just finished
            continue
        if touched < oldest:
            shutil.rmtree(folder, ignore_errors=True)
