# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Writing a stack of axial slices as NIfTI."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel
import numpy as np

if TYPE_CHECKING:
    from anomalib_patchgan.io.nifti import Volume


def write_volume(path: Path, volume: Volume) -> None:
    """Write a volume that :func:`~anomalib_patchgan.io.read_volume` gives back, under a temporary name first.

    Nothing of the file that the volume came from is kept but its voxels and their spacing.

    Args:
        path: ``.nii`` or ``.nii.gz`` file; missing folders are made.
        volume: The volume.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Back to the canonical axes, which run to the right, to the front and to the head.
    voxels = np.ascontiguousarray(volume.data[:, ::-1, ::-1].transpose(2, 1, 0))
    depth, row, column = volume.spacing
    ending = ".nii.gz" if path.name.endswith(".gz") else ".nii"
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".unfinished.", suffix=ending)
    os.close(handle)
    temporary = Path(name)
    try:
        nibabel.save(nibabel.Nifti1Image(voxels, np.diag([column, row, depth, 1.0])), temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
