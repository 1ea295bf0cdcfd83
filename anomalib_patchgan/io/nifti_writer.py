# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Writing a grid of voxels as NIfTI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel

from anomalib_patchgan.io.whole_file import replaced_file

if TYPE_CHECKING:
    from pathlib import Path

    from nibabel.nifti1 import Nifti1Image


def write_grid(path: Path, grid: Nifti1Image) -> None:
    """Write a grid of voxels as NIfTI, under a temporary name first.

    Args:
        path: ``.nii`` or ``.nii.gz`` file; missing folders are made.
        grid: The voxels and where they lie.
    """
    with replaced_file(path, ".nii.gz" if path.name.endswith(".gz") else ".nii") as temporary:
        nibabel.save(grid, temporary)
