# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""MedIAnomaly: seven sets of medical images, as its authors prepared them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torchvision.transforms.v2 import Transform

from anomalib_patchgan.data.base import Assembly, MedicalDataModule, choose, training_fractions
from anomalib_patchgan.data.medianomaly_layout import LAYOUTS, find_set
from anomalib_patchgan.data.protocols import DiagnosisProtocol
from anomalib_patchgan.data.whole_images import ImagePreparation, LabelledImage, assemble_images
from anomalib_patchgan.errors import InputError


class MedIAnomaly(MedicalDataModule):
    """A set of MedIAnomaly (Cai et al., https://arxiv.org/abs/2404.04518), read from its authors' archives.

    Their test is the test. They have no validation part, so their normal training images are dealt to `train`,
    `reference` and `calibration`: numbers from here are of models that saw fewer training images than theirs did.

    Only the names of ``BraTS2021`` say whose an image is. In the other sets each image counts as its own subject, so
    whether a patient is in two groups cannot be checked there.

    Args:
        root: Folder ``MedIAnomaly-Data``, or the folder of the set in it.
        dataset: ``RSNA``, ``VinCXR``, ``BrainTumor``, ``LAG``, ``ISIC2018_Task3``, ``Camelyon16`` or ``BraTS2021``,
            the only one with masks.
        image_size: Rows and columns of every image; one number for a square.
        train_batch_size: Images a step in training.
        eval_batch_size: Images a step in validation and test.
        num_workers: Processes that read samples.
        train_fraction: Share of the authors' training images to train on.
        reference_fraction: Share of them that a distribution of normal samples is fitted to after training. The rest is
            the validation set.
        split_seed: Seed of the split. No other seed changes it.
        cache_dir: Folder of prepared data; None for ``$XDG_CACHE_HOME/anomalib_patchgan`` or the same below
            ``~/.cache``.
        train_augmentations: torchvision transform of training images and masks.
        split_file: JSON file of the split: read if it is there, else written.
        exclude: Subjects to leave out.
        strict: Whether one damaged file is an error; else one image in a hundred may be damaged, and is listed.

    Raises:
        InputError: If an argument cannot be used; in ``setup()`` also if the set cannot.
    """

    def __init__(
        self,
        root: Path | str,
        dataset: str,
        image_size: int | tuple[int, int] = 64,
        train_batch_size: int = 32,
        eval_batch_size: int = 32,
        num_workers: int = 0,
        train_fraction: float = 0.6,
        reference_fraction: float = 0.2,
        split_seed: int = 0,
        cache_dir: Path | str | None = None,
        train_augmentations: Transform | None = None,
        split_file: Path | str | None = None,
        exclude: list[str] | None = None,
        strict: bool = False,
    ) -> None:
        self.dataset = choose(dataset, LAYOUTS, "dataset")
        self._layout = LAYOUTS[dataset]
        self._fractions = training_fractions(train_fraction, reference_fraction)
        super().__init__(
            root=root,
            protocol="diagnosis",
            eligibility=DiagnosisProtocol(normal=self._layout.normal),
            image_size=image_size,
            train_batch_size=train_batch_size,
            eval_batch_size=eval_batch_size,
            num_workers=num_workers,
            split_seed=split_seed,
            cache_dir=cache_dir,
            train_augmentations=train_augmentations,
            split_file=split_file,
            exclude=exclude or (),
            strict=strict,
        )

    def _assemble(self) -> Assembly:
        folder = find_set(self.root, self.dataset)
        part = self._layout.find(folder)
        records: dict[str, LabelledImage] = {}
        for record in (*part.train, *part.test):
            if record.name in records:
                raise InputError(f"{folder}: found the image {record.name} twice, expected it in one part only.")
            records[record.name] = record
        subjects = set(self._without_excluded(record.subject for record in records.values()))
        test = {record.subject for record in part.test} & subjects
        train = {record.subject for record in part.train} & subjects
        if both := sorted(train & test):
            raise InputError(f"{folder}: found the subject {both[0]} in both parts, expected it in one of them.")
        groups = self._split(dict.fromkeys(train, "normal"), self._fractions, test)
        kept = {name: record for name, record in records.items() if record.subject in subjects}
        return assemble_images(kept, groups, ImagePreparation(self.image_size, self.cache_dir), self.strict)

    def _further_parameters(self) -> dict[str, Any]:
        return {"dataset": self.dataset}
