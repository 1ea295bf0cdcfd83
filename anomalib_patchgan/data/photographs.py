# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Photographs prepared once: brought to a working size and mapped into memory, with their masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from anomalib_patchgan.data.cache import entry_folder, has_entry, open_array, read_facts, write_entry
from anomalib_patchgan.data.duplicates import Fingerprint, content_sha256, thumbnail
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import (
    read_mask,
    read_photograph,
    read_photograph_size,
    resize_mask,
    size_with_shorter_side,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True)
class PreparedPhotograph:
    """A photograph at its working size.

    Attributes:
        photograph_folder: Cache entry of the colours, uint8 ``[rows, columns, 3]``.
        mask_folder: Cache entry of the lesion mask, bool ``[rows, columns]``; None where there is no mask.
    """

    photograph_folder: Path
    mask_folder: Path | None

    def fingerprint(self, subject: str, source: Path) -> Fingerprint:
        """What the photograph is recognised by.

        Args:
            subject: Whose it is.
            source: Its file.
        """
        facts = read_facts(self.photograph_folder)
        return Fingerprint(subject, source, facts["content"], np.asarray(facts["details"], dtype=np.int8))

    @property
    def colours(self) -> NDArray[np.uint8]:
        """Intensities, uint8 ``[rows, columns, 3]``, mapped into memory."""
        return open_array(self.photograph_folder)

    @property
    def lesion(self) -> NDArray[np.bool_] | None:
        """Lesion mask, bool ``[rows, columns]``, mapped into memory; None where there is no mask."""
        return open_array(self.mask_folder) if self.mask_folder else None


def prepare_photograph(photograph: Path, mask: Path | None, working_size: int, cache_dir: Path) -> PreparedPhotograph:
    """Read a photograph and its mask and keep both at the working size.

    Args:
        photograph: JPEG or PNG file.
        mask: File in which bright means lesion; None where there is none.
        working_size: Pixels of the shorter side.
        cache_dir: Folder of all prepared data.

    Raises:
        InputError: If a file cannot be read, or the mask has another size than the photograph.
    """
    settings = {"kind": "photograph", "shorter_side": working_size}
    photograph_folder = entry_folder(cache_dir, photograph, settings)
    # The mask first: a photograph of which the mask cannot be used is not kept.
    mask_folder = _prepare_mask(mask, photograph, photograph_folder, settings, cache_dir) if mask else None
    if not has_entry(photograph_folder):
        colours = read_photograph(photograph, working_size)
        details = thumbnail(colours.mean(axis=2)).tolist()
        write_entry(photograph_folder, colours, {"content": content_sha256(colours), "details": details})
    return PreparedPhotograph(photograph_folder, mask_folder)


def _prepare_mask(
    mask: Path, photograph: Path, photograph_folder: Path, settings: dict[str, Any], cache_dir: Path
) -> Path:
    folder = entry_folder(cache_dir, mask, {**settings, "kind": "mask", "photograph": photograph_folder.name})
    if not has_entry(folder):
        full_size = read_photograph_size(photograph)
        full_mask = read_mask(mask)
        if full_mask.shape != full_size:
            raise InputError(
                f"{mask}: found {full_mask.shape[0]} x {full_mask.shape[1]} pixels, expected "
                f"{full_size[0]} x {full_size[1]} as in {photograph.name}."
            )
        write_entry(folder, resize_mask(full_mask, size_with_shorter_side(full_size, settings["shorter_side"])), {})
    return folder
