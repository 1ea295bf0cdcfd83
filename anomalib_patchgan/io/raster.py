# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Two-dimensional images of any depth: PNG, TIFF, JPEG and DICOM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io.dicom import is_dicom, read_dicom
from anomalib_patchgan.io.images import reading_image
from anomalib_patchgan.io.intensity import IntensityRange, tissue_range

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from anomalib_patchgan.io.dicom import DicomPicture

# What each of Pillow's modes is read as (None: as it is), and the bits of its samples. Transparency is dropped.
_MODES: dict[str, tuple[str | None, int]] = {
    "1": ("L", 8),
    "L": ("L", 8),
    "LA": ("L", 8),
    "P": ("RGB", 8),
    "RGB": ("RGB", 8),
    "RGBA": ("RGB", 8),
    "I;16": (None, 16),
    "I;16L": (None, 16),
    "I;16B": (None, 16),
    "I": (None, 32),
    "F": (None, 32),
}
_EIGHT_BITS = 8
_SIXTEEN_BITS = 16
# Tags of TIFF 6.0.
_TIFF_BITS_PER_SAMPLE, _TIFF_PHOTOMETRIC, _TIFF_SAMPLES_PER_PIXEL = 258, 262, 277
_TIFF_WHITE_IS_ZERO = 0
_PNG_TYPES_OF_SEVERAL_CHANNELS = (2, 4, 6)


@dataclass(frozen=True)
class Raster:
    """An image in the units of its file.

    Attributes:
        values: float32 ``[1 or 3, rows, columns]``. In [0, 255] where ``bits`` is 8.
        bits: Bits of a sample: 8 for all formats of eight bits or fewer, which mean 255 (or their only largest value)
            for white; more for those of which only the scanner knows what is white.
    """

    values: NDArray[np.float32]
    bits: int


def read_raster(path: Path) -> Raster:
    """Read an image without losing depth.

    Args:
        path: PNG, TIFF or JPEG file, or a DICOM file of one frame, whatever its name ends in.

    Raises:
        InputError: If the file cannot be read, holds several pages or frames, or colours of more than eight bits.
    """
    if path.is_dir():
        raise InputError(f"{path}: found a folder, expected the file of an image.")
    if path.is_file() and is_dicom(path):
        picture = read_dicom(path)
        return Raster(_only_frame(path, picture), picture.bits)
    with reading_image(path), Image.open(path) as opened:
        _refuse_what_pillow_would_cut(path, opened)
        mode, bits = _MODES[opened.mode]
        samples = np.asarray(opened if mode is None else opened.convert(mode)).astype(np.float32)
        inverted = bits == _SIXTEEN_BITS and _tiff_tag(opened, _TIFF_PHOTOMETRIC) == _TIFF_WHITE_IS_ZERO
    if inverted:
        samples = np.float32(2**_SIXTEEN_BITS - 1) - samples
    if not np.isfinite(samples).all():
        raise InputError(f"{path}: found pixels that are not finite numbers, expected intensities.")
    channels = samples[None] if samples.ndim == 2 else samples.transpose(2, 0, 1)
    return Raster(np.ascontiguousarray(channels), bits)


def read_raster_mask(path: Path) -> NDArray[np.bool_]:
    """Read a mask in which every value but zero means lesion.

    Masks of 0 and 1, of 0 and 255, and of several labels are all read right. Of DICOM, the values count as they are
    stored. A JPEG is refused, since its compression leaves small values around every edge.

    Args:
        path: PNG or TIFF file, or a DICOM file of one frame.

    Returns:
        The mask, bool ``[rows, columns]``.

    Raises:
        InputError: If the file cannot be read, is a JPEG, or has a palette by which other pixels are black than those
            of 0.
    """
    if path.is_file() and is_dicom(path):
        return (_only_frame(path, read_dicom(path, as_stored=True)) != 0).any(axis=0)
    mask = (read_raster(path).values != 0).any(axis=0)
    with reading_image(path), Image.open(path) as opened:
        if opened.format == "JPEG":
            raise InputError(f"{path}: found a JPEG, expected a mask in a format without loss, such as PNG.")
        if opened.mode == "P" and not np.array_equal(mask, np.asarray(opened) != 0):
            raise InputError(
                f"{path}: found a palette in which not 0 alone is black, expected a mask without palette, or one that "
                "leaves no doubt about what is lesion."
            )
    return mask


def scale_raster(raster: Raster, declared: IntensityRange | None) -> NDArray[np.float32] | None:
    """Bring an image to [0, 1].

    Eight bits are divided by 255. Of deeper images 0 and 1 are the ends of a range that is declared for all of them
    (for instance a window of Hounsfield units), or else what :func:`tissue_range` finds in the non-zero pixels of the
    whole image.

    Args:
        raster: The image.
        declared: Range for images deeper than eight bits.

    Returns:
        float32 of the shape of ``raster.values``, or None if an image of more than eight bits is empty or
        of one intensity.
    """
    if raster.bits == _EIGHT_BITS:
        return raster.values / np.float32(255)
    found = declared or tissue_range(raster.values[raster.values != 0])
    return None if found is None else found.scale(raster.values)


def _only_frame(path: Path, picture: DicomPicture) -> NDArray[np.float32]:
    if len(picture.frames) != 1:
        raise InputError(
            f"{path}: found {len(picture.frames)} frames, expected one image; export the frames one by one."
        )
    frame = picture.frames[0]
    return np.ascontiguousarray(frame[None] if frame.ndim == 2 else frame.transpose(2, 0, 1))


def _refuse_what_pillow_would_cut(path: Path, opened: Image.Image) -> None:
    if opened.mode not in _MODES:
        raise InputError(f"{path}: found pixels of the kind {opened.mode}, expected grey or RGB.")
    pages = getattr(opened, "n_frames", 1)
    if pages != 1:
        raise InputError(f"{path}: found {pages} pages, expected one image; save the pages one by one.")
    depth = _colour_depth(path, opened)
    if depth > _EIGHT_BITS:
        raise InputError(
            f"{path}: found {opened.format} with several channels of {depth} bits, expected 8 bits a channel or one "
            "channel of 16."
        )


def _colour_depth(path: Path, opened: Image.Image) -> int:
    """Bits a channel of an image with several channels; 8 for others. Pillow reads deeper ones as if they had 8."""
    if opened.format == "PNG":
        with path.open("rb") as stream:
            # Signature 8, length 4, "IHDR" 4, width 4, height 4, bit depth, colour type.
            header = stream.read(26)
        return header[24] if header[25] in _PNG_TYPES_OF_SEVERAL_CHANNELS else _EIGHT_BITS
    samples = _tiff_tag(opened, _TIFF_SAMPLES_PER_PIXEL)
    bits = _tiff_tag(opened, _TIFF_BITS_PER_SAMPLE)
    if not isinstance(samples, int) or samples == 1 or bits is None:
        return _EIGHT_BITS
    return max(bits) if isinstance(bits, tuple) else int(bits)


def _tiff_tag(opened: Image.Image, tag: int) -> Any:
    tags = getattr(opened, "tag_v2", None)
    return None if tags is None else tags.get(tag)
