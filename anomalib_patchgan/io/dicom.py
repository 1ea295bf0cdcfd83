# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""DICOM files, and folders that hold the slices of one series.

The window of a file (its centre and width) is not applied: it is a reader's setting, differs from file to file of one
study, and cuts off what lies outside it for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.pixels import apply_modality_lut, get_decoder, pixel_array

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io.nifti import Volume

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import FileDataset

    _Axes = tuple[NDArray[np.float64], NDArray[np.float64], tuple[float, float]]

_MAGIC_OFFSET, _MAGIC = 128, b"DICM"
_GREY, _INVERTED_GREY = "MONOCHROME2", "MONOCHROME1"
# pydicom turns the last three into RGB.
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
_EIGHT_BITS = 8
_DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
# Scanners round positions to about a micrometre; a missing slice doubles a distance.
_SPACING_TOLERANCE = 0.02
_DIRECTION_TOLERANCE = 1e-3
# Distance in mm of a slice from the line along which the slices are stacked; more is a tilted gantry.
_SHIFT_TOLERANCE = 0.1
_READING_ERRORS = (ValueError, AttributeError, KeyError, TypeError, IndexError, EOFError, OSError, RuntimeError)


@dataclass(frozen=True)
class DicomPicture:
    """The pixels of a DICOM file.

    Attributes:
        frames: float32 ``[frames, rows, columns]`` or ``[frames, rows, columns, 3]``, in units of the modality
            (Hounsfield units in CT) where the file says how, bright where the body is dense or the signal strong.
        bits: 8 where the values are in [0, 255] and 255 is white, else the bits that the scanner stored.
    """

    frames: NDArray[np.float32]
    bits: int


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do, whatever its name.

    Args:
        path: An existing file.
    """
    return _head(path)[_MAGIC_OFFSET:] == _MAGIC


def read_dicom(path: Path, as_stored: bool = False) -> DicomPicture:
    """Read the pixels of a file: rescaled, ``MONOCHROME1`` inverted, colours as RGB, no window applied.

    Args:
        path: A DICOM file.
        as_stored: Whether pixels are neither rescaled nor inverted, as in a mask that was given the header of its
            image.

    Raises:
        InputError: If the file is damaged, holds no picture, or needs a codec that is not installed.
    """
    dataset = _open(path)
    return _decode(path, dataset, as_stored)


def series_files(folder: Path) -> list[Path]:
    """The files among which a series is looked for, sorted: those of the folder itself that are not hidden.

    Args:
        folder: An existing folder.
    """
    return [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]


def axial_volume(grid: nibabel.Nifti1Image) -> Volume:
    """Turn a grid of voxels into a stack of axial slices.

    Args:
        grid: Voxels in any orientation.
    """
    image = nibabel.as_closest_canonical(grid)
    voxels = np.asarray(image.dataobj, dtype=np.float32)
    stack = np.ascontiguousarray(voxels.transpose(2, 1, 0)[:, ::-1, ::-1])
    zooms = [float(zoom) for zoom in image.header.get_zooms()]
    return Volume(stack, (zooms[2], zooms[1], zooms[0]))


def read_dicom_grid(folder: Path, as_stored: bool = False) -> nibabel.Nifti1Image:
    """Read the slices of one series as the scanner took them, with where they lie in the patient as NIfTI tells it.

    Args:
        folder: Folder with one file a slice, and no other DICOM files.
        as_stored: As of :func:`read_dicom`, for a mask.

    Returns:
        Voxels ``[columns, rows, slices]`` and their affine matrix.

    Raises:
        InputError: If the folder holds no DICOM file, files of several series or orientations, a slice twice, a file
            that is empty or was cut before its content, or if a slice is missing.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: found no such folder, expected one with the DICOM files of a series.")
    heads = {path: _head(path) for path in series_files(folder)}
    for path, head in heads.items():
        # The last slice of a series that was copied by half leaves no gap.
        if not head.strip(b"\0"):
            raise InputError(f"{path}: found an empty file among those of a series, expected a whole one.")
    slices = {path: _open(path) for path, head in heads.items() if head[_MAGIC_OFFSET:] == _MAGIC}
    slices = {
        path: data for path, data in slices.items() if data.file_meta.get("MediaStorageSOPClassUID") != _DIRECTORY_CLASS
    }
    if len(slices) < 2:
        raise InputError(f"{folder}: found {len(slices)} DICOM files, expected the slices of a series.")
    series = {str(data.get("SeriesInstanceUID", "")) for data in slices.values()}
    if len(series) > 1:
        raise InputError(f"{folder}: found files of {len(series)} series, expected a folder for each series.")
    axes = _common_axes(slices)
    ordered, distance = _ordered(slices, axes)
    frames = []
    for path in ordered:
        picture = _decode(path, slices[path], as_stored)
        if picture.frames.ndim != 3 or len(picture.frames) != 1:
            raise InputError(f"{path}: found {_kind(picture)}, expected one grey slice.")
        frames.append(picture.frames[0])
    row_direction, column_direction, spacing = axes
    affine = np.eye(4)
    affine[:3, 0] = row_direction * spacing[1]
    affine[:3, 1] = column_direction * spacing[0]
    affine[:3, 2] = np.cross(row_direction, column_direction) * distance
    affine[:3, 3] = _position(ordered[0], slices[ordered[0]])
    # DICOM counts to the patient's left and back, NIfTI to the right and front.
    affine[:2] *= -1
    return nibabel.Nifti1Image(np.stack(frames).transpose(2, 1, 0), affine)


