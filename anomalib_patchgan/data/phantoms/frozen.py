# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Frozen sets: phantoms whose parameters and content are fixed, so that numbers on them can be compared over time."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from anomalib_patchgan.data.phantoms.brain import BrainPhantoms
from anomalib_patchgan.data.phantoms.content import Content, combined_hash, subject_contents
from anomalib_patchgan.data.phantoms.skin import SkinPhantoms
from anomalib_patchgan.data.phantoms.tree import MARKER, read_parameters
from anomalib_patchgan.errors import InputError

FROZEN_FILE = Path(__file__).with_name("frozen.yaml")

_CLASSES: dict[str, type[BrainPhantoms] | type[SkinPhantoms]] = {
    f"anomalib_patchgan.data.phantoms.{phantoms.__name__}": phantoms for phantoms in (BrainPhantoms, SkinPhantoms)
}


@dataclass(frozen=True)
class FrozenSet:
    """A frozen set.

    Attributes:
        name: Key in the frozen file.
        purpose: What it may be used for, in a sentence.
        phantoms: Generator and parameters.
        version: Of the generator that gives the content.
        data: Class path and arguments of the datamodule that reads it, its root left out.
        sha256: Of the whole content, see ``content.combined_hash``; empty while a set is being frozen.
        first: Contents of the first subjects or images.
    """

    name: str
    purpose: str
    phantoms: BrainPhantoms | SkinPhantoms
    version: int
    data: dict[str, Any]
    sha256: str
    first: tuple[Content, ...]

    def write(
        self, root: Path, progress: Callable[[int, int], None] | None = None, processes: int | None = None
    ) -> None:
        """Writes the set, unless it is there already.

        Args:
            root: The folder to make.
            progress: Called with (done, all) after each subject or image.
            processes: At most this many; None means one a core. The files do not depend on it.

        Raises:
            InputError: If ``root`` holds anything else, or this generator is of another version.
        """
        found = self.phantoms.parameters()["version"]
        if found != self.version:
            raise InputError(
                f"{FROZEN_FILE.name}: found {self.name} frozen with version {self.version} of the generator, expected "
                f"version {found}, which this package has: install the release that froze it"
            )
        self.phantoms.write(root, progress, processes)

    def verify(
        self, root: Path, progress: Callable[[int, int], None] | None = None, processes: int | None = None
    ) -> None:
        """Compares a folder with what was frozen, to the last voxel or pixel, and says how it differs.

        Args:
            root: The folder.
            progress: Called with (done, all) after each subject or image.
            processes: At most this many; None means one a core.

        Raises:
            InputError: In a sentence that names what differs.
        """
        self._check_parameters(root)
        contents = subject_contents(self.phantoms, root, size(self.phantoms), progress, processes)
        found = combined_hash(contents)
        if found == self.sha256:
            return
        unlike = [
            str(index)
            for index, (here, frozen) in enumerate(zip(contents, self.first, strict=False))
            if not here.resembles(frozen)
        ]
        if unlike:
            reason = f"index {', '.join(unlike)} holds something else"
        elif all(here.sha256 == frozen.sha256 for here, frozen in zip(contents, self.first, strict=False)):
            reason = f"the first {len(self.first)} are the same, so that the difference lies beyond them"
        else:
            reason = (
                f"the first {len(self.first)} agree but for rounding, as on another processor or with other libraries"
            )
        raise InputError(f"{root}: found content with SHA-256 {found}, expected {self.sha256} ({self.name}): {reason}")

    def _check_parameters(self, root: Path) -> None:
        found, expected = read_parameters(root), self.phantoms.parameters() | {"version": self.version}
        if found is None:
            raise InputError(f"{root}: found no {MARKER}, expected the phantoms {self.name}")
        differing = sorted(key for key in {*found, *expected} if found.get(key) != expected.get(key))
        if differing:
            raise InputError(
                f"{root / MARKER}: found {', '.join(f'{key}={found.get(key)!r}' for key in differing)}, expected "
                f"{', '.join(f'{key}={expected.get(key)!r}' for key in differing)} as in {self.name}"
            )


def frozen_names() -> list[str]:
    """Returns the names of the frozen sets."""
    return list(_read())


def load_frozen(name: str) -> FrozenSet:
    """Returns a frozen set.

    Args:
        name: One of ``frozen_names()``.

    Raises:
        InputError: If there is none of that name.
    """
    entries = _read()
    if name not in entries:
        raise InputError(f"frozen phantoms: found the name {name!r}, expected one of {', '.join(entries)}")
    entry = entries[name]
    return FrozenSet(
        name=name,
        purpose=entry["purpose"],
        phantoms=_CLASSES[entry["phantoms"]["class_path"]](**entry["phantoms"]["init_args"]),
        version=entry["version"],
        data=entry["data"],
        sha256=entry["sha256"],
        first=tuple(Content(one["sha256"], tuple(one["means"])) for one in entry["first"]),
    )


def size(phantoms: BrainPhantoms | SkinPhantoms) -> int:
    """Returns the number of subjects (brain) or images (skin)."""
    if isinstance(phantoms, BrainPhantoms):
        return phantoms.subjects
    return phantoms.train_images + phantoms.test_images


def _read() -> dict[str, Any]:
    entries: dict[str, Any] = yaml.safe_load(FROZEN_FILE.read_text(encoding="utf-8"))
    return entries
