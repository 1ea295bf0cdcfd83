# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""BraTS 2018 to 2021: brain tumours in magnetic resonance volumes."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from torchvision.transforms.v2 import Transform

from anomalib_patchgan.data.base import Assembly, MedicalDataModule, check_positive, choose, group_fractions
from anomalib_patchgan.data.brats_layout import (
    HEALTHY,
    LAYOUTS,
    LESION_LABELS,
    MODALITIES,
    Layout,
    SubjectFolder,
    find_healthy,
    find_subjects,
)
from anomalib_patchgan.data.brats_selection import (
    CohortReader,
    PatchSelection,
    Selection,
    SliceSelection,
    StackReader,
)
from anomalib_patchgan.data.preparation import prepare_all
from anomalib_patchgan.data.protocols import PatchProtocol, SliceProtocol, SubjectProtocol, SubjectStack, join_tables
from anomalib_patchgan.data.volumes import prepare_intensities, prepare_lesions
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import check_background, check_same_grid, read_volume_header

_SLICE_IMAGE_SIZE = 128


class BraTSDataModule(MedicalDataModule):
    """BraTS training data of any year: normal are parts of the brain without tumour, abnormal are those with it.

    Intensities are scaled by volume: the upper quartile of the brain becomes 0.5, which a lesion hardly moves.
    Subjects, never slices, are dealt to the groups, with the same share of each grade where there are grades. Use the
    subclass of the year: :class:`BraTS2018`, :class:`BraTS2019`, :class:`BraTS2020` or :class:`BraTS2021`.

    Args:
        root: Folder of the collection as its archive unpacks to, see the subclass.
        protocol: ``slice`` (a sample is an axial slice, normal ones are of patients too), ``patch`` (a small square of
            one) or ``subject`` (a sample is an axial slice, normal ones are of the healthy cohort in ``normal_root``).
        modality: ``flair``, ``t1``, ``t1ce`` or ``t2``, or three of them, as a list or joined by commas, for the three
            channels. The first tells brain from background.
        image_size: Rows and columns of every image, or one number for a square. None for 128 in the protocols
            ``slice`` and ``subject``, and for ``patch_size`` in the protocol ``patch``.
        train_batch_size: Images a step in training.
        eval_batch_size: Images a step in validation and test.
        num_workers: Processes that read samples.
        field_of_view: Side in mm of the square around the centre of the brain that is cut from every slice.
        slice_spacing: Distance in mm between the slices that are used.
        lesion_margin: ``slice``: distance in mm that a normal slice keeps from any slice with tumour.
        minimum_brain_area: ``slice``, ``subject``: area in mm2 of brain that a slice needs.
        minimum_lesion_area: ``slice``, ``subject``: area in mm2 of tumour that makes a slice abnormal; slices with less
            are left out.
        position_tolerance: ``slice``, ``subject``: largest difference in height, as a share of the brain's height,
            between the two slices of a matched test pair.
        area_tolerance: ``slice``, ``subject``: largest relative difference in brain area between them.
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
        normal_root: ``subject``: folder of a healthy cohort, one folder a subject with files named as in BraTS. Its
            subjects are dealt to all groups and patients are the test, but a patient of whom the cohort holds a healthy
            twin of the same name stays in that twin's group.

    Raises:
        InputError: If an argument cannot be used; in ``setup()`` also if the collection cannot.
    """

    layout: Layout

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
        normal_root: Path | str | None = None,
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
        slices = {
            "slice_spacing": slice_spacing,
            "minimum_brain_area": minimum_brain_area,
            "minimum_lesion_area": minimum_lesion_area,
            "position_tolerance": position_tolerance,
            "area_tolerance": area_tolerance,
        }
        selections: dict[str, Selection] = {
            "slice": SliceSelection(SliceProtocol(**slices, lesion_margin=lesion_margin)),
            "patch": PatchSelection(
                PatchProtocol(
                    patch_size=patch_size,
                    abnormal_lesion_fraction=abnormal_lesion_fraction,
                    maximum_background_fraction=maximum_background_fraction,
                    patches_per_subject=patches_per_subject,
                    split_seed=split_seed,
                ),
                slice_spacing,
            ),
            "subject": SliceSelection(SubjectProtocol(**slices)),
        }
        default_image_sizes = {"patch": patch_size}
        self._selection = selections[choose(protocol, selections, "protocol")]
        self.normal_root = _check_normal_root(normal_root, protocol)
        self._cohort_parameters: dict[str, Any] = {}
        self._stacks: list[SubjectStack] = []
        self.modalities = parse_modalities(modality)
        self.field_of_view = field_of_view
        self.slice_spacing = slice_spacing
        self._fractions = group_fractions(train_fraction, reference_fraction, calibration_fraction)
        super().__init__(
            root=root,
            protocol=protocol,
            eligibility=self._selection.protocol,
            image_size=image_size or default_image_sizes.get(protocol, _SLICE_IMAGE_SIZE),
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
        patients = find_subjects(self.root, self.layout)
        healthy = find_healthy(self.normal_root) if self.normal_root else {}
        used = self._without_excluded({*patients, *healthy})
        patients = {name: patients[name] for name in used if name in patients}
        healthy = {name: healthy[name] for name in used if name in healthy}
        grades = {name: folder.grade for name, folder in {**healthy, **patients}.items()}
        # Where there is a healthy cohort, patients without a twin in it can only be test subjects.
        dealt = healthy or patients
        groups = self._split({name: grades[name] for name in dealt}, self._fractions, patients.keys() - dealt.keys())
        group_of = {subject: group for group, subjects in groups.items() for subject in subjects}

        patients_prepared = prepare_all(patients, self._prepare_patient, "Preparing volumes")
        patients_prepared.check(self.strict)
        healthy_prepared = prepare_all(healthy, self._prepare_healthy, "Preparing the healthy cohort")
        healthy_prepared.check(self.strict)
        findings = {
            **patients_prepared.findings,
            **{f"{name} (healthy)": finding for name, finding in healthy_prepared.findings.items()},
        }
        stacks = [*patients_prepared.prepared.items(), *healthy_prepared.prepared.items()]
        usable = {name for name, _ in stacks}
        self._stacks = [stack for _, stack in stacks]
        groups = {group: [name for name in names if name in usable] for group, names in groups.items()}

        tables, spares, excluded = [], [], Counter[str]({"subject that cannot be used": len(findings)})
        for name, stack in stacks:
            eligible = self._selection.samples_of(stack)
            tables.append(eligible.samples.assign(group=group_of[name]))
            excluded += eligible.excluded
            if group_of[name] == "test":
                spares.append(eligible.spare)
        samples = join_tables(tables)
        if not samples.empty:
            in_test = samples["group"] == "test"
            test = self._selection.select_test(samples[in_test])
            excluded += test.excluded
            spares.append(test.spare)
            samples = join_tables([samples[~in_test], test.samples])
        self._cohort_parameters = {"grades": dict(sorted(Counter(grades[name] for name in sorted(usable)).items()))}
        if self.normal_root:
            # Twins share scanner and centre with the patients; anybody else may not.
            twins = len(healthy.keys() & patients.keys())
            self._cohort_parameters |= {
                "normal_root": self.normal_root.name,
                "healthy_twins": twins,
                "domain_shift": twins < len(healthy),
            }
        reader = StackReader(patients_prepared.prepared)
        return Assembly(
            groups,
            samples,
            excluded,
            CohortReader(StackReader(healthy_prepared.prepared), reader) if healthy else reader,
            fingerprints=[
                stack.intensities[0].fingerprint(
                    name, (healthy if stack.lesions is None else patients)[name].modality(self.modalities[0])
                )
                for name, stack in stacks
            ],
            findings=findings,
            spare=join_tables(spares),
        )

    def _prepare_patient(self, files: SubjectFolder) -> SubjectStack:
        segmentation = files.segmentation()
        stack = self._prepare(files, segmentation)
        if not stack.lesion_counts.any():
            # All slices of it would count as normal.
            raise InputError(
                f"{segmentation}: found an empty segmentation, expected a tumour, as all patients have one."
            )
        return stack

    def _prepare_healthy(self, files: SubjectFolder) -> SubjectStack:
        segmentation = files.optional_segmentation()
        stack = self._prepare(files, segmentation)
        if stack.lesion_counts.any():
            raise InputError(
                f"{segmentation}: found {stack.lesion_counts.sum()} lesion voxels, expected none in a healthy cohort."
            )
        return replace(stack, lesions=None)

    def _prepare(self, files: SubjectFolder, segmentation: Path | None) -> SubjectStack:
        first, *others = (files.modality(name) for name in self.modalities)
        expected = read_volume_header(first)
        for path in (*others, *([segmentation] if segmentation else [])):
            check_same_grid(path, read_volume_header(path), expected, first.name)
        intensities = tuple(prepare_intensities(path, self.cache_dir) for path in (first, *others))
        for path, stack in zip((first, *others), intensities, strict=True):
            check_background(path, sum(stack.counts), math.prod(stack.shape))
        lesions = prepare_lesions(segmentation, self.cache_dir, LESION_LABELS) if segmentation else None
        return SubjectStack(files.subject, intensities, lesions, intensities[0].central_window(self.field_of_view))

    def _twin_reader(self, folder: Path, subjects: list[str]) -> StackReader:
        found = find_healthy(folder)
        twins = prepare_all({name: found[name] for name in subjects}, self._prepare_healthy, "Preparing healthy twins")
        twins.check(strict=True)
        return StackReader(twins.prepared)

    def intensity_ranges(self) -> pd.DataFrame:
        """What every volume was scaled by, once :meth:`setup` has been called.

        Returns:
            Rows with ``subject_id``, ``cohort`` (patients or healthy), ``modality``, and ``low`` and ``high``, the
            intensities of the file that became 0 and 1.
        """
        rows = [
            {
                "subject_id": stack.subject,
                "cohort": HEALTHY if stack.lesions is None else "patients",
                "modality": modality,
                "low": channel.intensity_range.low,
                "high": channel.intensity_range.high,
            }
            for stack in self._stacks
            for modality, channel in zip(self.modalities, stack.intensities, strict=True)
            if channel.intensity_range is not None
        ]
        return pd.DataFrame(rows, columns=["subject_id", "cohort", "modality", "low", "high"])

    def _further_parameters(self) -> dict[str, Any]:
        return {
            "modality": list(self.modalities),
            "field_of_view": self.field_of_view,
            "slice_spacing": self.slice_spacing,
            **self._cohort_parameters,
        }


class BraTS2018(BraTSDataModule):
    """BraTS 2018 training data: ``root`` holds ``HGG`` and ``LGG``, as ``MICCAI_BraTS_2018_Data_Training`` does.

    The arguments are those of :class:`BraTSDataModule`.
    """

    layout = LAYOUTS[2018]


class BraTS2019(BraTSDataModule):
    """BraTS 2019 training data: ``root`` holds ``HGG`` and ``LGG``, as ``MICCAI_BraTS_2019_Data_Training`` does.

    The arguments are those of :class:`BraTSDataModule`.
    """

    layout = LAYOUTS[2019]


class BraTS2020(BraTSDataModule):
    """BraTS 2020 training data: ``root`` holds the folders ``BraTS20_*``, as ``MICCAI_BraTS2020_TrainingData`` does.

    Grades are read from ``name_mapping.csv``; without that file all subjects are one stratum. The arguments are those
    of :class:`BraTSDataModule`.
    """

    layout = LAYOUTS[2020]


class BraTS2021(BraTSDataModule):
    """BraTS 2021 training data: ``root`` holds the folders ``BraTS2021_*``, as ``BraTS2021_Training_Data`` does.

    There are no grades, so all subjects are one stratum. The arguments are those of :class:`BraTSDataModule`.
    """

    layout = LAYOUTS[2021]


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


def _check_normal_root(normal_root: Path | str | None, protocol: str) -> Path | None:
    """Refuse a healthy cohort that would not be used, and the protocol ``subject`` without one."""
    if protocol == "subject" and normal_root is None:
        raise InputError(
            "normal_root: found none, expected the folder of a healthy cohort for the protocol 'subject', since every "
            "subject of BraTS has a tumour; the protocol 'slice' does without."
        )
    if protocol != "subject" and normal_root is not None:
        raise InputError(
            f"normal_root: found {str(normal_root)!r}, expected none with the protocol {protocol!r}, which compares "
            "parts of patients; the protocol 'subject' uses it."
        )
    return Path(normal_root) if normal_root is not None else None
