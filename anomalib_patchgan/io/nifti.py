# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""NIfTI volumes as stacks of axial slices."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from anomalib_patchgan.errors import InputError

if TYPE_CHECKING:
    from io import RawIOBase
    from pathlib import Path

    from nibabel.arrayproxy import ArrayProxy
    from nibabel.nifti1 import Nifti1Image
    from numpy.typing import NDArray

try:
    # The same stream at about twice the rate, where there is a build of it.
    from isal import isal_zlib

    inflation: Any = isal_zlib
except ImportError:
    inflation = zlib

_READING_ERRORS: tuple[type[Exception], ...] = (
    ImageFileError,
    HeaderDataError,
    OSError,
    EOFError,
    zlib.error,
    inflation.error,
    ValueError,
    OverflowError,
)
_ENDINGS = (".nii", ".nii.gz")
# No deflated byte stands for more than this many bytes, so a header that asks for more is wrong or the file is cut;
# it is found before memory for the volume is asked for.
_LARGEST_RATIO = 1032
_PIECE_READ = 1 << 20
_PIECE_HELD = 1 << 21
# Registered volumes share their grid; more than this is no rounding of a header.
_SPACING_TOLERANCE = 0.01
_CENTRE_TOLERANCE_MM = 1.0
_DIRECTION_TOLERANCE = 0.01


