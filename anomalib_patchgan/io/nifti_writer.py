# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Writing a grid of voxels as NIfTI."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Image


def write_grid(path: Path, grid: Nifti1Image) -> None:
    """Write a grid of voxels as NIfTI, under a temporary name first.

    Args:
        path: ``.nii`` or ``.nii.gz`` file; missing folders are made.
        grid: The voxels and where they lie.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    ending = ".nii.gz" if path.name.endswith(".gz") else ".nii"
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".unfinished.", suffix=ending)
    os.close(handle)
    temporary = Path(name)
    try:
        nibabel.save(grid, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
