# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Volumes prepared once: scaled by volume, cropped to what is not empty, mapped into memory."""

from __future__ import annotations

import base64
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from anomalib_patchgan.data.cache import entry_folder, has_entry, open_array, read_facts, write_entry
from anomalib_patchgan.data.duplicates import Fingerprint, content_sha256, thumbnail
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import IntensityRange, ReadBuffer, read_volume, tissue_range
from anomalib_patchgan.io.intensity import TISSUE_LEVEL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from anomalib_patchgan.io import Volume

# Integers of 16 bits or fewer are kept as they are. Other numbers become codes: 0 is background, so the brain needs no
# mask of its own, and 1 to 65535 are intensities 0 to 1.
_KEPT_AS_THEY_ARE = ("int8", "uint8", "int16", "uint16")
_CODES = IntensityRange(1.0, 65535.0)
# Of the slices of a volume this share, one of so many, goes into its hash: no two scans agree in those only.
_HASHED_SLICES = 8
# What is done to a few slices at a time stays in the processor's cache and needs little further memory.
_SLICES_AT_A_TIME = 4
# Half a step of 8 bits over labels up to 9.
_LABEL_TOLERANCE = 0.018
# Fields that say where the kept box lies.
_PLACE = ("shape", "spacing", "origin", "extent", "counts")

_of_thread = threading.local()


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