@dataclass(frozen=True)
class VolumeHeader:
    """What can be known of a volume without reading its voxels.

    Attributes:
        shape: Slices, rows and columns of the axial stack.
        spacing: Distance in mm between neighbours along each of these axes.
        centre: Where its middle lies, in mm to the right, to the front and to the head of the scanner's origin; the
            same for every orientation on disk.
        axes: Along which way slices, rows and columns are counted up: unit vectors to the right, to the front and to
            the head, the same for every orientation on disk.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    centre: tuple[float, float, float]
    axes: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Volume:
    """A volume as a stack of axial slices.

    Attributes:
        data: Intensities ``[slices, rows, columns]``, as a view of what the file holds: in its own integer type, or
            float32 where it holds fractions or its header scales the voxels. Slices run from the feet to the head,
            rows from the front to the back, columns from the patient's right to the left, as a radiologist looks at
            them.
        spacing: Distance in mm between neighbours along each axis of ``data``.
    """

    data: NDArray[Any]
    spacing: tuple[float, float, float]


class ReadBuffer:
    """Memory that one volume after the other is read into, which spares the system handing it out anew each time.

    It is for one thread, and for one volume at a time: the next one overwrites the last.
    """

    def __init__(self) -> None:
        self._bytes = np.empty(0, dtype=np.uint8)

    def take(self, size: int) -> NDArray[np.uint8]:
        """Returns the first ``size`` bytes of it, more memory than before only if it does not suffice."""
        if self._bytes.size < size:
            self._bytes = np.empty(size, dtype=np.uint8)
        return self._bytes[:size]


def read_volume_header(path: Path) -> VolumeHeader:
    """Read shape and spacing of a NIfTI file in axial order, not its voxels.

    Args:
        path: A ``.nii`` or ``.nii.gz`` file.

    Raises:
        InputError: If the file cannot be read as a volume with three axes.
    """
    image, _ = _open(path)
    return header_of(image)


def header_of(image: Nifti1Image) -> VolumeHeader:
    """Say in axial order what the header of a grid of voxels tells.

    Args:
        image: Voxels with three axes in any orientation.
    """
    orientation = nibabel.io_orientation(image.affine)
    shape = [image.shape[axis] for axis in np.argsort(orientation[:, 0])]
    middle = nibabel.affines.apply_affine(image.affine, (np.asarray(image.shape) - 1) / 2)
    # One column an axis of the file, turned so that they are counted up to the right, to the front and to the head.
    ways = image.affine[:3, :3] / nibabel.affines.voxel_sizes(image.affine) * orientation[:, 1]
    right, front, head = (tuple(map(float, ways[:, axis])) for axis in np.argsort(orientation[:, 0]))
    return VolumeHeader(
        (shape[2], shape[1], shape[0]),
        _axial_spacing(image, orientation),
        (float(middle[0]), float(middle[1]), float(middle[2])),
        (head, front, right),
    )


def check_same_grid(path: Path, found: VolumeHeader, expected: VolumeHeader, first: str) -> None:
    """Refuse a volume that does not lie voxel on voxel over another one, whatever the orientation of either.

    Args:
        path: The volume, for the message.
        found: Its header.
        expected: Header of the other one.
        first: Name of the other one, for the message.

    Raises:
        InputError: If shape, spacing (by more than 1 %), centre (by more than 1 mm) or the direction of an axis (by
            more than half a degree) differ.
    """
    if found.shape != expected.shape:
        raise InputError(f"{path}: found {_axes(found.shape)}, expected {_axes(expected.shape)} as in {first}.")
    if not np.allclose(found.spacing, expected.spacing, rtol=_SPACING_TOLERANCE):
        raise InputError(
            f"{path}: found voxels of {_mm(found.spacing)}, expected {_mm(expected.spacing)} as in {first}."
        )
    if np.abs(np.subtract(found.centre, expected.centre)).max() > _CENTRE_TOLERANCE_MM:
        raise InputError(
            f"{path}: found a volume whose centre lies at {_point(found.centre)}, expected {_point(expected.centre)} "
            f"to within {_CENTRE_TOLERANCE_MM:g} mm as in {first}."
        )
    apart = np.linalg.norm(np.subtract(found.axes, expected.axes), axis=1).max()
    if apart > _DIRECTION_TOLERANCE:
        degrees = np.degrees(2 * np.arcsin(apart / 2))
        raise InputError(f"{path}: found axes turned by {degrees:.1f} degrees, expected those of {first}.")


def read_volume(path: Path, buffer: ReadBuffer | None = None) -> Volume:
    """Read a NIfTI file whatever its orientation on disk.

    Args:
        path: A ``.nii`` or ``.nii.gz`` file with three axes.
        buffer: Memory to read into; what was read into it before is lost then. None for memory of its own.

    Raises:
        InputError: If the file cannot be read to its end, has not three axes, or holds values that are not finite.
    """
    image, orientation = _open(path)
    proxy = cast("ArrayProxy", image.dataobj)
    try:
        voxels = _stored_voxels(path, proxy, buffer or ReadBuffer())
    except _READING_ERRORS as error:
        raise InputError(f"{path}: found a file that breaks off or is damaged ({error}), expected NIfTI.") from error
    voxels = _scaled(voxels, proxy)
    if voxels.dtype.kind == "f":
        astray = voxels.size - np.count_nonzero(np.isfinite(voxels))
        if astray:
            raise InputError(f"{path}: found {astray} voxels that are not finite numbers, expected intensities.")
    # The canonical axes run to the right, to the front and to the head; a slice is shown from below with the front up.
    canonical = nibabel.apply_orientation(voxels, orientation)
    return Volume(canonical.transpose(2, 1, 0)[:, ::-1, ::-1], _axial_spacing(image, orientation))


def _open(path: Path) -> tuple[Nifti1Image, NDArray[np.float64]]:
    """Read the header, and along which axis and way of the patient each axis of the file runs, as nibabel says it."""
    if not path.name.lower().endswith(_ENDINGS):
        raise InputError(f"{path}: found the ending {path.suffix!r}, expected a NIfTI volume, {' or '.join(_ENDINGS)}.")
    try:
        image = cast("Nifti1Image", nibabel.load(path))
    except FileNotFoundError as error:
        raise InputError(f"{path}: found no such file, expected a NIfTI volume.") from error
    except _READING_ERRORS as error:
        raise InputError(f"{path}: found a file that cannot be read ({error}), expected a NIfTI volume.") from error
    if len(image.shape) != 3 or min(image.shape) < 1:
        raise InputError(f"{path}: found a volume with the axes {image.shape}, expected three axes.")
    if image.get_data_dtype().kind not in "iuf":
        raise InputError(f"{path}: found voxels of the type {image.get_data_dtype()}, expected real numbers.")
    if not np.isfinite(image.affine).all() or np.isnan(orientation := nibabel.io_orientation(image.affine)).any():
        raise InputError(f"{path}: found a header without orientation or spacing, expected an affine matrix.")
    return image, orientation


def _stored_voxels(path: Path, proxy: ArrayProxy, buffer: ReadBuffer) -> NDArray[Any]:
    """Read the voxels as the file holds them, in its own axes."""
    needed = proxy.offset + proxy.dtype.itemsize * math.prod(proxy.shape)
    size = path.stat().st_size
    compressed = path.name.lower().endswith(".gz")
    if needed > (_LARGEST_RATIO * size if compressed else size):
        raise EOFError(f"its {size} bytes cannot hold the {needed} that its header asks for")
    content = buffer.take(needed)
    with path.open("rb", buffering=0) as stream:
        held = _decompress(stream, content.data) if compressed else _fill(stream, content.data)
    if held < needed:
        raise EOFError(f"it holds {held} of {needed} bytes")
    return np.ndarray(proxy.shape, proxy.dtype, buffer=content, offset=proxy.offset, order="F")


def _fill(stream: RawIOBase, content: memoryview) -> int:
    held = 0
    while held < len(content) and (count := stream.readinto(content[held:])):
        held += count
    return held


def _decompress(stream: RawIOBase, content: memoryview) -> int:
    """Decompress a gzip stream of one or several members to its end, and keep what ``content`` takes.

    Small pieces stay in the processor's cache and in memory that is at hand; asking the system for a piece as large as
    a volume costs about a third of the time of decompression itself.

    Returns:
        Number of bytes that ``content`` holds now.
    """
    member = inflation.decompressobj(wbits=zlib.MAX_WBITS | 16)
    # numpy copies without the interpreter lock, which a slice of a memoryview holds on to.
    target = np.frombuffer(content, dtype=np.uint8)
    held = 0
    rest = b""
    while rest or (rest := stream.read(_PIECE_READ) or b""):
        if member.eof:
            if held >= len(content):  # padding, or a member that no volume asks for
                return held
            member = inflation.decompressobj(wbits=zlib.MAX_WBITS | 16)
        piece = member.decompress(rest, _PIECE_HELD)
        kept = min(len(piece), len(content) - held)
        target[held : held + kept] = np.frombuffer(piece, dtype=np.uint8, count=kept)
        held += kept
        rest = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof:
        raise EOFError("its gzip stream has no end")
    return held


def _scaled(voxels: NDArray[Any], proxy: ArrayProxy) -> NDArray[Any]:
    """Apply the scale of the header, if it has one."""
    if voxels.dtype.kind != "f" and (proxy.slope, proxy.inter) == (1, 0):
        return voxels.astype(voxels.dtype.newbyteorder("="), copy=False)
    with np.errstate(over="ignore", invalid="ignore"):  # what becomes infinite is found by the caller
        scaled = voxels.astype(np.float32)
        if (proxy.slope, proxy.inter) != (1, 0):
            scaled *= np.float32(proxy.slope)
            scaled += np.float32(proxy.inter)
    return scaled


def _axial_spacing(image: Nifti1Image, orientation: NDArray[np.float64]) -> tuple[float, float, float]:
    sizes = nibabel.affines.voxel_sizes(image.affine)[np.argsort(orientation[:, 0])]
    return float(sizes[2]), float(sizes[1]), float(sizes[0])


def _axes(shape: tuple[int, int, int]) -> str:
    return f"{shape[0]} slices of {shape[1]} x {shape[2]}"


def _mm(lengths: tuple[float, float, float]) -> str:
    return " x ".join(f"{length:g}" for length in lengths) + " mm"


def _point(position: tuple[float, float, float]) -> str:
    return "(" + ", ".join(f"{coordinate:.1f}" for coordinate in position) + ") mm"
