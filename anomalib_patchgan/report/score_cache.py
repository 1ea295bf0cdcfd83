# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Keeping what a run reached beside its record, so that a report is rebuilt in seconds.

Intervals take most of a report's time and depend on nothing but stored files and our own code; so they are kept under
the hash of both. Nothing in a kept file is ever executed: it holds numbers, and JSON that says where they belong.
"""

import contextlib
import hashlib
import json
import types
import zipfile
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import scipy
import sklearn

from anomalib_patchgan import evaluation
from anomalib_patchgan.report import scores
from anomalib_patchgan.report.files import replace_file
from anomalib_patchgan.report.scores import SeedScore
from anomalib_patchgan.store import Run, maps

FOLDER = "report-cache"
"""Where kept scores lie in a store; the folder can be removed at any time."""
_TREE = "tree"


class ScoreCache:
    """Scores of a store's runs, kept in the store.

    Args:
        root: Folder of the store.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def load(self, run: Run) -> SeedScore | None:
        """What the run reached, or None where it was not kept, or of other files or by other code."""
        with contextlib.suppress(OSError, EOFError, ValueError, KeyError, TypeError, IndexError, zipfile.BadZipFile):
            with np.load(self._path(run), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            tree = json.loads(arrays.pop(_TREE).tobytes())
            return _restored(SeedScore, tree, arrays)
        return None

    def save(self, run: Run, score: SeedScore) -> None:
        """Keep what the run reached in place of what was kept before; a store that cannot be written stays as it is."""
        arrays: dict[str, np.ndarray] = {}
        tree = json.dumps(_taken_apart(score, arrays)).encode()
        buffer = BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays, **{_TREE: np.frombuffer(tree, np.uint8)})
        with contextlib.suppress(OSError):
            for old in (self._root / FOLDER).glob(f"{run.key}-*.npz"):
                old.unlink()
            replace_file(self._path(run), buffer.getvalue())

    def _path(self, run: Run) -> Path:
        digest = hashlib.sha256(_code_digest().encode())
        for folder in (self._root / "jobs" / run.key, self._root / "data" / run.data_key):
            for line in _content(folder):
                digest.update(line.encode())
        return self._root / FOLDER / f"{run.key}-{digest.hexdigest()[:32]}.npz"


def _content(folder: Path) -> Iterator[str]:
    """What the files of a folder hold: a hash of each, or, of large archives, the checksums that they carry."""
    for path in sorted(folder.iterdir()):
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                found = " ".join(f"{one.filename} {one.CRC:08x} {one.file_size}" for one in archive.infolist())
        else:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        yield f"{path.name} {found}\n"


@cache
def _code_digest() -> str:
    """Hash of the code that computes the scores, and of the libraries that it calls."""
    digest = hashlib.sha256(f"{np.__version__} {scipy.__version__} {sklearn.__version__}".encode())
    modules = (Path(module.__file__) for module in (scores, maps) if module.__file__)
    for path in (*sorted(Path(evaluation.__file__).parent.glob("*.py")), *modules, Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _taken_apart(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """A value as JSON can hold it; its arrays are put aside and stand there by name."""
    if is_dataclass(value):
        return {field.name: _taken_apart(getattr(value, field.name), arrays) for field in fields(value)}
    if isinstance(value, np.ndarray):
        arrays[f"array{len(arrays)}"] = value
        return f"array{len(arrays) - 1}"
    if isinstance(value, dict):
        return {key: _taken_apart(item, arrays) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_taken_apart(item, arrays) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _restored(kind: Any, tree: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The value that was taken apart, by the types that its classes declare."""
    if get_origin(kind) in (Union, types.UnionType):
        if tree is None:
            return None
        kind = next(one for one in get_args(kind) if one is not type(None))
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: _restored(hints[name], item, arrays) for name, item in tree.items()})  # type: ignore[operator]
    origin = get_origin(kind)
    if origin is np.ndarray:
        return arrays[tree]
    if origin is tuple:
        inner = get_args(kind)
        of_each = inner[:1] * len(tree) if inner[-1] is Ellipsis else inner
        return tuple(_restored(one, item, arrays) for one, item in zip(of_each, tree, strict=True))
    if origin is dict:
        return {key: _restored(get_args(kind)[1], item, arrays) for key, item in tree.items()}
    return tree
