# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""BraTS 2019: brain tumours in magnetic resonance volumes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torchvision.transforms.v2 import Transform

from anomalib_patchgan.data.base import Assembly, MedicalDataModule, check_positive, choose, group_fractions
from anomalib_patchgan.data.brats_layout import MODALITIES, SubjectFiles, find_subjects
from anomalib_patchgan.data.preparation import prepare_all
from anomalib_patchgan.data.protocols import Eligibility, PatchProtocol, SliceProtocol, SubjectStack
from anomalib_patchgan.data.volumes import Window, decode_intensities, prepare_intensities, prepare_lesions
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import read_volume_header

_SLICE_IMAGE_SIZE = 128


@dataclass(frozen=True)
class StackReader:
    """Reads samples from prepared stacks.

    Attributes:
        stacks: The stacks of each subject.
    """

    stacks: dict[str, SubjectStack]

    @property
    def fingerprint(self) -> str:
        """Changes whenever a source file changes."""
        folders = [
            prepared.folder.name
            for _, stack in sorted(self.stacks.items())
            for prepared in (*stack.intensities, stack.lesions)
        ]
        return hashlib.sha256(" ".join(folders).encode()).hexdigest()

    def read(self, sample: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a sample.

        Args:
            sample: Row with ``subject_id, slice_index, top, left, height, width``.

        Returns:
            Image in [0, 1], float32 ``[channels, height, width]``, and lesion mask, bool ``[height, width]``.
        """
        stack = self.stacks[sample["subject_id"]]
        window = Window(sample["top"], sample["left"], sample["height"], sample["width"])
        index = sample["slice_index"]
        channels = [decode_intensities(channel.read(index, window)) for channel in stack.intensities]
        return np.stack(channels), stack.lesions.read(index, window)


class _SliceSelection:
    """Applies the slice protocol to a collection of stacks."""

    def __init__(self, protocol: SliceProtocol) -> None:
        self.protocol = protocol

    def samples_of(self, stack: SubjectStack) -> Eligibility:
        return self.protocol.samples_of(stack)

    def select_test(self, samples: pd.DataFrame) -> Eligibility:
        return self.protocol.select_test(samples)


class _PatchSelection:
    """Applies the patch protocol to the slices of a collection of stacks."""

    def __init__(self, protocol: PatchProtocol, slice_spacing: float) -> None:
        self.protocol = protocol
        self.slice_spacing = slice_spacing

    def samples_of(self, stack: SubjectStack) -> Eligibility:
        window = stack.field_of_view
        tables, excluded = [], Counter[str]()
        for index in stack.sampled_slices(self.slice_spacing):
            if not stack.intensities[0].counts[index]:
                continue
            background = stack.intensities[0].read(index, window) == 0
            eligible = self.protocol.samples_of(stack.lesions.read(index, window), background, stack.subject, index)
            tables.append(eligible.samples)
            excluded += eligible.excluded
        samples = pd.concat(tables, ignore_index=True)
        if not samples.empty:
            samples["top"] += window.top
            samples["left"] += window.left
        capped = self.protocol.cap(samples, stack.subject)
        return Eligibility(capped.samples, excluded + capped.excluded, capped.spare)

    def select_test(self, samples: pd.DataFrame) -> Eligibility:
        return Eligibility(samples)


class BraTS2019(MedicalDataModule):
    """BraTS 2019 training data: normal are parts of the brain without tumour, abnormal are those with it.

    Intensities are scaled by volume: the upper quartile of the brain becomes 0.5, which a lesion hardly moves.
    Subjects, never slices, are dealt to the groups, with the same share of each grade.

    Args:
        root: Folder that holds ``HGG`` and ``LGG``, as ``MICCAI_BraTS_2019_Data_Training`` does.
        protocol: ``slice`` (a sample is an axial slice) or ``patch`` (a small square of one).
        modality: ``flair``, ``t1``, ``t1ce`` or ``t2``, or three of them, as a list or joined by commas, for the three
            channels. The first tells brain from background.
        image_size: Rows and columns of every image, or one number for a square. None for 128 in the protocol
            ``slice`` and for ``patch_size`` in the protocol ``patch``.
        train_batch_size: Images a step in training.
        eval_batch_size: Images a step in validation and test.
        num_workers: Processes that read samples.
        field_of_view: Side in mm of the square around the centre of the brain that is cut from every slice.
        slice_spacing: Distance in mm between the slices that are used.
        lesion_margin: ``slice``: distance in mm that a normal slice keeps from any slice with tumour.
        minimum_brain_area: ``slice``: area in mm2 of brain that a slice needs.
        minimum_lesion_area: ``slice``: area in mm2 of tumour that makes a slice abnormal; slices with less are left
            out.
        position_tolerance: ``slice``: largest difference in height, as a share of the brain's height, between the two
            slices of a matched test pair.
        area_tolerance: ``slice``: largest relative difference in brain area between them.
        patch_size: ``patch``: side of a patch in pixels of the volume.
        abnormal_lesion_fraction: ``patch``: smallest share of tumour pixels of an abnormal patch; patches with less,
            but some, are left out.
        maximum_background_fraction: ``patch``: largest share of pixels outside the brain.
        patches_per_subject: ``patch``: most patches of each label from a subject.
        train_fraction: Share of subjects to train on.
        reference_fraction: Share of subjects that a distribution of normal samples is fitted to after training.
        calibration_fraction: Share of subjects whose normal samples are the validation set. The rest is the test.
        split_seed: Seed of the split and of the draw of patches. No other seed changes them.
        cache_dir: Folder of prepared data; None for ``$XDG_CACHE_HOME/anomalib_patchgan`` or the same below
            ``~/.cache``.
        train_augmentations: torchvision transform of training images and masks.
        split_file: JSON file of the split: read if it is there, else written.
        exclude: Subjects to leave out.
        strict: Whether one damaged file is an error; else one subject in a hundred may be damaged, and is listed.

    Raises:
        InputError: If an argument cannot be used; in ``setup()`` also if the collection cannot.
    """

    def __init__(
        self,
        root: Path | str,
        protocol: str = "slice",
        modality: str | list[str] = "flair",
        image_size: int | tuple[int, int] | None = None,
        train_batch_size: int = 32,
        eval_batch_size: int = 32,
        num_workers: int = 0,
        field_of_view: float = 240.0,
        slice_spacing: float = 2.0,
        lesion_margin: float = 5.0,
        minimum_brain_area: float = 6000.0,
        minimum_lesion_area: float = 40.0,
        position_tolerance: float = 0.05,
        area_tolerance: float = 0.03,
        patch_size: int = 32,
        abnormal_lesion_fraction: float = 0.75,
        maximum_background_fraction: float = 10 / 1024,
        patches_per_subject: int = 64,
        train_fraction: float = 0.5,
        reference_fraction: float = 0.15,
        calibration_fraction: float = 0.15,
        split_seed: int = 0,
        cache_dir: Path | str | None = None,
        train_augmentations: Transform | None = None,
        split_file: Path | str | None = None,
        exclude: list[str] | None = None,
        strict: bool = False,
    ) -> None:
        check_positive(
            field_of_view=field_of_view,
            slice_spacing=slice_spacing,
            position_tolerance=position_tolerance,
            area_tolerance=area_tolerance,
            patch_size=patch_size,
            abnormal_lesion_fraction=abnormal_lesion_fraction,
            patches_per_subject=patches_per_subject,
        )
        selections: dict[str, _SliceSelection | _PatchSelection] = {
            "slice": _SliceSelection(
                SliceProtocol(
                    slice_spacing=slice_spacing,
                    lesion_margin=lesion_margin,
                    minimum_brain_area=minimum_brain_area,
                    minimum_lesion_area=minimum_lesion_area,
                    position_tolerance=position_tolerance,
                    area_tolerance=area_tolerance,
                )
            ),
            "patch": _PatchSelection(
                PatchProtocol(
                    patch_size=patch_size,
                    abnormal_lesion_fraction=abnormal_lesion_fraction,
                    maximum_background_fraction=maximum_background_fraction,
                    patches_per_subject=patches_per_subject,
                    split_seed=split_seed,
                ),
                slice_spacing,
            ),
        }
        default_image_sizes = {"slice": _SLICE_IMAGE_SIZE, "patch": patch_size}
        self._selection = selections[choose(protocol, selections, "protocol")]
        self.modalities = parse_modalities(modality)
        self.field_of_view = field_of_view
        self.slice_spacing = slice_spacing
        self._fractions = group_fractions(train_fraction, reference_fraction, calibration_fraction)
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
        found = {subject.subject: subject for subject in find_subjects(self.root, self.modalities)}
        files = {name: found[name] for name in self._without_excluded(found)}
        groups = self._split({name: subject.grade for name, subject in files.items()}, self._fractions)
        preparation = prepare_all(files, self._prepare, "Preparing volumes")
        preparation.check(self.strict)
        stacks = preparation.prepared
        groups = {group: [name for name in names if name in stacks] for group, names in groups.items()}
        group_of = {subject: group for group, subjects in groups.items() for subject in subjects}
        tables, spares, excluded = [], [], Counter[str]({"subject that cannot be used": len(preparation.findings)})
        for name, stack in stacks.items():
            eligible = self._selection.samples_of(stack)
            tables.append(eligible.samples.assign(group=group_of[name]))
            excluded += eligible.excluded
            if group_of[name] == "test":
                spares.append(eligible.spare)
        samples = pd.concat(tables, ignore_index=True)
        if not samples.empty:
            in_test = samples["group"] == "test"
            test = self._selection.select_test(samples[in_test])
            excluded += test.excluded
            spares.append(test.spare)
            samples = pd.concat([samples[~in_test], test.samples], ignore_index=True)
        return Assembly(
            groups,
            samples,
            excluded,
            StackReader(stacks),
            fingerprints=[
                stack.intensities[0].fingerprint(name, files[name].modalities[0]) for name, stack in stacks.items()
            ],
            findings=preparation.findings,
            spare=pd.concat(spares, ignore_index=True),
        )

    def _prepare(self, files: SubjectFiles) -> SubjectStack:
        expected = read_volume_header(files.modalities[0])
        for path in (*files.modalities[1:], files.segmentation):
            found = read_volume_header(path)
            if found.shape != expected.shape:
                raise InputError(
                    f"{path}: found {_axes(found.shape)}, expected {_axes(expected.shape)} as in "
                    f"{files.modalities[0].name}."
                )
        intensities = tuple(prepare_intensities(path, self.cache_dir) for path in files.modalities)
        lesions = prepare_lesions(files.segmentation, self.cache_dir)
        brain = intensities[0]
        height = max(1, round(self.field_of_view / brain.spacing[1]))
        width = max(1, round(self.field_of_view / brain.spacing[2]))
        row, column = brain.centre
        window = Window(row - height // 2, column - width // 2, height, width)
        return SubjectStack(files.subject, intensities, lesions, window)

    def _further_parameters(self) -> dict[str, Any]:
        return {
            "modality": list(self.modalities),
            "field_of_view": self.field_of_view,
            "slice_spacing": self.slice_spacing,
        }


def parse_modalities(modality: str | list[str]) -> tuple[str, ...]:
    """Turn the argument ``modality`` into one name or three.

    Args:
        modality: A name, names joined by commas, or a list of names.

    Raises:
        InputError: If a name is unknown, or if there are not one or three.
    """
    names = modality.split(",") if isinstance(modality, str) else modality
    chosen = tuple(choose(name.strip(), MODALITIES, "modality") for name in names)
    if len(chosen) not in {1, 3}:
        raise InputError(f"modality: found {len(chosen)} names ({', '.join(chosen)}), expected one or three.")
    return chosen


def _axes(shape: tuple[int, int, int]) -> str:
    return f"{shape[0]} slices of {shape[1]} x {shape[2]}"
