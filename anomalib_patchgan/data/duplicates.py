# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Images that are in a collection twice, under two names: copies, and copies that were resized or compressed again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import resize_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_THUMBNAIL_SIDE = 64
# Wider structures than this many thumbnail pixels, such as the outline of a head or a vignette, say little of identity.
_DETAIL = 2
# Share of an image's range of intensities up to which a pixel that belongs to its margin is dark.
_DARK = 0.1
# Heights, as shares of the extent, of the slices that stand for a volume.
_SLICE_HEIGHTS = (0.35, 0.5, 0.65)
# Images that are compared with as many others at a time.
_BLOCK = 64
SIMILARITY = 0.9
"""Correlation of two thumbnails from which on two images count as the same; docs/splits.md says what it rests on."""


@dataclass(frozen=True)
class Fingerprint:
    """What an image is recognised by.

    Attributes:
        subject: Whose image it is.
        source: Its file.
        content: SHA-256 of its pixels.
        thumbnail: Its details, int8, one-dimensional; of one length for all images of a collection.
    """

    subject: str
    source: Path
    content: str
    thumbnail: NDArray[np.int8]


def content_sha256(array: NDArray[Any]) -> str:
    """SHA-256 of type, shape and values of an array."""
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def thumbnail(image: NDArray[Any]) -> NDArray[np.int8]:
    """Details of an image at 64 x 64 pixels: what is left after a wide blur is taken away, to one scale.

    Gain, offset, size and compression hardly change it; mirroring and turning do. The edge of what is shown is no
    detail: all heads have nearly the same outline, and all pictures of one dermoscope the same dark frame.

    Args:
        image: ``[rows, columns]``, or a volume ``[slices, rows, columns]``, of which three slices stand for all.

    Returns:
        int8, 4,096 values, or 12,288 for a volume.
    """
    if image.ndim == 3:
        slices = [image[round(height * (len(image) - 1))] for height in _SLICE_HEIGHTS]
        return np.concatenate([thumbnail(part) for part in slices])
    # Slow to import, and needed only where collections are prepared; the predictor reads volumes without.
    from scipy import ndimage

    side = (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE)
    small = resize_image(np.ascontiguousarray(image, dtype=np.float32), side)
    # The pixels at the very edge are half of what is shown and half of the margin.
    shown = ndimage.binary_erosion(~_margin(small), border_value=1)
    weights = shown.astype(np.float32)
    surroundings = ndimage.gaussian_filter(small * weights, _DETAIL)
    surroundings /= np.maximum(ndimage.gaussian_filter(weights, _DETAIL), 1e-3)
    details = (small - surroundings) * ndimage.binary_erosion(shown, iterations=_DETAIL, border_value=1)
    spread = float(details.std())
    scaled = details / (4 * spread) if spread > 0 else np.zeros_like(details)
    return np.rint(127 * np.clip(scaled, -1, 1)).astype(np.int8).ravel()


def _margin(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where an image shows nothing: dark areas at its border that are wider than a hair."""
    from scipy import ndimage

    low, high = np.percentile(image, [0, 99])
    dark = image <= low + _DARK * (high - low)
    # Continued beyond the border, where a margin need not be wide.
    wide = ndimage.binary_opening(np.pad(dark, 2, mode="edge"))[2:-2, 2:-2]
    border = np.pad(np.zeros(np.subtract(image.shape, 2), dtype=bool), 1, constant_values=True)
    margin = ndimage.binary_propagation(wide & border, mask=wide)
    # The opening has rounded its corners.
    return np.asarray(ndimage.binary_dilation(margin, mask=dark, iterations=2), dtype=bool)


def find_duplicates(fingerprints: Sequence[Fingerprint]) -> list[tuple[Fingerprint, Fingerprint, float]]:
    """List pairs of images of different subjects that are the same, the most alike first.

    Args:
        fingerprints: All images of a collection.

    Returns:
        Pairs and the correlation of their thumbnails; 1 for equal pixels.
    """
    if len(fingerprints) < 2:
        return []
    thumbnails = np.stack([fingerprint.thumbnail for fingerprint in fingerprints])
    _, contents = np.unique([fingerprint.content for fingerprint in fingerprints], return_inverse=True)
    found = []
    # Block against block, so that the memory does not grow with the collection by more than its thumbnails.
    for first in range(0, len(thumbnails), _BLOCK):
        own = _unit_vectors(thumbnails[first : first + _BLOCK])
        for second in range(first, len(thumbnails), _BLOCK):
            similarity = own @ _unit_vectors(thumbnails[second : second + _BLOCK]).T
            same = contents[first : first + _BLOCK, None] == contents[None, second : second + _BLOCK]
            similarity[same] = 1.0
            found += [
                (first + row, second + column, float(similarity[row, column]))
                for row, column in np.argwhere(similarity >= SIMILARITY).tolist()
                if first + row < second + column
            ]
    pairs = [(fingerprints[one], fingerprints[other], similarity) for one, other, similarity in sorted(found)]
    return sorted((pair for pair in pairs if pair[0].subject != pair[1].subject), key=lambda pair: -pair[2])


def _unit_vectors(thumbnails: NDArray[np.int8]) -> NDArray[np.float32]:
    """Rows of mean 0 and length 1, so that their product is a correlation; zeros for a row without spread."""
    details = thumbnails.astype(np.float32)
    details -= details.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(details, axis=1, keepdims=True)
    details /= np.where(lengths > 0, lengths, 1)
    return details


def check_duplicates(groups: Mapping[str, Iterable[str]], fingerprints: Sequence[Fingerprint]) -> int:
    """Refuse a split in which two groups share an image under two names.

    Args:
        groups: Subjects of each group.
        fingerprints: All images of the collection.

    Returns:
        Number of pairs of duplicates within one group, which leak nothing.

    Raises:
        InputError: If two groups share an image.
    """
    home = {subject: group for group, subjects in groups.items() for subject in subjects}
    within = 0
    for first, second, similarity in find_duplicates(fingerprints):
        if first.subject not in home or second.subject not in home:
            continue
        if home[first.subject] == home[second.subject]:
            within += 1
            continue
        kind = "the same image" if first.content == second.content else f"nearly the same image ({similarity:.3f})"
        raise InputError(
            f"{second.source}: found {kind} as {first.source}, in the groups {home[second.subject]} and "
            f"{home[first.subject]}, expected it in one of them; name {second.subject} or {first.subject} in `exclude`."
        )
    return within
