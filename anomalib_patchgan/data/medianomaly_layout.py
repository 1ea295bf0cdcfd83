# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The seven sets of MedIAnomaly as their archives unpack (Cai et al., https://arxiv.org/abs/2404.04518)."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from anomalib_patchgan.data.protocols import ABNORMAL, NORMAL
from anomalib_patchgan.data.whole_images import LabelledImage
from anomalib_patchgan.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class Part:
    """Training or test half of a set.

    Attributes:
        train: Normal images.
        test: Normal and abnormal images.
    """

    train: list[LabelledImage]
    test: list[LabelledImage]


class Layout(Protocol):
    """How a set is laid out."""

    @property
    def normal(self) -> str:
        """Which images count as normal, in words that follow "A whole image"."""

    def find(self, folder: Path) -> Part:
        """List the images of a set."""


@dataclass(frozen=True)
class ListedLayout:
    """``images``, and a ``data.json`` with their names: ``{"train": {"0": [...]}, "test": {"0": [...], "1": [...]}}``.

    Attributes:
        normal: Which images count as normal.
    """

    normal: str

    def find(self, folder: Path) -> Part:
        """List the images that ``data.json`` names.

        Args:
            folder: Folder of the set.

        Raises:
            InputError: If the file is missing or of another form.
        """
        path = folder / "data.json"
        try:
            listed = json.loads(path.read_text(encoding="utf-8"))
            train, normal, abnormal = listed["train"]["0"], listed["test"]["0"], listed["test"]["1"]
        except FileNotFoundError as error:
            raise InputError(f"{path}: found no such file, expected it beside the folder images.") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f'{path}: found another form ({type(error).__name__}: {error}), expected {{"train": {{"0": [...]}}, '
                '"test": {"0": [...], "1": [...]}}.'
            ) from error
        images = folder / "images"
        return Part(
            [_image(images / name, NORMAL) for name in train],
            [
                *(_image(images / name, NORMAL) for name in normal),
                *(_image(images / name, ABNORMAL) for name in abnormal),
            ],
        )


@dataclass(frozen=True)
class FolderLayout:
    """A folder for each half and label.

    Attributes:
        normal: Which images count as normal.
        train: Folder of normal training images.
        test_normal: Folder of normal test images.
        test_abnormal: Folder of abnormal test images.
        masks: Folder of the masks of these, or None.
        modality: What stands in the name of an image between its subject and its slice; `seg` stands there in the name
            of its mask. None for images of which the name says nothing about the subject.
    """

    normal: str
    train: str
    test_normal: str
    test_abnormal: str
    masks: str | None = None
    modality: str | None = None

    def find(self, folder: Path) -> Part:
        """List the images in the folders.

        Args:
            folder: Folder of the set.

        Raises:
            InputError: If a folder is missing or empty, or an image lacks its mask.
        """
        abnormal = [self._masked(folder, path) for path in _images_in(folder / self.test_abnormal)]
        normal = [self._plain(path) for path in _images_in(folder / self.test_normal)]
        return Part([self._plain(path) for path in _images_in(folder / self.train)], [*normal, *abnormal])

    def _plain(self, path: Path) -> LabelledImage:
        return _image(path, NORMAL, self._subject(path))

    def _masked(self, folder: Path, path: Path) -> LabelledImage:
        if self.masks is None or self.modality is None:
            return _image(path, ABNORMAL, self._subject(path))
        mask = folder / self.masks / path.name.replace(self.modality, "seg")
        if not mask.is_file():
            raise InputError(f"{path}: found an image without mask, expected {mask}.")
        return _image(path, ABNORMAL, self._subject(path), mask)

    def _subject(self, path: Path) -> str:
        if self.modality is None:
            return path.stem
        subject, found, _ = path.stem.partition(f"_{self.modality}")
        return subject if found else path.stem


@dataclass(frozen=True)
class ChallengeLayout:
    """The folders of ISIC 2018, task 3, in which a table says which images show a nevus (``NV``).

    Attributes:
        normal: Which images count as normal.
    """

    normal: str

    def find(self, folder: Path) -> Part:
        """List the nevi to train on, and all images of the test.

        Args:
            folder: Folder of the set.

        Raises:
            InputError: If a table is missing or of another form.
        """
        train = [record for record in self._half(folder, "Training") if record.label == NORMAL]
        return Part(train, list(self._half(folder, "Test")))

    @staticmethod
    def _half(folder: Path, half: str) -> Iterator[LabelledImage]:
        name = f"ISIC2018_Task3_{half}"
        table = folder / f"{name}_GroundTruth" / f"{name}_GroundTruth.csv"
        if not table.is_file():
            raise InputError(f"{table}: found no such file, expected the labels of the challenge.")
        with table.open(encoding="utf-8-sig", newline="") as stream:
            for row in csv.DictReader(stream):
                if "image" not in row or "NV" not in row:
                    raise InputError(f"{table}: found the columns {', '.join(map(str, row))}, expected image and NV.")
                label = NORMAL if float(row["NV"]) == 1 else ABNORMAL
                yield _image(folder / f"{name}_Input" / f"{row['image']}.jpg", label)


LAYOUTS: Mapping[str, Layout] = {
    "RSNA": ListedLayout("of a chest, listed under the label 0"),
    "VinCXR": ListedLayout("of a chest, listed under the label 0"),
    "BrainTumor": ListedLayout("of a head, listed under the label 0"),
    "LAG": ListedLayout("of a fundus, listed under the label 0"),
    "ISIC2018_Task3": ChallengeLayout("of a melanocytic nevus"),
    "Camelyon16": FolderLayout("of tissue, in the folder good", "train/good", "test/good", "test/Ungood"),
    "BraTS2021": FolderLayout(
        "that is a slice without tumour of a patient who has one elsewhere",
        "train",
        "test/normal",
        "test/tumor",
        "test/annotation",
        "flair",
    ),
}


def find_set(root: Path, dataset: str) -> Path:
    """Folder of a set.

    Args:
        root: The folder of all sets, ``MedIAnomaly-Data``, or that of the set itself.
        dataset: Name of the set.

    Raises:
        InputError: If there is none.
    """
    for folder in (root / dataset, root):
        if folder.name == dataset and folder.is_dir():
            return folder
    raise InputError(f"{root}: found no folder {dataset}, expected the folder MedIAnomaly-Data that holds it.")


def _images_in(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in _ENDINGS)
    if not found:
        raise InputError(f"{folder}: found no image, expected the folder of the set as its archive unpacks.")
    return found


def _image(path: Path, label: int, subject: str | None = None, mask: Path | None = None) -> LabelledImage:
    return LabelledImage(path.stem, subject or path.stem, label, path, mask)
