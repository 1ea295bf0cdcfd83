# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Going back from axial stacks to the grid of the file that they were read from, so that both overlay in any viewer."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io.nifti import read_volume_header
from anomalib_patchgan.io.whole_file import replaced_file

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Image
    from numpy.typing import NDArray

try:
    # The same stream at several times the rate, where there is a build of it.
    from isal import isal_zlib

    deflation: Any = isal_zlib
except ImportError:
    deflation = zlib

_CANONICAL = np.array([[0, 1], [1, 1], [2, 1]])
_FASTEST = 1
_GZIP = zlib.MAX_WBITS | 16
# A NIfTI-1 header has 348 bytes, and four say that no extension follows.
_DATA_OFFSET, _NO_EXTENSION = 352, b"\0\0\0\0"


@dataclass(frozen=True)
class NativeSpace:
    """The grid on which a file holds its voxels.

    Attributes:
        image: The file's header and affine matrix; its voxels are not read.
    """

    image: Nifti1Image

    @classmethod
    def of_file(cls, path: Path) -> NativeSpace:
        """Read where the voxels of a NIfTI file lie.

        Args:
            path: A ``.nii`` or ``.nii.gz`` file with three axes.

        Raises:
            InputError: If the file cannot be read as a volume with three axes.
        """
        read_volume_header(path)  # says what is wrong with it
        return cls(nibabel.load(path))  # type: ignore[arg-type]

    def from_axial(self, stack: NDArray[Any]) -> NDArray[Any]:
        """Turn an axial stack into the axes of the file.

        Args:
            stack: ``[slices, rows, columns]`` as :func:`~anomalib_patchgan.io.read_volume` gives it.

        Returns:
            A view ``[i, j, k]`` of the stack.
        """
        canonical = stack[:, ::-1, ::-1].transpose(2, 1, 0)
        way = nibabel.orientations.ornt_transform(_CANONICAL, nibabel.io_orientation(self.image.affine))
        return nibabel.apply_orientation(canonical, way)

    def write(self, path: Path, stack: NDArray[np.uint8 | np.uint16], unit: float, description: str) -> None:
        """Write an axial stack as a compressed NIfTI file with the shape and the affine matrix of this grid.

        Args:
            path: ``.nii.gz`` file; missing folders are made. It appears whole or not at all.
            stack: Codes ``[slices, rows, columns]``.
            unit: What one step of the codes stands for; readers multiply by it.
            description: What a voxel means, at most 79 letters.

        Raises:
            InputError: If the stack has another shape than the file.
        """
        voxels = self.from_axial(stack)
        if voxels.shape != self.image.shape:
            raise InputError(f"{path}: found a map of {voxels.shape}, expected the shape {self.image.shape}.")
        # nibabel takes over the affine matrix and the codes that say what it refers to.
        header = nibabel.Nifti1Image(voxels, self.image.affine, self.image.header).header.copy()
        header.set_data_dtype(voxels.dtype)
        # Written as they are: nibabel would divide the codes by the unit first, as 64-bit numbers.
        header["vox_offset"], header["scl_slope"], header["scl_inter"] = _DATA_OFFSET, unit, 0
        header["cal_min"], header["cal_max"] = 0, 1
        header["descrip"] = description.encode()
        header["magic"] = b"n+1"
        native = voxels.astype(voxels.dtype.newbyteorder(header.endianness), copy=False)
        compressor = deflation.compressobj(_FASTEST, zlib.DEFLATED, _GZIP)
        with replaced_file(path) as temporary, temporary.open("wb") as stream:
            stream.write(compressor.compress(header.binaryblock + _NO_EXTENSION))
            stream.write(compressor.compress(native.tobytes(order="F")))
            stream.write(compressor.flush())
