# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What scripts that train without the runner take from benchmarks/phantoms.yaml: data sets and arguments of rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from anomalib_patchgan.benchmark.classes import Blueprint
from anomalib_patchgan.benchmark.suite import read_suite

_SUITE = Path(__file__).parents[1] / "phantoms.yaml"


def build_data(name: str, root: Path) -> Any:
    """Build the datamodule of a data set of the suite, on other data of the same layout."""
    entry = read_suite(_SUITE).data[name]
    return Blueprint(entry.class_path, entry.init_args | {"root": root}, name).build()


def model_arguments(row: str, name: str) -> dict[str, Any]:
    """Constructor arguments of a row's model on a data set."""
    return read_suite(_SUITE).models[row].arguments_for(name)
