# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""BMAD: six sets of medical images, listed by anomalib and split into our four groups."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
from anomalib.data.datasets.image.bmad import CATEGORIES, make_bmad_dataset
from anomalib.data.errors import MisMatchError
from torchvision.transforms.v2 import Transform

from anomalib_patchgan.data.base import Assembly, MedicalDataModule, choose
from anomalib_patchgan.data.protocols import ABNORMAL, DiagnosisProtocol
from anomalib_patchgan.data.splits import split_subjects
from anomalib_patchgan.data.whole_images import ImagePreparation, LabelledImage, assemble_images
from anomalib_patchgan.errors import InputError

_SPLITS = ("train", "valid", "test")
_IMAGE_FOLDERS = ("", "img")
# Slices of the category Brain are named <subject>_<slice>.
_SUBJECT_AND_SLICE = re.compile(r"(?P<subject>\d+)_\d+")
_CATEGORIES_OF_SLICES = ("Brain",)


class BMAD(MedicalDataModule):
    """A category of BMAD (Bao et al., https://arxiv.org/abs/2306.11876), in the layout of :class:`anomalib.data.BMAD`.

    anomalib lists the files; two defects of its 2.7 are worked around. It takes a category without masks for one with
    masks, and then fails to read them: here such a category has no masks, and pixels are not evaluated. And where
    images lie in ``good`` and ``Ungood`` themselves, not in ``img`` below, it takes every image outside ``train`` for
    an abnormal one in a folder that is not there.

    The authors' test is the test and their normal validation images are `calibration`; their abnormal validation images
    are left out, since nothing here may see them. Their training images are dealt to `train` and `reference`.

    Args:
        root: Folder that holds the categories.
        category: ``Brain``, ``Liver``, ``Retina_RESC`` (with masks), ``Chest``, ``Histopathology`` or
            ``Retina_OCT2017`` (without).
        image_size: Rows and columns of every image; one number for a square.
        train_batch_size: Images a step in training.
        eval_batch_size: Images a step in validation and test.
        num_workers: Processes that read samples.
        reference_fraction: Share of the authors' training images that a distribution of normal samples is fitted to
            after training.
        split_seed: Seed of the split. No other seed changes it.
        cache_dir: Folder of prepared data; None for ``$XDG_CACHE_HOME/anomalib_patchgan`` or the same below
            ``~/.cache``.
        train_augmentations: torchvision transform of training images and masks.
        exclude: Subjects to leave out: images by split and name (``test_good_17``), in ``Brain`` patients.
        strict: Whether one damaged file is an error; else one image in a hundred may be damaged, and is listed.

    Raises:
        InputError: If an argument cannot be used; in ``setup()`` also if the files cannot.
    """

    def __init__(
        self,
        root: Path | str,
        category: str = "Brain",
        image_size: int | tuple[int, int] = 240,
        train_batch_size: int = 32,
        eval_batch_size: int = 32,
        num_workers: int = 0,
        reference_fraction: float = 0.25,
        split_seed: int = 0,
        cache_dir: Path | str | None = None,
        train_augmentations: Transform | None = None,
        exclude: list[str] | None = None,
        strict: bool = False,
    ) -> None:
        choose(category, CATEGORIES, "category")
        if not 0 < reference_fraction < 1:
            raise InputError(f"reference_fraction: found {reference_fraction:g}, expected a share between 0 and 1.")
        self._fractions = {"train": 1 - reference_fraction, "reference": reference_fraction}
        super().__init__(
            root=root,
            protocol="diagnosis",
            eligibility=DiagnosisProtocol(normal="in a folder named good"),
            image_size=image_size,
            train_batch_size=train_batch_size,
            eval_batch_size=eval_batch_size,
            num_workers=num_workers,
            split_seed=split_seed,
            cache_dir=cache_dir,
            train_augmentations=train_augmentations,
            exclude=exclude or (),
            strict=strict,
        )
        self.category = category

    def _assemble(self) -> Assembly:
        table = list_files(self.root / self.category)
        names_subjects = self.category in _CATEGORIES_OF_SLICES
        records: dict[str, LabelledImage] = {}
        split_of: dict[str, set[str]] = {}
        left_out = 0
        for row in table.to_dict("records"):
            if row["split"] == "valid" and row["label_index"] == ABNORMAL:
                left_out += 1
                continue
            path = Path(row["image_path"])
            name = f"{row['split']}_{row['label']}_{path.stem}"
            found = _SUBJECT_AND_SLICE.fullmatch(path.stem) if names_subjects else None
            mask = Path(row["mask_path"]) if row["mask_path"] else None
            subject = found["subject"] if found else name
            records[name] = LabelledImage(name, subject, int(row["label_index"]), path, mask)
            split_of.setdefault(row["split"], set()).add(subject)
        kept = set(self._without_excluded(record.subject for record in records.values()))
        try:
            dealt = split_subjects(
                dict.fromkeys(split_of.get("train", set()) & kept, "normal"), self._fractions, self.split_seed
            )
        except InputError as error:
            raise InputError(f"{self.root / self.category / 'train'}: {error}") from error
        groups = {
            **dealt,
            "calibration": sorted(split_of.get("valid", set()) & kept),
            "test": sorted(split_of.get("test", set()) & kept),
        }
        used = {name: record for name, record in records.items() if record.subject in kept}
        assembly = assemble_images(used, groups, ImagePreparation(self.image_size, self.cache_dir), self.strict)
        assembly.excluded["abnormal image of the authors' validation"] += left_out
        return assembly

    def _further_parameters(self) -> dict[str, Any]:
        return {"category": self.category}


def list_files(folder: Path) -> pd.DataFrame:
    """List the images of a category by anomalib's own reader, corrected where that misreads it.

    Args:
        folder: Folder of the category.

    Returns:
        A row an image, with ``split`` (train, valid or test), ``label`` (the name of its folder), ``label_index``,
        ``image_path`` and ``mask_path`` ("" where there is none).

    Raises:
        InputError: If the folder is missing, empty or laid out in another way.
    """
    expected = "expected train, valid and test with good and Ungood, images in img below or in these, masks in label"
    if not folder.is_dir():
        raise InputError(f"{folder}: found no such folder, {expected}.")
    try:
        table = make_bmad_dataset(folder)
    except (MisMatchError, IndexError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{folder}: found files that anomalib cannot list ({type(error).__name__}: {reason}), {expected}."
        ) from error
    if table.empty:
        raise InputError(f"{folder}: found no PNG file, {expected}.")
    # Without a folder below good and Ungood, all names are one column too far to the right.
    shifted = ~table["split"].isin(_SPLITS)
    split, label = table["split"].mask(shifted, table["label"]), table["label"].mask(shifted, table["temp"])
    places = [
        str(folder / part / kind / Path(path).name)
        for part, kind, path in zip(split, label, table["image_path"], strict=True)
    ]
    table = table.assign(
        split=split,
        label=label,
        temp=table["temp"].mask(shifted, ""),
        label_index=(label != "good").astype(int),
        image_path=table["image_path"].mask(shifted, pd.Series(places, index=table.index)),
    )
    strange = ~table["split"].isin(_SPLITS) | ~table["temp"].isin(_IMAGE_FOLDERS)
    if strange.any():
        raise InputError(f"{table.loc[strange, 'image_path'].iloc[0]}: found an image there, {expected}.")
    table["mask_path"] = table["mask_path"].fillna("")
    return table.sort_values("image_path", ignore_index=True)
