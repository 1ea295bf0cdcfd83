# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A data set whose images are those of another one under an artefact."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.tv_tensors import Image, Mask

from anomalib_patchgan.data.artefacts.table import ARTEFACTS
from anomalib_patchgan.data.artefacts.transforms import apply_artefact, is_grey

if TYPE_CHECKING:
    from collections.abc import Callable

    from anomalib.data import ImageItem
    from pandas import DataFrame

    from anomalib_patchgan.data.dataset import MedicalDataset


class ArtefactDataset(Dataset):
    """The samples of a data set, in its order and with its labels, under an artefact.

    An image is a scan if its sample has a place in a volume, or if it is grey; else it is a photograph.

    Args:
        dataset: The data set.
        artefact: Name of the artefact.
        severity: 1 to 5.
    """

    def __init__(self, dataset: MedicalDataset, artefact: str, severity: int) -> None:
        self.dataset = dataset
        self.artefact = artefact
        self.severity = severity
        # anomalib adds a model's resizing to the augmentations of a data set. What a scanner or a camera does comes
        # before, or models that read an image at other sizes would meet other artefacts.
        self._before_augmentations = copy(dataset)
        self._before_augmentations.augmentations = None
        self._sample_ids = dataset.samples["sample_id"].tolist()
        self._slices = dataset.samples["slice_index"].tolist()

    @property
    def samples(self) -> DataFrame:
        """The sample table of the data set."""
        return self.dataset.samples

    @property
    def collate_fn(self) -> Callable[..., Any]:
        """What makes a batch of items."""
        return self.dataset.collate_fn

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> ImageItem:
        """Read a sample and put it under the artefact.

        Args:
            index: Row of the sample table.

        Returns:
            Image in [0, 1], float32 ``[3, height, width]``, mask, bool ``[height, width]``, unless the collection has
            none, and label, after the data set's augmentations. The label is that of the sample, even if a turn should
            have moved a lesion at the border out of the image.
        """
        item = self._before_augmentations[index]
        image, lesion = self._under_artefact(index, item)
        mask = None if item.gt_mask is None else Mask(lesion.to(torch.uint8))
        if self.dataset.augmentations:
            image, mask = self.dataset.augmentations(Image(image), mask)
        return item.update(image=image, gt_mask=mask)

    def lesion(self, index: int) -> Tensor:
        """Read the lesion mask of a sample, of a collection with masks, as the artefact leaves it.

        Args:
            index: Row of the sample table.

        Returns:
            bool ``[height, width]``, at the data set's image size, before any augmentation.
        """
        item = self._before_augmentations[index]
        if ARTEFACTS[self.artefact].moves_lesion:
            return self._under_artefact(index, item)[1]
        return item.gt_mask.as_subclass(Tensor).bool()

    def _under_artefact(self, index: int, item: ImageItem) -> tuple[Tensor, Tensor]:
        image = torch.as_tensor(item.image).as_subclass(Tensor)
        if item.gt_mask is None:
            lesion = torch.zeros(image.shape[1:], dtype=torch.bool)
        else:
            lesion = item.gt_mask.as_subclass(Tensor).bool()
        scan = self._slices[index] >= 0 or is_grey(image)
        return apply_artefact(image, lesion, self.artefact, self.severity, self._sample_ids[index], scan)
