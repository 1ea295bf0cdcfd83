# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Writing files that no reader ever meets half-written, and tables in the formats that others read."""

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd


def slug(name: str) -> str:
    """A name in lower case for files and anchors, with hyphens for all but letters and digits."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def table_files(name: str, rows: Sequence[Mapping[str, str]]) -> dict[str, bytes]:
    """A table as ``name.csv`` and ``name.parquet``, or nothing where it has no row."""
    if not rows:
        return {}
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    text = buffer.getvalue().encode()
    # Read back, so that the two files cannot differ and numbers become numbers.
    return {f"{name}.csv": text, f"{name}.parquet": pd.read_csv(io.BytesIO(text)).to_parquet(index=False)}


def replace_file(path: Path, content: bytes) -> Path:
    """Write a file that appears complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.unfinished")
    temporary.write_bytes(content)
    os.replace(temporary, path)  # noqa: PTH105 - the documented atomic call on every platform
    return path
