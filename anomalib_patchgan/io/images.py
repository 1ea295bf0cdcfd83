# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Photographs and masks."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io.whole_file import replaced_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# A mask written as JPEG or with soft edges is cut at half of the brightest value that eight bits hold.
_MASK_THRESHOLD = 127
# Pixels beyond which a photograph is not decoded at its full size, if it need not be; no camera of a clinic makes them.
_LARGE_PHOTOGRAPH = 50_000_000
# Smaller pictures are icons or placeholders; enlarged to the working size they would show nothing.
_SMALLEST_SIDE = 16


def read_photograph(path: Path, shorter_side: int | None = None) -> NDArray[np.uint8]:
    """Read a colour photograph.

    Args:
        path: A file that Pillow can read.
        shorter_side: Pixels of the shorter side that the picture is brought to, antialiased and with its aspect kept;
            None leaves the size.

    Returns:
        Intensities, uint8 ``[rows, columns, 3]``.

    Raises:
        InputError: If the file cannot be read as an image.
    """
    if shorter_side is None:
        return np.asarray(_open(path, "RGB"))
    with reading_image(path), Image.open(path) as picture:
        rows, columns = size_with_shorter_side((picture.height, picture.width), shorter_side)
        if picture.height * picture.width > _LARGE_PHOTOGRAPH:
            # Only JPEG knows this; it decodes at a half, a quarter or an eighth, still at least twice what is wanted.
            picture.draft("RGB", (2 * columns, 2 * rows))
        return np.asarray(picture.convert("RGB").resize((columns, rows), Image.Resampling.BILINEAR))


def read_photograph_size(path: Path) -> tuple[int, int]:
    """Read rows and columns of an image, not its pixels.

    Args:
        path: A file that Pillow can read.

    Raises:
        InputError: If the file cannot be read as an image.
    """
    with reading_image(path), Image.open(path) as picture:
        return picture.height, picture.width


def check_photograph_size(path: Path, size: tuple[int, int]) -> None:
    """Refuse a photograph that is too small to show anything.

    Args:
        path: Its file, for the message.
        size: Its rows and columns.

    Raises:
        InputError: If a side has fewer than 16 pixels.
    """
    if min(size) < _SMALLEST_SIDE:
        raise InputError(f"{path}: found {size[0]} x {size[1]} pixels, expected {_SMALLEST_SIDE} or more a side.")


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read a mask in which bright means lesion.

    Args:
        path: A file that Pillow can read.

    Returns:
        The mask, bool ``[rows, columns]``.

    Raises:
        InputError: If the file cannot be read as an image.
    """
    return np.asarray(_open(path, "L")) > _MASK_THRESHOLD


def size_with_shorter_side(size: tuple[int, int], shorter_side: int) -> tuple[int, int]:
    """Scale rows and columns so that the shorter becomes ``shorter_side`` pixels and the aspect stays."""
    scale = shorter_side / min(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize_image(image: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize one channel, antialiased.

    Args:
        image: Intensities, float32 ``[rows, columns]``.
        size: Rows and columns wanted.

    Returns:
        Intensities within the range of the input, float32 ``[rows, columns]``.
    """
    if image.shape == size:
        return image
    resized = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def resize_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Resize a mask: a pixel is set where at least half of it is covered.

    A mask that is not empty never becomes empty: a lesion too thin for that rule keeps the pixels it covers most.

    Args:
        mask: bool ``[rows, columns]``.
        size: Rows and columns wanted.
    """
    if mask.shape == size:
        return mask
    if not mask.any():
        return np.zeros(size, dtype=bool)
    coverage = np.asarray(
        Image.fromarray(mask.astype(np.float32)).resize((size[1], size[0]), Image.Resampling.BOX), dtype=np.float32
    )
    return coverage >= min(0.5, float(coverage.max()))


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write a PNG under a temporary name and rename it, so that no reader ever meets half a file.

    Args:
        path: Where to; missing folders are made.
        image: uint8 ``[rows, columns]`` or ``[rows, columns, 3]``.
    """
    with replaced_file(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG", compress_level=1)


def _open(path: Path, mode: str) -> Image.Image:
    with reading_image(path), Image.open(path) as picture:
        return picture.convert(mode)


@contextmanager
def reading_image(path: Path) -> Iterator[None]:
    """Turn what Pillow raises for an unreadable file into a sentence.

    Args:
        path: The file that is read within the context.

    Raises:
        InputError: If it cannot be read as an image.
    """
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: found no such file, expected an image.") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: found too many pixels to be safe ({error}), expected a smaller image.") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{path}: found a file that cannot be read ({error}), expected an image.") from error
