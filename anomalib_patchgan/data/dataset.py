# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""An anomalib dataset whose samples are parts of prepared volumes or photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import torch
from anomalib.data import AnomalibDataset, ImageItem
from torchvision.tv_tensors import Image, Mask

from anomalib_patchgan.io import resize_image, resize_mask, write_png

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from pandas import DataFrame
    from torchvision.transforms.v2 import Transform


class SampleReader(Protocol):
    """Reads the image and the mask of a sample from prepared data."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever any prepared source changes."""

    def read(self, sample: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """Read a sample.

        Args:
            sample: Row of the sample table.

        Returns:
            Image in [0, 1], float32 ``[1 or 3, rows, columns]``, and lesion mask, bool ``[rows, columns]``, or None
            in a collection without masks.
        """


class MedicalDataset(AnomalibDataset):
    """Samples of one group of subjects.

    Unlike its base class it keeps the order of the sample table, and a sample needs no image file of its own.

    Args:
        samples: Sample table, see :class:`~anomalib_patchgan.data.base.MedicalDataModule`.
        reader: Reads what the table's rows point at.
        image_size: Rows and columns of every image.
        write_previews: Whether ``image_path`` is written, as an 8-bit PNG, when a sample is first read. anomalib's
            visualiser opens that file and names its own after it.
        augmentations: Applied to image and mask after resizing.
    """

    def __init__(
        self,
        samples: DataFrame,
        reader: SampleReader,
        image_size: tuple[int, int],
        write_previews: bool,
        augmentations: Transform | None = None,
    ) -> None:
        super().__init__(augmentations=augmentations)
        self.reader = reader
        self.image_size = image_size
        self.write_previews = write_previews
        self.samples = samples

    @property
    def samples(self) -> DataFrame:
        """The sample table, in the order in which a loader without shuffling gives the samples."""
        return super().samples

    @samples.setter
    def samples(self, samples: DataFrame) -> None:
        self._samples = samples.reset_index(drop=True)
        self._rows = cast("list[dict[str, Any]]", self._samples.to_dict("records"))

    def __getitem__(self, index: int) -> ImageItem:
        """Read a sample.

        Args:
            index: Row of the sample table.

        Returns:
            Image in [0, 1], float32 ``[3, height, width]``, mask, bool ``[height, width]``, unless the collection has
            none, and label.
        """
        sample = self._rows[index]
        channels, lesion = self.reader.read(sample)
        resized = np.stack([resize_image(channel, self.image_size) for channel in channels])
        preview = Path(sample["image_path"])
        if self.write_previews and not preview.is_file():
            write_preview(preview, resized)
        image = torch.from_numpy(resized).expand(3, -1, -1).contiguous()
        mask = None
        if lesion is not None:
            mask = Mask(torch.from_numpy(resize_mask(lesion, self.image_size).astype(np.uint8)))
        if self.augmentations:
            image, mask = self.augmentations(Image(image), mask)
        return ImageItem(
            image=image,
            gt_mask=mask,
            gt_label=torch.tensor(sample["label_index"]),
            image_path=sample["image_path"],
            mask_path=sample["mask_path"],
        )


def write_preview(path: Path, channels: NDArray[np.float32]) -> None:
    """Write an 8-bit picture of an image.

    Args:
        path: PNG file; missing folders are made.
        channels: Image in [0, 1], ``[1 or 3, rows, columns]``.
    """
    picture = np.rint(np.clip(channels, 0, 1) * 255).astype(np.uint8)
    write_png(path, np.repeat(picture, 3 // len(picture), axis=0).transpose(1, 2, 0))
