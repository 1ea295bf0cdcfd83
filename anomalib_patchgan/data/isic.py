# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""ISIC 2016, parts 1 and 3: skin lesions in dermoscopic photographs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torchvision.transforms.v2 import Transform

from anomalib_patchgan.data.base import Assembly, MedicalDataModule, check_positive, choose, training_fractions
from anomalib_patchgan.data.cache import entries_sha256
from anomalib_patchgan.data.isic_layout import PhotographFiles, find_diagnosed, find_segmented
from anomalib_patchgan.data.photographs import PreparedPhotograph, prepare_photograph
from anomalib_patchgan.data.preparation import prepare_all
from anomalib_patchgan.data.protocols import (
    ABNORMAL,
    NORMAL,
    DiagnosisProtocol,
    Eligibility,
    PatchProtocol,
    join_tables,
)
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import balance_colours, check_photograph_size, read_photograph_size, skin_balance

_WHOLE_IMAGE_SIZE = 128


@dataclass(frozen=True)
class PhotographReader:
    """Reads samples from prepared photographs.

    Attributes:
        photographs: The photograph of each subject.
        balances: By subject, the factors [3] of its colours; empty where colours stay as they are.
    """

    photographs: dict[str, PreparedPhotograph]
    balances: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @classmethod
    def of(cls, photographs: dict[str, PreparedPhotograph], colour_constancy: bool) -> PhotographReader:
        """A reader of photographs, with or without colour constancy."""
        balanced = photographs if colour_constancy else {}
        return cls(photographs, {name: skin_balance(photograph.colours) for name, photograph in balanced.items()})

    @property
    def fingerprint(self) -> str:
        """Changes whenever a source file changes."""
        return entries_sha256(
            folder
            for _, photograph in sorted(self.photographs.items())
            for folder in (photograph.photograph_folder, photograph.mask_folder)
        )

    def read(self, sample: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """Read a sample.

        Args:
            sample: Row with ``subject_id, top, left, height, width``.

        Returns:
            Image in [0, 1], float32 ``[3, height, width]``, and lesion mask, bool ``[height, width]``, or None where
            there is none.
        """
        photograph = self.photographs[sample["subject_id"]]
        rows = slice(sample["top"], sample["top"] + sample["height"])
        columns = slice(sample["left"], sample["left"] + sample["width"])
        colours = np.ascontiguousarray(photograph.colours[rows, columns].transpose(2, 0, 1))
        lesion = photograph.lesion
        mask = None if lesion is None else np.array(lesion[rows, columns])
        image = colours.astype(np.float32) / np.float32(255)
        balance = self.balances.get(sample["subject_id"])
        return image if balance is None else balance_colours(image, balance), mask


class Selection(Protocol):
    """Applies a protocol to the photographs of a part of the challenge."""

    has_masks: ClassVar[bool]

    @property
    def protocol(self) -> PatchProtocol | DiagnosisProtocol:
        """The protocol."""

    def find(self, root: Path) -> dict[str, PhotographFiles]:
        """List the images of the part by name."""

    def samples_of(self, files: PhotographFiles, photograph: PreparedPhotograph) -> Eligibility:
        """Find the eligible samples of an image."""


@dataclass(frozen=True)
class PatchSelection:
    """Takes patches of the photographs of part 1.

    Attributes:
        protocol: The protocol.
    """

    protocol: PatchProtocol
    has_masks: ClassVar[bool] = True

    def find(self, root: Path) -> dict[str, PhotographFiles]:
        """List the images of part 1 by name."""
        return find_segmented(root)

    def samples_of(self, files: PhotographFiles, photograph: PreparedPhotograph) -> Eligibility:
        """Find the eligible patches of an image and draw among them."""
        lesion = np.array(photograph.lesion)
        everything_shows = np.zeros_like(lesion)
        eligible = self.protocol.samples_of(lesion, everything_shows, files.name, -1)
        capped = self.protocol.cap(eligible.samples, files.name)
        return Eligibility(capped.samples, eligible.excluded + capped.excluded, capped.spare)


@dataclass(frozen=True)
class DiagnosisSelection:
    """Takes the photographs of part 3 as they are.

    Attributes:
        protocol: The protocol.
    """

    protocol: DiagnosisProtocol
    has_masks: ClassVar[bool] = False

    def find(self, root: Path) -> dict[str, PhotographFiles]:
        """List the images of part 3 by name."""
        return find_diagnosed(root)

    def samples_of(self, files: PhotographFiles, photograph: PreparedPhotograph) -> Eligibility:
        """Make a sample of an image."""
        rows, columns = photograph.colours.shape[:2]
        sample = {
            "subject_id": files.name,
            "sample_id": files.name,
            "slice_index": -1,
            "label_index": ABNORMAL if files.malignant else NORMAL,
            "lesion_fraction": float("nan"),
            "top": 0,
            "left": 0,
            "height": rows,
            "width": columns,
        }
        return Eligibility(pd.DataFrame([sample]))


class ISIC2016(MedicalDataModule):
    """ISIC 2016, part 1 (patches of healthy skin against patches within a lesion) or part 3 (benign against malignant).

    The organisers' test images are the test; their training images are dealt to the other three groups, image by image.

    Args:
        root: Folder that holds ``ISBI2016_ISIC_Part1_Training_Data``, ``..._Training_GroundTruth``, ``..._Test_Data``
            and ``..._Test_GroundTruth``; for ``diagnosis`` those of ``Part3``, where the ground truth is a ``.csv``.
        protocol: ``patch`` (part 1: a sample is a square of a photograph) or ``diagnosis`` (part 3: a sample is a
            photograph, normal if the lesion it shows is benign; there are no masks, so no pixel is evaluated).
        image_size: Rows and columns of every image, or one number for a square. None for ``patch_size`` in the protocol
            ``patch`` and for 128 in the protocol ``diagnosis``, where the aspect of a photograph is not kept.
        train_batch_size: Images a step in training.
        eval_batch_size: Images a step in validation and test.
        num_workers: Processes that read samples.
        working_size: Pixels of the shorter side that a photograph is brought to before anything else.
        colour_constancy: Whether every photograph's colours are scaled so that its own skin is grey, see
            :func:`~anomalib_patchgan.io.skin_balance`. A patch by itself does not say whether it is a
            lesion or a darker skin; this brings in the skin around it.
        patch_size: ``patch``: side of a patch in pixels of the photograph at its working size.
        abnormal_lesion_fraction: ``patch``: smallest share of lesion pixels of an abnormal patch; patches with less,
            but some, are left out.
        patches_per_image: ``patch``: most patches of each label from a photograph.
        train_fraction: Share of the organisers' training images to train on.
        reference_fraction: Share of them that a distribution of normal samples is fitted to after training. Normal
            samples of the rest are the validation set.
        split_seed: Seed of the split and of the draw of patches. No other seed changes them.
        cache_dir: Folder of prepared data; None for ``$XDG_CACHE_HOME/anomalib_patchgan`` or the same below
            ``~/.cache``.
        train_augmentations: torchvision transform of training images and masks.
        split_file: JSON file of the split: read if it is there, else written.
        exclude: Images to leave out, by name without ending.
        strict: Whether one damaged file is an error; else one image in a hundred may be damaged, and is listed.

    Raises:
        InputError: If an argument cannot be used; in ``setup()`` also if the collection cannot.
    """

    def __init__(
        self,
        root: Path | str,
        protocol: str = "patch",
        image_size: int | tuple[int, int] | None = None,
        train_batch_size: int = 32,
        eval_batch_size: int = 32,
        num_workers: int = 0,
        working_size: int = 256,
        colour_constancy: bool = False,
        patch_size: int = 32,
        abnormal_lesion_fraction: float = 0.75,
        patches_per_image: int = 16,
        train_fraction: float = 0.6,
        reference_fraction: float = 0.2,
        split_seed: int = 0,
        cache_dir: Path | str | None = None,
        train_augmentations: Transform | None = None,
        split_file: Path | str | None = None,
        exclude: list[str] | None = None,
        strict: bool = False,
    ) -> None:
        check_positive(
            working_size=working_size,
            patch_size=patch_size,
            abnormal_lesion_fraction=abnormal_lesion_fraction,
            patches_per_image=patches_per_image,
        )
        selections: dict[str, Selection] = {
            "patch": PatchSelection(
                PatchProtocol(
                    patch_size=patch_size,
                    abnormal_lesion_fraction=abnormal_lesion_fraction,
                    maximum_background_fraction=0.0,
                    patches_per_subject=patches_per_image,
                    split_seed=split_seed,
                )
            ),
            "diagnosis": DiagnosisSelection(DiagnosisProtocol(normal="of a lesion that is benign")),
        }
        default_image_sizes = {"patch": patch_size, "diagnosis": _WHOLE_IMAGE_SIZE}
        self._selection = selections[choose(protocol, selections, "protocol")]
        self.working_size = working_size
        self.colour_constancy = colour_constancy
        self._fractions = training_fractions(train_fraction, reference_fraction)
        super().__init__(
            root=root,
            protocol=protocol,
            eligibility=self._selection.protocol,
            image_size=image_size or default_image_sizes[protocol],
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
        found = self._selection.find(self.root)
        files = {name: found[name] for name in self._without_excluded(found)}
        groups = self._split(
            {name: _stratum(file) for name, file in files.items() if file.half == "Training"},
            self._fractions,
            [name for name, file in files.items() if file.half == "Test"],
        )
        preparation = prepare_all(files, self._prepare, "Preparing photographs")
        preparation.check(self.strict)
        photographs = preparation.prepared
        groups = {group: [name for name in names if name in photographs] for group, names in groups.items()}
        tables, spares, excluded = [], [], Counter[str]({"image that cannot be used": len(preparation.findings)})
        for group, subjects in groups.items():
            for subject in subjects:
                eligible = self._selection.samples_of(files[subject], photographs[subject])
                tables.append(eligible.samples.assign(group=group))
                excluded += eligible.excluded
                if group == "test":
                    spares.append(eligible.spare)
        return Assembly(
            groups,
            join_tables(tables),
            excluded,
            PhotographReader.of(photographs, self.colour_constancy),
            fingerprints=[
                photograph.fingerprint(name, files[name].photograph) for name, photograph in photographs.items()
            ],
            findings=preparation.findings,
            spare=join_tables(spares),
            has_masks=self._selection.has_masks,
        )

    def _prepare(self, files: PhotographFiles) -> PreparedPhotograph:
        if files.mask is None and files.malignant is None:
            raise InputError(f"{files.photograph}: found an image without label, expected it in the ground truth.")
        if files.mask is not None and not files.mask.is_file():
            raise InputError(f"{files.photograph}: found an image without mask, expected {files.mask}.")
        check_photograph_size(files.photograph, read_photograph_size(files.photograph))
        prepared = prepare_photograph(files.photograph, files.mask, self.working_size, self.cache_dir)
        if prepared.lesion is not None and not prepared.lesion.any():
            # Every patch of it would count as normal, those of the lesion too.
            raise InputError(f"{files.mask}: found an empty mask, expected a lesion, of pixels above half of 255.")
        return prepared

    def _twin_reader(self, folder: Path, subjects: list[str]) -> PhotographReader:
        twins = prepare_all(
            {name: folder / f"{name}.jpg" for name in subjects},
            lambda path: prepare_photograph(path, None, self.working_size, self.cache_dir),
            "Preparing healthy twins",
        )
        twins.check(strict=True)
        return PhotographReader.of(twins.prepared, self.colour_constancy)

    def _further_parameters(self) -> dict[str, Any]:
        return {"working_size": self.working_size, "colour_constancy": self.colour_constancy}


def _stratum(files: PhotographFiles) -> str:
    return {None: "unlabelled", False: "benign", True: "malignant"}[files.malignant]
