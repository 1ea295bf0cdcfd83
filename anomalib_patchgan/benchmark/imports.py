# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Which of a package's own files a class depends on, read from import statements. Nothing is imported."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path


def files_behind(names: Iterable[str], package: Path) -> set[Path]:
    """Files of a package that hold these classes or modules, and all that those import from the package.

    An ``__init__.py`` that merely passes a name on counts for nothing, so another class that it passes on as well may
    change. An import by a computed name is not seen.

    Args:
        names: Dotted paths, such as ``anomalib_patchgan.models.PatchGan``; those of other packages are left out.
        package: Folder of the package; its name is the first part of its dotted paths.
    """
    found: set[Path] = set()
    waiting = list(names)
    while waiting:
        path = _home(waiting.pop(), package)
        if path is not None and path not in found:
            found.add(path)
            waiting += [imported for _, imported in _imports(path)]
    return found


def _home(name: str, package: Path) -> Path | None:
    """File of a module, or of what a module holds; None for another package's."""
    if name.split(".")[0] != package.name:
        return None
    path = package.parent.joinpath(*name.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    if "." not in name:
        return None
    owner = _home(name.rpartition(".")[0], package)
    if owner is not None and owner.name == "__init__.py":
        passed_on = dict(_imports(owner)).get(name.rpartition(".")[2])
        if passed_on is not None:
            return _home(passed_on, package)
    return owner


@cache
def _imports(path: Path) -> tuple[tuple[str, str], ...]:
    """What a file imports, wherever its import statements stand: the name that is bound, and the dotted path."""
    return tuple(_bindings(ast.parse(path.read_bytes())))


def _bindings(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"
