# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Volumes prepared once: scaled by volume, cropped to what is not empty, mapped into memory."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from anomalib_patchgan.data.cache import entry_folder, has_entry, open_array, read_facts, write_entry
from anomalib_patchgan.data.duplicates import Fingerprint, content_sha256, thumbnail
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import IntensityRange, read_volume, tissue_range
from anomalib_patchgan.io.intensity import TISSUE_LEVEL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from anomalib_patchgan.io import Volume

# Code 0 is background, so the brain needs no mask of its own; codes 1 to 65535 are intensities 0 to 1.
_CODE_SPAN = 65534
# Of the slices of a volume this share, one of so many, goes into its hash: no two scans agree in those only.
_HASHED_SLICES = 4


@dataclass(frozen=True)
class Window:
    """A rectangle of a slice, in pixels; it may reach beyond the slice.

    Attributes:
        top: First row.
        left: First column.
        height: Number of rows.
        width: Number of columns.
    """

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class PreparedStack:
    """A stack of axial slices on disk, of which only the smallest box around its non-zero voxels is kept.

    Attributes:
        folder: Its cache entry.
        shape: Slices, rows and columns of the whole stack.
        spacing: Distance in mm between neighbours along each axis.
        origin: Slice, row and column of the whole stack at which the kept box begins.
        extent: Slices, rows and columns of the kept box.
        counts: Non-zero pixels of every slice of the whole stack.
        content: SHA-256 of every fourth slice of the kept box; empty for a mask.
        details: Bytes of the thumbnail of the kept box, see :func:`~anomalib_patchgan.data.duplicates.thumbnail`; empty
            for a mask.
        intensity_range: Intensities of the file that became 0 and 1; None for a mask.
    """

    folder: Path
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[int, int, int]
    extent: tuple[int, int, int]
    counts: tuple[int, ...]
    content: str
    details: bytes
    intensity_range: IntensityRange | None = None

    def fingerprint(self, subject: str, source: Path) -> Fingerprint:
        """What the volume is recognised by.

        Args:
            subject: Whose it is.
            source: Its file.
        """
        return Fingerprint(subject, source, self.content, np.frombuffer(self.details, dtype=np.int8))

    @property
    def centre(self) -> tuple[int, int]:
        """Row and column in the middle of the kept box."""
        return self.origin[1] + self.extent[1] // 2, self.origin[2] + self.extent[2] // 2

    def central_window(self, side: float) -> Window:
        """A square around the centre of the kept box, the same in every slice.

        Args:
            side: Its side in mm.
        """
        return window_around(self.centre, self.spacing, side)

    def read(self, slice_index: int, window: Window) -> NDArray[Any]:
        """Read a window of a slice; what lies outside the kept box is zero.

        Args:
            slice_index: Index in the whole stack.
            window: Rectangle in pixels of the whole slice.

        Returns:
            Codes or a mask, ``[window.height, window.width]``.
        """
        return read_window(open_array(self.folder), self.origin, slice_index, window)


