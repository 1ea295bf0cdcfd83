# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""NIfTI volumes as stacks of axial slices."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError

from anomalib_patchgan.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from nibabel.nifti1 import Nifti1Image
    from numpy.typing import NDArray

_READING_ERRORS = (ImageFileError, OSError, EOFError, zlib.error, ValueError)


@dataclass(frozen=True)
class VolumeHeader:
    """What can be known of a volume without reading its voxels.

    Attributes:
        shape: Slices, rows and columns of the axial stack.
        spacing: Distance in mm between neighbours along each of these axes.
        centre: Where its middle lies, in mm to the right, to the front and to the head of the scanner's origin; the
            same for every orientation on disk.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    centre: tuple[float, float, float]


@dataclass(frozen=True)
class Volume:
    """A volume as a stack of axial slices.

    Attributes:
        data: Intensities, float32 ``[slices, rows, columns]``. Slices run from the feet to the head, rows from the
            front to the back, columns from the patient's right to the left, as a radiologist looks at them.
        spacing: Distance in mm between neighbours along each axis of ``data``.
    """

    data: NDArray[np.float32]
    spacing: tuple[float, float, float]


def read_volume_header(path: Path) -> VolumeHeader:
    """Read shape and spacing of a NIfTI file in axial order, not its voxels.

    Args:
        path: A ``.nii`` or ``.nii.gz`` file.

    Raises:
        InputError: If the file cannot be read as a volume with three axes.
    """
    image = _open(path)
    order = np.argsort(nibabel.io_orientation(image.affine)[:, 0])
    shape = [image.shape[axis] for axis in order]
    spacing = [float(image.header.get_zooms()[axis]) for axis in order]
    middle = nibabel.affines.apply_affine(image.affine, (np.asarray(image.shape) - 1) / 2)
    return VolumeHeader(
        (shape[2], shape[1], shape[0]),
        (spacing[2], spacing[1], spacing[0]),
        (float(middle[0]), float(middle[1]), float(middle[2])),
    )


def read_volume(path: Path) -> Volume:
    """Read a NIfTI file whatever its orientation on disk.

    Args:
        path: A ``.nii`` or ``.nii.gz`` file with three axes.

    Raises:
        InputError: If the file cannot be read to its end, has not three axes, or holds values that are not finite.
    """
    try:
        image = nibabel.as_closest_canonical(_open(path))
        voxels = np.asarray(image.dataobj, dtype=np.float32)
    except InputError:
        raise
    except _READING_ERRORS as error:
        raise InputError(f"{path}: found a file that breaks off or is damaged ({error}), expected NIfTI.") from error
    if not np.isfinite(voxels).all():
        raise InputError(f"{path}: found voxels that are not finite numbers, expected intensities.")
    # The canonical axes run to the right, to the front and to the head; a slice is shown from below with the front up.
    stack = np.ascontiguousarray(voxels.transpose(2, 1, 0)[:, ::-1, ::-1])
    spacing = [float(zoom) for zoom in image.header.get_zooms()]
    return Volume(stack, (spacing[2], spacing[1], spacing[0]))


def _open(path: Path) -> Nifti1Image:
    try:
        image = cast("Nifti1Image", nibabel.load(path))
    except FileNotFoundError as error:
        raise InputError(f"{path}: found no such file, expected a NIfTI volume.") from error
    except _READING_ERRORS as error:
        raise InputError(f"{path}: found a file that cannot be read ({error}), expected a NIfTI volume.") from error
    if len(image.shape) != 3:
        raise InputError(f"{path}: found a volume with the axes {image.shape}, expected three axes.")
    if np.isnan(nibabel.io_orientation(image.affine)).any() or min(image.header.get_zooms()) <= 0:
        raise InputError(f"{path}: found a header without orientation or spacing, expected an affine matrix.")
    return image
