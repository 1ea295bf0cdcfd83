# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Collections in which a sample is a whole labelled image: prepared at the size that models see, and read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from anomalib_patchgan.data.base import Assembly
from anomalib_patchgan.data.cache import entries_sha256, entry_folder, has_entry, open_array, read_facts, write_entry
from anomalib_patchgan.data.duplicates import Fingerprint, content_sha256, thumbnail
from anomalib_patchgan.data.preparation import prepare_all
from anomalib_patchgan.data.protocols import ABNORMAL, NORMAL
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import (
    IntensityRange,
    read_raster,
    read_raster_mask,
    resize_image,
    resize_mask,
    scale_raster,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_LARGEST_CODE = 65535


@dataclass(frozen=True)
class LabelledImage:
    """Where an image is, and what is known of it.

    Attributes:
        name: Name of the sample, unique in the collection and fit for a file.
        subject: Whose image it is.
        label: ``NORMAL`` or ``ABNORMAL``.
        image: Its file.
        mask: File of its lesion mask, or None.
    """

    name: str
    subject: str
    label: int
    image: Path
    mask: Path | None = None


@dataclass(frozen=True)
class PreparedImage:
    """An image at the size that models see.

    Attributes:
        image_folder: Cache entry of the intensities, uint16 ``[1 or 3, rows, columns]``; 65535 stands for 1.
        mask_folder: Cache entry of the mask, bool ``[rows, columns]``; None for an image without a mask of its own.
    """

    image_folder: Path
    mask_folder: Path | None

    @property
    def lesion_fraction(self) -> float:
        """Share of pixels that the mask sets; 0 without a mask."""
        return 0.0 if self.mask_folder is None else float(open_array(self.mask_folder).mean())

    def fingerprint(self, subject: str, source: Path) -> Fingerprint:
        """What the image is recognised by.

        Args:
            subject: Whose it is.
            source: Its file.
        """
        facts = read_facts(self.image_folder)
        return Fingerprint(subject, source, facts["content"], np.asarray(facts["details"], dtype=np.int8))


@dataclass(frozen=True)
class WholeImageReader:
    """Reads samples from prepared images.

    Attributes:
        images: The image of each sample.
        has_masks: Whether what is not in a mask is known to be healthy.
    """

    images: dict[str, PreparedImage]
    has_masks: bool

    @property
    def fingerprint(self) -> str:
        """Changes whenever a source file changes."""
        folders = (
            folder for _, image in sorted(self.images.items()) for folder in (image.image_folder, image.mask_folder)
        )
        return entries_sha256(folders, str(self.has_masks))

    def read(self, sample: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """Read a sample.

        Args:
            sample: Row with ``sample_id``.

        Returns:
            Image in [0, 1], float32 ``[1 or 3, rows, columns]``, and lesion mask, bool ``[rows, columns]``, or None
            where the collection has no masks.
        """
        prepared = self.images[sample["sample_id"]]
        codes = open_array(prepared.image_folder)
        image = codes.astype(np.float32) / np.float32(_LARGEST_CODE)
        if not self.has_masks:
            return image, None
        if prepared.mask_folder is None:
            return image, np.zeros(codes.shape[1:], dtype=bool)
        return image, np.array(open_array(prepared.mask_folder))


@dataclass(frozen=True)
class ImagePreparation:
    """How images are prepared.

    Attributes:
        image_size: Rows and columns that every image is brought to, whatever its aspect.
        cache_dir: Folder of all prepared data.
        declared: Range of intensities of images deeper than eight bits; None to find one for each image.
    """

    image_size: tuple[int, int]
    cache_dir: Path
    declared: IntensityRange | None = None

    def prepare(self, record: LabelledImage) -> PreparedImage:
        """Read an image and its mask and keep both at ``image_size``.

        Args:
            record: The image.

        Raises:
            InputError: If a file cannot be read, the image shows nothing, or mask and label do not agree.
        """
        for path in (record.image, record.mask):
            if path is not None and not path.is_file():
                raise InputError(f"{path}: found no such file, expected an image.")
        declared = None if self.declared is None else [self.declared.low, self.declared.high]
        settings: dict[str, Any] = {"kind": "whole image", "size": self.image_size, "declared": declared}
        image_folder = entry_folder(self.cache_dir, record.image, settings)
        mask_folder = None
        if record.mask is not None:
            of = {**settings, "kind": "mask of a whole image", "image": image_folder.name, "label": record.label}
            mask_folder = entry_folder(self.cache_dir, record.mask, of)
        if not has_entry(image_folder) or (mask_folder is not None and not has_entry(mask_folder)):
            self._write(record, image_folder, mask_folder)
        return PreparedImage(image_folder, mask_folder)

    def _write(self, record: LabelledImage, image_folder: Path, mask_folder: Path | None) -> None:
        raster = read_raster(record.image)
        scaled = scale_raster(raster, self.declared)
        if scaled is None:
            raise InputError(f"{record.image}: found an image of one intensity only, expected some contrast.")
        if record.mask is not None and mask_folder is not None:
            mask = read_raster_mask(record.mask)
            _check_mask(record, mask, scaled.shape[1:])
            write_entry(mask_folder, resize_mask(mask, self.image_size), {})
        resized = np.stack([resize_image(channel, self.image_size) for channel in scaled])
        codes = np.rint(resized * np.float32(_LARGEST_CODE)).astype(np.uint16)
        details = thumbnail(scaled.mean(axis=0)).tolist()
        write_entry(image_folder, codes, {"content": content_sha256(scaled), "details": details})


def assemble_images(
    records: Mapping[str, LabelledImage],
    groups: Mapping[str, list[str]],
    preparation: ImagePreparation,
    strict: bool,
) -> Assembly:
    """Prepare the images of a collection and list them as samples.

    Pixels are evaluated only if every abnormal image of the test has a mask; else masks count for nothing, since a mask
    of zeros would pretend that nothing is to be found.

    Args:
        records: The images by name.
        groups: Subjects of each group.
        preparation: How images are prepared.
        strict: Whether one damaged file is an error; else one image in a hundred may be damaged, and is listed.

    Raises:
        InputError: If too many images are damaged.
    """
    outcome = prepare_all(records, preparation.prepare, "Preparing images")
    outcome.check(strict)
    images = outcome.prepared
    group_of = {subject: group for group, subjects in groups.items() for subject in subjects}
    abnormal_test = [
        record
        for name, record in records.items()
        if name in images and record.label == ABNORMAL and group_of[record.subject] == "test"
    ]
    has_masks = bool(abnormal_test) and all(record.mask is not None for record in abnormal_test)
    height, width = preparation.image_size
    rows = [
        {
            "group": group_of[records[name].subject],
            "sample_id": name,
            "subject_id": records[name].subject,
            "slice_index": -1,
            "label_index": records[name].label,
            "lesion_fraction": prepared.lesion_fraction if has_masks else float("nan"),
            "top": 0,
            "left": 0,
            "height": height,
            "width": width,
        }
        for name, prepared in images.items()
    ]
    usable = {records[name].subject for name in images}
    return Assembly(
        {group: [subject for subject in subjects if subject in usable] for group, subjects in groups.items()},
        pd.DataFrame(rows),
        Counter({"image that cannot be used": len(outcome.findings)}),
        WholeImageReader(images, has_masks),
        fingerprints=[
            prepared.fingerprint(records[name].subject, records[name].image) for name, prepared in images.items()
        ],
        findings=outcome.findings,
        has_masks=has_masks,
    )


def _check_mask(record: LabelledImage, mask: NDArray[np.bool_], size: tuple[int, ...]) -> None:
    if mask.shape != size:
        raise InputError(
            f"{record.mask}: found {mask.shape[0]} x {mask.shape[1]} pixels, expected {size[0]} x {size[1]} as in "
            f"{record.image.name}."
        )
    if record.label == ABNORMAL and not mask.any():
        raise InputError(f"{record.mask}: found an empty mask, expected a lesion, as the image is labelled abnormal.")
    if record.label == NORMAL and mask.any():
        raise InputError(
            f"{record.mask}: found {int(mask.sum())} lesion pixels, expected none, as the image is labelled normal."
        )