def window_around(centre: tuple[int, int], spacing: tuple[float, float, float], side: float) -> Window:
    """A square of pixels.

    Args:
        centre: Row and column of its middle.
        spacing: Distance in mm between slices, rows and columns.
        side: Its side in mm.
    """
    height, width = (max(1, round(side / along)) for along in spacing[1:])
    return Window(centre[0] - height // 2, centre[1] - width // 2, height, width)


def read_window(box: NDArray[Any], origin: tuple[int, int, int], slice_index: int, window: Window) -> NDArray[Any]:
    """Read a window of a slice of which only a box is kept; what lies outside the box is zero.

    Args:
        box: What is kept, ``[slices, rows, columns]``.
        origin: Slice, row and column of the whole stack at which it begins.
        slice_index: Index in the whole stack.
        window: Rectangle in pixels of the whole slice.

    Returns:
        ``[window.height, window.width]``, of the type of the box.
    """
    result = np.zeros((window.height, window.width), dtype=box.dtype)
    depth, height, width = box.shape
    if not 0 <= slice_index - origin[0] < depth:
        return result
    top, left = window.top - origin[1], window.left - origin[2]
    first_row, last_row = max(top, 0), min(top + window.height, height)
    first_column, last_column = max(left, 0), min(left + window.width, width)
    if first_row < last_row and first_column < last_column:
        result[first_row - top : last_row - top, first_column - left : last_column - left] = box[
            slice_index - origin[0], first_row:last_row, first_column:last_column
        ]
    return result


@dataclass(frozen=True)
class ScaledStack:
    """A stack of axial slices in memory, scaled as a whole, of which only the box around its non-zero voxels is kept.

    Attributes:
        codes: The kept box as codes, uint16 ``[slices, rows, columns]``; see :func:`decode_intensities`.
        box: Where it lies.
        shape: Slices, rows and columns of the whole stack.
        spacing: Distance in mm between neighbours along each axis.
        intensity_range: Intensities that became 0 and 1.
    """

    codes: NDArray[np.uint16]
    box: Box
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    intensity_range: IntensityRange

    @property
    def origin(self) -> tuple[int, int, int]:
        """Slice, row and column of the whole stack at which the kept box begins."""
        first, rows, columns = self.box.where
        return first.start, rows.start, columns.start

    def central_window(self, side: float) -> Window:
        """The square that :meth:`PreparedStack.central_window` gives.

        Args:
            side: Its side in mm.
        """
        _, rows, columns = self.box.where
        centre = rows.start + (rows.stop - rows.start) // 2, columns.start + (columns.stop - columns.start) // 2
        return window_around(centre, self.spacing, side)

    def read(self, slice_index: int, window: Window) -> NDArray[np.uint16]:
        """Read a window of a slice as codes; what lies outside the kept box is zero.

        Args:
            slice_index: Index in the whole stack.
            window: Rectangle in pixels of the whole slice.
        """
        return read_window(self.codes, self.origin, slice_index, window)


def scale_stack(path: Path, volume: Volume) -> ScaledStack:
    """Scale a volume whose background is zero by the upper quartile of what is not, as its training data were.

    Args:
        path: Where it came from, for the message.
        volume: The volume.

    Raises:
        InputError: If it is empty or has one intensity only.
    """
    box = Box.around(volume.data)
    kept = np.ascontiguousarray(volume.data[box.where])
    intensity_range = tissue_range(kept[kept != 0])
    if intensity_range is None:
        raise InputError(f"{path}: found a volume that is empty or of one intensity only, expected a brain image.")
    slices, rows, columns = volume.data.shape
    codes = encode_intensities(kept, intensity_range)
    return ScaledStack(codes, box, (slices, rows, columns), volume.spacing, intensity_range)


def decode_intensities(codes: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Turn codes into intensities in [0, 1]; background becomes 0.

    Args:
        codes: uint16, any shape.
    """
    intensities = np.maximum(codes.astype(np.float32), np.float32(1)) - np.float32(1)
    intensities /= np.float32(_CODE_SPAN)
    return intensities


def prepare_intensities(path: Path, cache_dir: Path) -> PreparedStack:
    """Read a volume whose background is zero, scale it by its brain's upper quartile, and keep it as codes.

    Args:
        path: NIfTI file.
        cache_dir: Folder of all prepared data.

    Raises:
        InputError: If the file cannot be read, is empty, or has one intensity only.
    """
    settings = {"kind": "intensities", "tissue_level": TISSUE_LEVEL}
    folder = entry_folder(cache_dir, path, settings)
    if not has_entry(folder):
        volume = read_volume(path)
        scaled = scale_stack(path, volume)
        identity = {
            "intensity_range": [scaled.intensity_range.low, scaled.intensity_range.high],
            "content": content_sha256(scaled.codes[::_HASHED_SLICES]),
            "details": base64.b64encode(thumbnail(scaled.codes).tobytes()).decode(),
        }
        write_entry(folder, scaled.codes, {**scaled.box.facts(volume), **identity})
    return _load(folder)


def prepare_lesions(path: Path, cache_dir: Path, labels: Mapping[int, str]) -> PreparedStack:
    """Read a segmentation and keep where any of its labels is set.

    Args:
        path: NIfTI file with 0 for healthy tissue.
        cache_dir: Folder of all prepared data.
        labels: What each value means that a voxel may have.

    Raises:
        InputError: If the file cannot be read, or holds other values.
    """
    folder = entry_folder(cache_dir, path, {"kind": "lesions", "labels": sorted(labels)})
    if not has_entry(folder):
        volume = read_volume(path)
        box = Box.around(volume.data)
        kept = volume.data[box.where]
        strange = np.unique(kept[~np.isin(kept, list(labels))])
        if strange.size:
            found = ", ".join(f"{value:g}" for value in strange[:5]) + (", ..." if strange.size > 5 else "")
            expected = ", ".join(f"{label} ({meaning})" for label, meaning in labels.items())
            raise InputError(f"{path}: found the labels {found}, expected only {expected}.")
        write_entry(folder, kept > 0, box.facts(volume))
    return _load(folder)


def encode_intensities(values: NDArray[Any], intensity_range: IntensityRange) -> NDArray[np.uint16]:
    """Turn intensities into codes that :func:`decode_intensities` reads, to within a step of 1/65534.

    Args:
        values: Intensities of a volume ``[slices, rows, columns]``, 0 for background.
        intensity_range: What becomes 0 and 1.
    """
    codes = np.empty(values.shape, dtype=np.uint16)
    span = np.float32((_CODE_SPAN + 1) / (intensity_range.high - intensity_range.low))
    # Slice by slice, so that the steps work on what the processor's cache holds.
    steps = np.empty(values.shape[1:], dtype=np.float32)
    for own, code in zip(values, codes, strict=True):
        np.copyto(steps, own, casting="same_kind")
        if intensity_range.low:
            steps -= np.float32(intensity_range.low)
        steps *= span
        # Rounded up, every intensity above the lowest has a code above that of background.
        np.ceil(steps, out=steps)
        np.minimum(steps, _CODE_SPAN + 1, out=steps)
        if intensity_range.low:
            np.maximum(steps, 1, out=steps)
            steps[own == 0] = 0
        np.copyto(code, steps, casting="unsafe")
    return codes


@dataclass(frozen=True)
class Box:
    """The smallest box around the non-zero voxels of a volume.

    Attributes:
        where: Slices, rows and columns of the box; empty ranges for a volume of zeros.
        counts: Non-zero voxels of every slice of the whole volume.
    """

    where: tuple[slice, slice, slice]
    counts: list[int]

    @classmethod
    def around(cls, data: NDArray[Any]) -> Box:
        """Find the box of a volume ``[slices, rows, columns]``."""
        occupied = data if data.dtype.kind != "f" else data != 0
        # In the order of memory, in which numpy reduces four times as fast; turned back below.
        upright = tuple(slice(None, None, -1 if stride < 0 else 1) for stride in occupied.strides)
        straight = occupied[upright]
        counts = [int(np.count_nonzero(part)) for part in straight][upright[0]]
        shown = (np.bitwise_or.reduce(straight, axis=0) != 0)[upright[1:]]
        along = (np.asarray(counts) > 0, shown.any(axis=1), shown.any(axis=0))
        first, rows, columns = (_extent(axis) for axis in along)
        return cls((first, rows, columns), counts)

    def facts(self, volume: Volume) -> dict[str, Any]:
        """What of it and of its volume is kept beside the box; JSON-able."""
        return {
            "shape": volume.data.shape,
            "spacing": volume.spacing,
            "origin": [along.start for along in self.where],
            "extent": [along.stop - along.start for along in self.where],
            "counts": self.counts,
        }


def _extent(occupied: NDArray[np.bool_]) -> slice:
    found = np.flatnonzero(occupied)
    return slice(int(found[0]), int(found[-1]) + 1) if found.size else slice(0, 0)


def _load(folder: Path) -> PreparedStack:
    facts = read_facts(folder)
    return PreparedStack(
        folder=folder,
        shape=tuple(facts["shape"]),
        spacing=tuple(facts["spacing"]),
        origin=tuple(facts["origin"]),
        extent=tuple(facts["extent"]),
        counts=tuple(facts["counts"]),
        content=facts.get("content", ""),
        details=base64.b64decode(facts.get("details", "")),
        intensity_range=IntensityRange(*facts["intensity_range"]) if "intensity_range" in facts else None,
    )