@dataclass(frozen=True, kw_only=True)
class AxialStack(ABC):
    """A stack of axial slices, of which only the smallest box around its non-zero voxels is kept.

    Attributes:
        shape: Slices, rows and columns of the whole stack.
        spacing: Distance in mm between neighbours along each axis.
        origin: Slice, row and column of the whole stack at which the kept box begins.
        extent: Slices, rows and columns of the kept box.
        counts: Non-zero pixels of every slice of the whole stack.
        intensity_range: Intensities of the file that become 0 and 1; None for a mask.
        stored_range: What is stored for these two; None for a mask.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[int, int, int]
    extent: tuple[int, int, int]
    counts: tuple[int, ...]
    intensity_range: IntensityRange | None = None
    stored_range: IntensityRange | None = None

    @property
    @abstractmethod
    def stored(self) -> NDArray[Any]:
        """The kept box, 0 for background, ``[slices, rows, columns]``; bool for a mask."""

    @property
    def centre(self) -> tuple[int, int]:
        """Row and column in the middle of the kept box."""
        return self.origin[1] + self.extent[1] // 2, self.origin[2] + self.extent[2] // 2

    def central_window(self, side: float) -> Window:
        """A square around the centre of the kept box, the same in every slice.

        Args:
            side: Its side in mm.
        """
        height, width = (max(1, round(side / spacing)) for spacing in self.spacing[1:])
        row, column = self.centre
        return Window(row - height // 2, column - width // 2, height, width)

    def read(self, slice_index: int, window: Window) -> NDArray[Any]:
        """Read a window of a slice; what lies outside the kept box is zero.

        Args:
            slice_index: Index in the whole stack.
            window: Rectangle in pixels of the whole slice.

        Returns:
            What is stored, 0 for background, ``[window.height, window.width]``; bool for a mask.
        """
        box = self.stored
        result = np.zeros((window.height, window.width), dtype=box.dtype)
        depth, height, width = box.shape
        if not 0 <= slice_index - self.origin[0] < depth:
            return result
        top, left = window.top - self.origin[1], window.left - self.origin[2]
        first_row, last_row = max(top, 0), min(top + window.height, height)
        first_column, last_column = max(left, 0), min(left + window.width, width)
        if first_row < last_row and first_column < last_column:
            result[first_row - top : last_row - top, first_column - left : last_column - left] = box[
                slice_index - self.origin[0], first_row:last_row, first_column:last_column
            ]
        return result

    def read_intensities(self, slice_index: int, window: Window) -> NDArray[np.float32]:
        """Read a window of a slice as intensities.

        Args:
            slice_index: Index in the whole stack.
            window: Rectangle in pixels of the whole slice.

        Returns:
            Intensities in [0, 1], 0 for background, float32 ``[window.height, window.width]``.

        Raises:
            TypeError: If this is a mask.
        """
        if self.stored_range is None:
            raise TypeError("a mask has no intensities.")
        stored = self.read(slice_index, window)
        intensities = self.stored_range.scale(stored.astype(np.float32))
        if self.stored_range.low < 0:
            intensities[stored == 0] = 0
        return intensities


@dataclass(frozen=True, kw_only=True)
class PreparedStack(AxialStack):
    """A stack of axial slices on disk.

    Attributes:
        folder: Its cache entry.
        content: SHA-256 of every eighth slice of the kept box; empty for a mask.
        details: Bytes of the thumbnail of the kept box, see :func:`~anomalib_patchgan.data.duplicates.thumbnail`; empty
            for a mask.
    """

    folder: Path
    content: str
    details: bytes

    @property
    def stored(self) -> NDArray[Any]:
        """The kept box, mapped into memory."""
        return open_array(self.folder)

    def fingerprint(self, subject: str, source: Path) -> Fingerprint:
        """What the volume is recognised by.

        Args:
            subject: Whose it is.
            source: Its file.
        """
        return Fingerprint(subject, source, self.content, np.frombuffer(self.details, dtype=np.int8))


@dataclass(frozen=True, kw_only=True)
class ScaledStack(AxialStack):
    """A stack of axial slices in memory.

    Attributes:
        box: The kept box.
    """

    box: NDArray[Any]

    @property
    def stored(self) -> NDArray[Any]:
        """The kept box."""
        return self.box


def scale_volume(path: Path, volume: Volume, declared: IntensityRange | None = None) -> ScaledStack:
    """Find what the intensities of a volume are scaled by, and keep the box around what is not background.

    Args:
        path: Where it came from, for the message.
        volume: The volume.
        declared: As of :func:`prepare_intensities`.

    Raises:
        InputError: If it is empty or has one intensity only.
    """
    # From a declared range on, background is zero here too.
    voxels = _above(volume.data, declared.low) if declared else volume.data
    box = _Box.around(voxels)
    kept = np.ascontiguousarray(voxels[box.where])
    found = declared or tissue_range(_without_background(kept, sum(box.counts)))
    if found is None or not kept.size:
        raise InputError(f"{path}: found a volume that is empty or of one intensity only, expected an image.")
    if voxels.dtype.name in _KEPT_AS_THEY_ARE:
        stored, stored_range = kept, found
    else:
        scaled_by = IntensityRange(0.0, found.high - found.low) if declared else found
        stored, stored_range = encode_intensities(kept, scaled_by), _CODES
    return ScaledStack(**_placed(box.facts(volume)), intensity_range=found, stored_range=stored_range, box=stored)


def prepare_intensities(path: Path, cache_dir: Path, declared: IntensityRange | None = None) -> PreparedStack:
    """Read a volume, find what its intensities are scaled by, and keep the box around what is not background.

    Args:
        path: NIfTI file.
        cache_dir: Folder of all prepared data.
        declared: Intensities that become 0 and 1; what is not above the lower one is background. None for a volume
            whose background is zero, and which is scaled by the upper quartile of the rest, see
            :func:`~anomalib_patchgan.io.tissue_range`.

    Raises:
        InputError: If the file cannot be read, is empty, or has one intensity only.
    """
    by = {"declared": [declared.low, declared.high]} if declared else {"tissue_level": TISSUE_LEVEL}
    folder = entry_folder(cache_dir, path, {"kind": "intensities", **by})
    if not has_entry(folder):
        volume = read_volume(path, _read_buffer())
        scaled = scale_volume(path, volume, declared)
        ranges = {"intensity_range": scaled.intensity_range, "stored_range": scaled.stored_range}
        facts = {
            **{name: getattr(scaled, name) for name in _PLACE},
            **{name: [found.low, found.high] for name, found in ranges.items() if found is not None},
            "content": content_sha256(scaled.stored[::_HASHED_SLICES]),
            "details": base64.b64encode(thumbnail(scaled.stored).tobytes()).decode(),
        }
        write_entry(folder, scaled.stored, facts)
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
        read = read_volume(path, _read_buffer())
        volume = replace(read, data=_whole_labels(read.data))
        box = _Box.around(volume.data)
        kept = volume.data[box.where]
        labelled = kept[kept != 0]
        strange = np.unique(labelled[~np.isin(labelled, list(labels))])
        if strange.size:
            found = ", ".join(f"{value:g}" for value in strange[:5]) + (", ..." if strange.size > 5 else "")
            expected = ", ".join(f"{label} ({meaning})" for label, meaning in labels.items())
            raise InputError(f"{path}: found the labels {found}, expected only {expected}.")
        write_entry(folder, kept > 0, box.facts(volume))
    return _load(folder)


def _whole_labels(values: NDArray[Any]) -> NDArray[Any]:
    """Labels as they were before they were stored with a scale, of which they have a rounding error."""
    if values.dtype.kind != "f":
        return values
    nearest = np.rint(values)
    return np.where(np.abs(values - nearest) <= _LABEL_TOLERANCE, nearest, values)


def _read_buffer() -> ReadBuffer:
    """The memory of this thread that volumes are read into."""
    if not hasattr(_of_thread, "buffer"):
        _of_thread.buffer = ReadBuffer()
    return _of_thread.buffer


def _above(voxels: NDArray[Any], low: float) -> NDArray[np.float32]:
    """By how much intensities are above ``low``, 0 for those that are not."""
    return np.maximum(np.subtract(voxels, np.float32(low), dtype=np.float32, casting="same_kind"), np.float32(0))


def _without_background(values: NDArray[Any], count: int) -> NDArray[Any]:
    """The values that are not zero, of which there are ``count``, one-dimensional."""
    body = np.empty(count, dtype=values.dtype)
    held = 0
    for first in range(0, len(values), _SLICES_AT_A_TIME):
        own = values[first : first + _SLICES_AT_A_TIME]
        found = own[own != 0]
        body[held : held + found.size] = found
        held += found.size
    return body


def encode_intensities(values: NDArray[Any], intensity_range: IntensityRange) -> NDArray[np.uint16]:
    """Turn intensities into codes: 0 for background, 1 to 65535 for 0 to 1, to within a step of 1/65534.

    Args:
        values: Intensities of a volume ``[slices, rows, columns]``, 0 for background.
        intensity_range: What becomes 0 and 1.
    """
    codes = np.empty(values.shape, dtype=np.uint16)
    span = np.float32(_CODES.high / (intensity_range.high - intensity_range.low))
    for first in range(0, len(values), _SLICES_AT_A_TIME):
        own = values[first : first + _SLICES_AT_A_TIME]
        steps = (own.astype(np.float32) - np.float32(intensity_range.low)) * span
        # Rounded up, every intensity above the lowest has a code above that of background.
        steps = np.clip(np.ceil(steps), 1, _CODES.high)
        steps[own == 0] = 0
        codes[first : first + _SLICES_AT_A_TIME] = steps
    return codes


@dataclass(frozen=True)
class _Box:
    """The smallest box around the non-zero voxels of a volume.

    Attributes:
        where: Slices, rows and columns of the box; empty ranges for a volume of zeros.
        counts: Non-zero voxels of every slice of the whole volume.
    """

    where: tuple[slice, slice, slice]
    counts: list[int]

    @classmethod
    def around(cls, data: NDArray[Any]) -> _Box:
        occupied = data if data.dtype.kind != "f" else data != 0
        # In the order of memory, in which numpy reduces four times as fast; turned back below.
        upright = tuple(slice(None, None, -1 if stride < 0 else 1) for stride in occupied.strides)
        straight = occupied[upright]
        straight_counts = [int(np.count_nonzero(part)) for part in straight]
        shown = np.bitwise_or.reduce(straight[_extent(np.asarray(straight_counts) > 0)], axis=0)[upright[1:]] != 0
        counts = straight_counts[upright[0]]
        along = (np.asarray(counts) > 0, shown.any(axis=1), shown.any(axis=0))
        first, rows, columns = (_extent(axis) for axis in along)
        return cls((first, rows, columns), counts)

    def facts(self, volume: Volume) -> dict[str, Any]:
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
        **_placed(facts),
        folder=folder,
        content=facts.get("content", ""),
        details=base64.b64decode(facts.get("details", "")),
        intensity_range=IntensityRange(*facts["intensity_range"]) if "intensity_range" in facts else None,
        stored_range=IntensityRange(*facts["stored_range"]) if "stored_range" in facts else None,
    )


def _placed(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Where the kept box lies, as the fields of a stack."""
    return {name: tuple(facts[name]) for name in _PLACE}