def _head(path: Path) -> bytes:
    """The beginning of a file, as far as the mark that DICOM files have there."""
    with path.open("rb") as stream:
        return stream.read(_MAGIC_OFFSET + len(_MAGIC))


def _open(path: Path) -> FileDataset:
    try:
        return pydicom.dcmread(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: found no such file, expected DICOM.") from error
    except (InvalidDicomError, *_READING_ERRORS) as error:
        raise InputError(f"{path}: found a file that cannot be read ({error}), expected DICOM.") from error


def _decode(path: Path, dataset: FileDataset, as_stored: bool = False) -> DicomPicture:
    if "PixelData" not in dataset:
        raise InputError(f"{path}: found DICOM without pixels, expected an image.")
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    if photometric not in (_GREY, _INVERTED_GREY, *_COLOURS):
        raise InputError(
            f"{path}: found the photometric interpretation {photometric or 'missing'}, expected {_GREY}, "
            f"{_INVERTED_GREY}, RGB or YBR."
        )
    _check_codec(path, dataset)
    try:
        stored = pixel_array(dataset)
        bits = int(dataset.BitsStored)
        coloured = photometric in _COLOURS
        frames = stored if stored.ndim == (4 if coloured else 3) else stored[None]
        if photometric == _INVERTED_GREY and not as_stored:
            # The largest and the smallest value that the stored bits can hold change places.
            frames = (-1 if dataset.PixelRepresentation else 2**bits - 1) - frames.astype(np.int64)
        values = frames if coloured or as_stored else apply_modality_lut(frames, dataset)
    except _READING_ERRORS as error:
        raise InputError(f"{path}: found pixels that cannot be read ({error}), expected a whole file.") from error
    result = np.asarray(values, dtype=np.float32)
    if not np.isfinite(result).all():
        raise InputError(f"{path}: found pixels that are not finite numbers, expected intensities.")
    rescaled = "ModalityLUTSequence" in dataset or (
        (float(dataset.get("RescaleSlope") or 1), float(dataset.get("RescaleIntercept") or 0)) != (1.0, 0.0)
    )
    whole_byte = bits == _EIGHT_BITS and not dataset.PixelRepresentation and not rescaled
    # Fewer than eight bits, or eight that are rescaled, are not in [0, 255]; one more bit says so.
    return DicomPicture(result, bits if whole_byte else max(bits, _EIGHT_BITS + 1))


def _check_codec(path: Path, dataset: FileDataset) -> None:
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        raise InputError(f"{path}: found no transfer syntax, expected a DICOM file with its header.")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise InputError(f"{path}: found pixels as {syntax.name}, expected still images.") from error
    if not decoder.is_available:
        needed = " or ".join(entry.split(" - ")[0] for entry in decoder.missing_dependencies)
        raise InputError(
            f"{path}: found pixels compressed as {syntax.name}, expected a codec for them: install {needed}, or "
            "decompress the files."
        )


def _common_axes(
    slices: dict[Path, FileDataset],
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[float, float]]:
    """Direction along a row, direction along a column, and the spacing of rows and columns, shared by all slices."""
    first_path: Path | None = None
    first: NDArray[np.float64] = np.empty(0)
    for path, dataset in slices.items():
        try:
            found = np.array([*dataset.ImageOrientationPatient, *dataset.PixelSpacing], dtype=np.float64)
            size = (int(dataset.Rows), int(dataset.Columns))
        except (AttributeError, TypeError, ValueError) as error:
            raise InputError(f"{path}: found no orientation or pixel spacing, expected a slice of a volume.") from error
        found = np.concatenate([found, size])
        if first_path is None:
            first_path, first = path, found
        elif not np.allclose(found, first, atol=_DIRECTION_TOLERANCE):
            raise InputError(
                f"{path}: found another orientation, spacing or size than in {first_path.name}, expected slices alike."
            )
    row, column = first[:3], first[3:6]
    if abs(np.linalg.norm(row) - 1) > _DIRECTION_TOLERANCE or abs(row @ column) > _DIRECTION_TOLERANCE:
        raise InputError(
            f"{first_path}: found an orientation that is not two directions at right angles, expected such."
        )
    if min(first[6:8]) <= 0:
        raise InputError(f"{first_path}: found a pixel spacing of 0 mm or less, expected a positive one.")
    return row, column, (float(first[6]), float(first[7]))


def _ordered(
    slices: dict[Path, FileDataset],
    axes: _Axes,
) -> tuple[list[Path], float]:
    """Files along the normal of the slices, and the distance in mm from one to the next."""
    normal = np.cross(axes[0], axes[1])
    positions = {path: _position(path, dataset) for path, dataset in slices.items()}
    ordered = sorted(slices, key=lambda path: float(positions[path] @ normal))
    steps = np.diff([float(positions[path] @ normal) for path in ordered])
    usual = float(np.median(steps))
    for before, after, step in zip(ordered, ordered[1:], steps, strict=False):
        if step <= _SPACING_TOLERANCE:
            raise InputError(f"{after}: found a slice at the place of {before.name}, expected each slice once.")
        if abs(step - usual) > _SPACING_TOLERANCE * usual:
            raise InputError(
                f"{after}: found it {step:.2f} mm behind {before.name}, where slices are {usual:.2f} mm apart, "
                "expected no slice to be missing."
            )
    way = positions[ordered[-1]] - positions[ordered[0]]
    if np.linalg.norm(way - (way @ normal) * normal) > _SHIFT_TOLERANCE * len(ordered):
        raise InputError(f"{ordered[0].parent}: found slices shifted sideways, expected no tilted gantry.")
    return ordered, usual


def _position(path: Path, dataset: FileDataset) -> NDArray[np.float64]:
    position = dataset.get("ImagePositionPatient")
    if position is None or len(position) != 3:
        raise InputError(f"{path}: found no position of the slice, expected ImagePositionPatient.")
    return np.array(position, dtype=np.float64)


def _kind(picture: DicomPicture) -> str:
    return "a colour picture" if picture.frames.ndim != 3 else f"{len(picture.frames)} frames"
