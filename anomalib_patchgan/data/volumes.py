# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Volumes prepared once: scaled by volume, cropped to what is not empty, mapped into memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from anomalib_patchgan.data.cache import entry_folder, has_entry, open_array, read_facts, write_entry
from anomalib_patchgan.data.duplicates import Fingerprint, content_sha256, thumbnail
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import read_volume, tissue_range
from anomalib_patchgan.io.intensity import TISSUE_LEVEL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

# Code 0 is background, so the brain needs no mask of its own; codes 1 to 65535 are intensities 0 to 1.
_CODE_SPAN = 65534


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
        content: SHA-256 of the kept box.
        details: Thumbnail of the kept box, see :func:`~anomalib_patchgan.data.duplicates.thumbnail`.
    """

    folder: Path
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[int, int, int]
    extent: tuple[int, int, int]
    counts: tuple[int, ...]
    content: str
    details: tuple[int, ...]

    def fingerprint(self, subject: str, source: Path) -> Fingerprint:
        """What the volume is recognised by.

        Args:
            subject: Whose it is.
            source: Its file.
        """
        return Fingerprint(subject, source, self.content, np.asarray(self.details, dtype=np.int8))

    @property
    def centre(self) -> tuple[int, int]:
        """Row and column in the middle of the kept box."""
        return self.origin[1] + self.extent[1] // 2, self.origin[2] + self.extent[2] // 2

    def read(self, slice_index: int, window: Window) -> NDArray[Any]:
        """Read a window of a slice; what lies outside the kept box is zero.

        Args:
            slice_index: Index in the whole stack.
            window: Rectangle in pixels of the whole slice.

        Returns:
            Codes or a mask, ``[window.height, window.width]``.
        """
        box = open_array(self.folder)
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
        brain = volume.data != 0
        intensity_range = tissue_range(volume.data[brain])
        if intensity_range is None:
            raise InputError(f"{path}: found a volume that is empty or of one intensity only, expected a brain image.")
        codes = np.zeros(volume.data.shape, dtype=np.uint16)
        codes[brain] = 1 + np.rint(intensity_range.scale(volume.data[brain]) * _CODE_SPAN).astype(np.uint16)
        _write(folder, codes, volume.spacing)
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
        strange = np.setdiff1d(volume.data, list(labels))
        if strange.size:
            found = ", ".join(f"{value:g}" for value in strange[:5]) + (", ..." if strange.size > 5 else "")
            expected = ", ".join(f"{label} ({meaning})" for label, meaning in labels.items())
            raise InputError(f"{path}: found the labels {found}, expected only {expected}.")
        _write(folder, volume.data > 0, volume.spacing)
    return _load(folder)


def _write(folder: Path, stack: NDArray[Any], spacing: tuple[float, float, float]) -> None:
    occupied = stack != 0
    box = []
    for axis in range(3):
        along = np.flatnonzero(occupied.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append(slice(int(along[0]), int(along[-1]) + 1) if along.size else slice(0, 0))
    kept = np.ascontiguousarray(stack[tuple(box)])
    facts = {
        "shape": stack.shape,
        "spacing": spacing,
        "origin": [along.start for along in box],
        "extent": [along.stop - along.start for along in box],
        "counts": occupied.sum(axis=(1, 2)).tolist(),
        "content": content_sha256(kept),
        "details": thumbnail(kept).tolist() if kept.size else [],
    }
    write_entry(folder, kept, facts)


def _load(folder: Path) -> PreparedStack:
    facts = read_facts(folder)
    return PreparedStack(
        folder=folder,
        shape=tuple(facts["shape"]),
        spacing=tuple(facts["spacing"]),
        origin=tuple(facts["origin"]),
        extent=tuple(facts["extent"]),
        counts=tuple(facts["counts"]),
        content=facts["content"],
        details=tuple(facts["details"]),
    )
