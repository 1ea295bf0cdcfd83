# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Volumes that a manifest lists: NIfTI files and DICOM series, of which slices are the samples."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anomalib_patchgan.data.base import Assembly
from anomalib_patchgan.data.brats_selection import StackReader
from anomalib_patchgan.data.cache import FORMAT_VERSION, source_sha256
from anomalib_patchgan.data.preparation import prepare_all
from anomalib_patchgan.data.protocols import (
    ABNORMAL,
    NORMAL,
    AxialSliceProtocol,
    SliceProtocol,
    SubjectStack,
    join_tables,
)
from anomalib_patchgan.data.volumes import prepare_intensities, prepare_lesions
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import (
    check_background,
    check_same_grid,
    read_dicom_grid,
    read_volume_header,
    series_files,
    write_grid,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from anomalib_patchgan.data.manifest_table import ManifestRow
    from anomalib_patchgan.io import IntensityRange, VolumeHeader

_LESION_LABELS = {0: "healthy", **dict.fromkeys((*range(1, 10), 255), "lesion")}


@dataclass(frozen=True)
class ManifestSliceProtocol(SliceProtocol):
    """Normal and abnormal slices are of the same volumes, each of which has a lesion."""

    @property
    def normal_means(self) -> str:
        """What a normal sample is, in a sentence."""
        return (
            f"An axial slice without lesion, at least {self.lesion_margin:g} mm from any slice with a lesion, of a "
            "subject who has a lesion elsewhere in the same volume."
        )


@dataclass(frozen=True)
class VolumeReader:
    """Reads slices from prepared volumes; a subject may have several.

    Attributes:
        stacks: Reads the volumes, by the name of their line in the manifest.
    """

    stacks: StackReader

    @property
    def fingerprint(self) -> str:
        """Changes whenever a source file changes."""
        return self.stacks.fingerprint

    def read(self, sample: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a sample.

        Args:
            sample: Row with ``sample_id``, which begins with the name of the volume, ``slice_index`` and the place.

        Returns:
            Image in [0, 1], float32 ``[1, height, width]``, and lesion mask, bool ``[height, width]``.
        """
        volume, _, _ = sample["sample_id"].rpartition("_z")
        return self.stacks.read({**sample, "subject_id": volume})


@dataclass(frozen=True)
class VolumePreparation:
    """How volumes are prepared.

    Attributes:
        field_of_view: Side in mm of the square around the centre of the body that is cut from every slice.
        cache_dir: Folder of all prepared data.
        declared: Intensities that become 0 and 1; None finds them for each volume, whose background must be zero.
    """

    field_of_view: float
    cache_dir: Path
    declared: IntensityRange | None

    def prepare(self, row: ManifestRow) -> SubjectStack:
        """Read a volume and its mask, if it has one, scale it, and keep both.

        Args:
            row: Line of the manifest; it has a mask if it is labelled abnormal.

        Raises:
            InputError: If a file cannot be read, there is no background, the mask has another grid, or the label is
                not what the mask says.
        """
        image = self._nifti(row.image)
        expected = read_volume_header(image)
        mask = None if row.mask is None else self._mask(row.mask, expected, row.image.name)
        intensities = prepare_intensities(image, self.cache_dir, self.declared)
        if self.declared is None:
            check_background(row.image, sum(intensities.counts), math.prod(intensities.shape))
        lesions = None if mask is None else prepare_lesions(mask, self.cache_dir, _LESION_LABELS)
        if lesions is not None and any(lesions.counts) != (row.label == ABNORMAL):
            found, wanted, label = (
                ("a lesion", "none", "normal") if row.label == NORMAL else ("an empty mask", "a lesion", "abnormal")
            )
            raise InputError(f"{row.mask}: found {found}, expected {wanted}, as the volume is labelled {label}.")
        window = intensities.central_window(self.field_of_view)
        return SubjectStack(row.name, (intensities,), lesions if row.label == ABNORMAL else None, window)

    def _mask(self, path: Path, expected: VolumeHeader, image_name: str) -> Path:
        """The file of a mask, which lies voxel on voxel over its image."""
        mask = self._nifti(path, as_stored=True)
        check_same_grid(path, read_volume_header(mask), expected, image_name)
        return mask

    def _nifti(self, path: Path, as_stored: bool = False) -> Path:
        """The path itself, or for a folder the DICOM series in it as a NIfTI file in the cache."""
        if not path.is_dir():
            return path
        contents = sorted(source_sha256(self.cache_dir, file) for file in series_files(path))
        identity = [FORMAT_VERSION, contents, as_stored]
        digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
        target = self.cache_dir / "series" / f"{digest[:32]}.nii"
        if not target.is_file():
            write_grid(target, read_dicom_grid(path, as_stored))
        return target


def assemble_volumes(
    rows: Mapping[str, ManifestRow],
    groups: Mapping[str, list[str]],
    protocol: AxialSliceProtocol,
    preparation: VolumePreparation,
    strict: bool,
) -> Assembly:
    """Prepare the volumes of a manifest and list their slices as samples.

    Args:
        rows: Lines of the manifest by name.
        groups: Subjects of each group.
        protocol: Which slices are samples.
        preparation: How volumes are prepared.
        strict: Whether one damaged file is an error; else one volume in a hundred may be damaged, and is listed.

    Raises:
        InputError: If too many volumes are damaged.
    """
    outcome = prepare_all(rows, preparation.prepare, "Preparing volumes")
    outcome.check(strict)
    stacks = outcome.prepared
    group_of = {subject: group for group, subjects in groups.items() for subject in subjects}
    excluded = Counter[str]({"volume that cannot be used": len(outcome.findings)})
    tables = []
    for name, stack in stacks.items():
        eligible = protocol.samples_of(stack)
        subject = rows[name].subject
        tables.append(eligible.samples.assign(subject_id=subject, group=group_of[subject]))
        excluded += eligible.excluded
    samples = join_tables(tables)
    spare = samples.iloc[:0]
    if not samples.empty:
        in_test = samples["group"] == "test"
        test = protocol.select_test(samples[in_test])
        excluded += test.excluded
        spare = test.spare
        samples = join_tables([samples[~in_test], test.samples])
    usable = {rows[name].subject for name in stacks}
    return Assembly(
        {group: [subject for subject in subjects if subject in usable] for group, subjects in groups.items()},
        samples,
        excluded,
        VolumeReader(StackReader(stacks)),
        fingerprints=[
            stack.intensities[0].fingerprint(rows[name].subject, rows[name].image) for name, stack in stacks.items()
        ],
        findings=outcome.findings,
        spare=spare,
    )
