# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A CSV file that lists images, masks, labels, subjects and groups: the way in for a hospital's own data."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torchvision.transforms.v2 import Transform

from anomalib_patchgan.data.base import Assembly, MedicalDataModule, check_positive, group_fractions
from anomalib_patchgan.data.manifest_table import ManifestRow, find_manifest, read_manifest
from anomalib_patchgan.data.manifest_volumes import ManifestSliceProtocol, VolumePreparation, assemble_volumes
from anomalib_patchgan.data.protocols import ABNORMAL, NORMAL, AxialSliceProtocol, DiagnosisProtocol, SubjectProtocol
from anomalib_patchgan.data.splits import GROUPS
from anomalib_patchgan.data.whole_images import ImagePreparation, LabelledImage, assemble_images
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import IntensityRange


class Manifest(MedicalDataModule):
    """Images that a CSV file lists; see ``docs/own_data.md``.

    The columns are ``image`` and ``label`` (0 or normal, 1 or abnormal), and if wanted ``mask``, ``subject_id`` and
    ``split`` (train, reference, calibration or test). An image is a PNG, TIFF, JPEG or DICOM file, which is one sample
    under the protocol ``diagnosis``; or it is a volume, NIfTI or the folder of a DICOM series, of which slices are
    samples: under the protocol ``slice`` if each volume is labelled abnormal, and under ``subject`` if some are
    labelled normal. Without ``split``, subjects are dealt to the groups; those with an abnormal image go to the test,
    except under ``slice``.

    Args:
        root: The CSV file, or a folder that holds ``manifest.csv``.
        image_size: Rows and columns of every image; one number for a square.
        train_batch_size: Images a step in training.
        eval_batch_size: Images a step in validation and test.
        num_workers: Processes that read samples.
        intensity_range: Intensities that become 0 and 1 in volumes and in images deeper than eight bits, for instance
            a window of Hounsfield units; in volumes, what is not above the lower one is background. None finds a range
            for each image or volume, by the upper quartile of what is not zero.
        field_of_view: Volumes: side in mm of the square around the centre of the body that is cut from every slice.
        slice_spacing: Volumes: distance in mm between the slices that are used.
        lesion_margin: ``slice``: distance in mm that a normal slice keeps from any slice with a lesion.
        minimum_body_area: Volumes: area in mm2 that is not background in a slice that is used.
        minimum_lesion_area: Volumes: area in mm2 of lesion that makes a slice abnormal; slices with less are left out.
        position_tolerance: Volumes: largest difference in height, as a share of the body's height, between the two
            slices of a matched test pair.
        area_tolerance: Volumes: largest relative difference in area between them.
        train_fraction: Share of the subjects that are dealt to train on.
        reference_fraction: Share of them that a distribution of normal samples is fitted to after training.
        calibration_fraction: Share of them whose normal samples are the validation set. The rest is the test.
        split_seed: Seed of the split. No other seed changes it.
        cache_dir: Folder of prepared data; None for ``$XDG_CACHE_HOME/anomalib_patchgan`` or the same below
            ``~/.cache``.
        train_augmentations: torchvision transform of training images and masks.
        split_file: JSON file of the split: read if it is there, else written. Not together with the column ``split``.
        exclude: Subjects to leave out.
        strict: Whether one damaged file is an error; else one image in a hundred may be damaged, and is listed.

    Raises:
        InputError: If the manifest or an argument cannot be used; in ``setup()`` also if the images cannot.
    """

    def __init__(
        self,
        root: Path | str,
        image_size: int | tuple[int, int] = 128,
        train_batch_size: int = 32,
        eval_batch_size: int = 32,
        num_workers: int = 0,
        intensity_range: tuple[float, float] | None = None,
        field_of_view: float = 240.0,
        slice_spacing: float = 2.0,
        lesion_margin: float = 5.0,
        minimum_body_area: float = 6000.0,
        minimum_lesion_area: float = 40.0,
        position_tolerance: float = 0.05,
        area_tolerance: float = 0.03,
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
        )
        self._fractions = group_fractions(train_fraction, reference_fraction, calibration_fraction)
        self._declared = _declared_range(intensity_range)
        self.field_of_view = field_of_view
        self._table = read_manifest(find_manifest(Path(root)))
        slices = {
            "slice_spacing": slice_spacing,
            "minimum_brain_area": minimum_body_area,
            "minimum_lesion_area": minimum_lesion_area,
            "position_tolerance": position_tolerance,
            "area_tolerance": area_tolerance,
        }
        # Where there are healthy subjects, slices of patients that happen to show no lesion are not taken for normal.
        self._slices: AxialSliceProtocol = (
            SubjectProtocol(**slices)
            if self._table.holds_healthy_volumes
            else ManifestSliceProtocol(**slices, lesion_margin=lesion_margin)
        )
        protocol = "subject" if self._table.holds_healthy_volumes else "slice"
        volumes = self._table.holds_volumes
        if self._table.is_split and split_file is not None:
            raise InputError(
                f"split_file: found it beside the column split of {self._table.path}, expected one of the two."
            )
        super().__init__(
            root=root,
            protocol=protocol if volumes else "diagnosis",
            eligibility=self._slices if volumes else DiagnosisProtocol(normal="labelled normal in the manifest"),
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
        found = self._table.subjects()
        subjects = {name: found[name] for name in self._without_excluded(found)}
        rows = {row.name: row for name in subjects for row in subjects[name]}
        groups = self._groups(subjects)
        if self._table.holds_volumes:
            preparation = VolumePreparation(self.field_of_view, self.cache_dir, self._declared)
            return assemble_volumes(rows, groups, self._slices, preparation, self.strict)
        records = {name: LabelledImage(name, row.subject, row.label, row.image, row.mask) for name, row in rows.items()}
        return assemble_images(
            records, groups, ImagePreparation(self.image_size, self.cache_dir, self._declared), self.strict
        )

    def _groups(self, subjects: dict[str, list[ManifestRow]]) -> dict[str, list[str]]:
        if self._table.is_split:
            return {
                group: sorted(name for name, rows in subjects.items() if rows[0].split == group) for group in GROUPS
            }
        # Under `slice` every volume has normal slices and abnormal ones; otherwise a subject without a lesion can do
        # for any group, and one with a lesion for the test only.
        dealt = subjects if self.protocol == "slice" else {n for n, rows in subjects.items() if not _abnormal(rows)}
        return self._split(dict.fromkeys(dealt, "subject"), self._fractions, subjects.keys() - set(dealt))

    def _further_parameters(self) -> dict[str, Any]:
        rows = self._table.rows
        abnormal = [row for row in rows if row.label == ABNORMAL]
        parameters: dict[str, Any] = {
            "subjects_named": self._table.names_subjects,
            "split_from_manifest": self._table.is_split,
            "abnormal_with_mask": sum(row.mask is not None for row in abnormal),
            "abnormal_without_mask": sum(row.mask is None for row in abnormal),
        }
        if not self._table.names_subjects:
            parameters["warning"] = (
                "The manifest names no subjects, so each image counts as its own; whether a patient is in two groups "
                "cannot be checked."
            )
        parameters["intensity_range"] = None if self._declared is None else [self._declared.low, self._declared.high]
        if self._table.holds_volumes:
            parameters["field_of_view"] = self.field_of_view
            parameters["healthy_volumes"] = sum(row.label == NORMAL for row in rows)
        return parameters


def _abnormal(rows: Iterable[ManifestRow]) -> bool:
    return any(row.label == ABNORMAL for row in rows)


def _declared_range(given: tuple[float, float] | None) -> IntensityRange | None:
    if given is None:
        return None
    low, high = given
    if not low < high:
        raise InputError(f"intensity_range: found {low:g}, {high:g}, expected the lower intensity first.")
    return IntensityRange(float(low), float(high))
