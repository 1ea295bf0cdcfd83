# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Readers of NIfTI volumes."""

import nibabel
import numpy as np
import pytest

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import read_volume, read_volume_header


def test_a_volume_reads_alike_whatever_its_orientation_on_disk(tmp_path):
    voxels = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    original = nibabel.Nifti1Image(voxels, np.diag([-1.0, -2.0, 3.0, 1.0]))
    nibabel.save(original, tmp_path / "lps.nii.gz")
    for axes in ("RAS", "SPL", "AIR"):
        target = nibabel.orientations.axcodes2ornt(axes)
        start = nibabel.io_orientation(original.affine)
        turned = original.as_reoriented(nibabel.orientations.ornt_transform(start, target))
        nibabel.save(turned, tmp_path / f"{axes}.nii.gz")
        expected, found = read_volume(tmp_path / "lps.nii.gz"), read_volume(tmp_path / f"{axes}.nii.gz")
        np.testing.assert_array_equal(found.data, expected.data)
        assert found.spacing == expected.spacing == (3.0, 2.0, 1.0)


def test_a_slice_shows_the_front_above_and_the_patients_right_on_the_left(tmp_path):
    voxels = np.zeros((4, 5, 6), dtype=np.int16)
    voxels[3, 4, 0] = 7  # right, front, lowest in an image whose axes run to the right, front and head
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "ras.nii")
    assert read_volume(tmp_path / "ras.nii").data[0, 0, 0] == 7


def test_the_header_agrees_with_the_volume(tmp_path):
    affine = np.array([[0, 0, 2.0, 0], [1.5, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 5, 6), dtype=np.int16), affine), tmp_path / "turned.nii.gz")
    header, volume = read_volume_header(tmp_path / "turned.nii.gz"), read_volume(tmp_path / "turned.nii.gz")
    assert header.shape == volume.data.shape
    assert header.spacing == pytest.approx(volume.spacing)


def test_a_truncated_file_is_named(tmp_path):
    path = tmp_path / "cut.nii.gz"
    noise = np.random.default_rng(0).integers(0, 1000, (30, 30, 30)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(noise, np.eye(4)), path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"cut\.nii\.gz: found .* expected NIfTI"):
        read_volume(path)


def test_a_file_that_is_no_volume_is_named(tmp_path):
    path = tmp_path / "text.nii.gz"
    path.write_text("not a volume")
    with pytest.raises(InputError, match=r"text\.nii\.gz: found a file that cannot be read"):
        read_volume(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.nii: found no such file"):
        read_volume_header(tmp_path / "gone.nii")


def test_four_axes_are_refused(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.ones((3, 3, 3, 2), dtype=np.int16), np.eye(4)), tmp_path / "series.nii")
    with pytest.raises(InputError, match="expected three axes"):
        read_volume(tmp_path / "series.nii")


def test_values_that_are_not_finite_are_refused(tmp_path):
    voxels = np.full((3, 3, 3), np.nan, dtype=np.float32)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "nan.nii")
    with pytest.raises(InputError, match="not finite"):
        read_volume(tmp_path / "nan.nii")
