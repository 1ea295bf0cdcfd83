# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Going back to the grid of a file."""

import itertools

import nibabel
import numpy as np
import pytest

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import NativeSpace, read_volume

CODES = [
    "".join(pair[way] for pair, way in zip(axes, ways, strict=True))
    for axes in itertools.permutations(("LR", "PA", "IS"))
    for ways in itertools.product((0, 1), repeat=3)
]


@pytest.mark.parametrize("codes", CODES)
def test_what_was_read_is_written_back_voxel_on_voxel_in_any_orientation(tmp_path, codes):
    voxels = np.random.default_rng(0).integers(0, 65535, (5, 6, 7)).astype(np.uint16)
    image = nibabel.Nifti1Image(voxels, np.diag([2.0, 3.0, 4.0, 1.0]))
    image = image.as_reoriented(
        nibabel.orientations.ornt_transform(
            nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(codes)
        )
    )
    nibabel.save(image, tmp_path / "scan.nii")
    stack = read_volume(tmp_path / "scan.nii").data
    NativeSpace.of_file(tmp_path / "scan.nii").write(tmp_path / "out" / "map.nii.gz", stack, 1.0, "a map")
    written = nibabel.load(tmp_path / "out" / "map.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), np.asarray(image.dataobj))
    np.testing.assert_array_equal(written.affine, image.affine)
    assert list((tmp_path / "out").iterdir()) == [tmp_path / "out" / "map.nii.gz"]


def test_codes_stand_for_multiples_of_the_unit_and_the_header_keeps_its_references(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.diag([-1.0, -1.0, 2.0, 1.0]))
    image.set_sform(image.affine, code="mni")
    image.set_qform(image.affine, code="scanner")
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / "scan.nii.gz")
    codes = np.arange(120, dtype=np.uint16).reshape(6, 5, 4)
    NativeSpace.of_file(tmp_path / "scan.nii.gz").write(tmp_path / "map.nii.gz", codes, 1 / 65535, "a map")
    written = nibabel.load(tmp_path / "map.nii.gz")
    assert written.get_fdata().max() == pytest.approx(119 / 65535)
    assert written.header["sform_code"] == image.header["sform_code"]
    assert written.header["qform_code"] == image.header["qform_code"]
    assert written.header.get_xyzt_units()[0] == "mm"
    assert bytes(written.header["descrip"]).rstrip(b"\0") == b"a map"
    np.testing.assert_array_equal(read_volume(tmp_path / "map.nii.gz").data, (codes / np.float32(65535)).astype("f4"))


def test_a_map_of_another_shape_is_refused(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.eye(4)), tmp_path / "scan.nii")
    with pytest.raises(InputError, match=r"found a map of \(4, 5, 5\), expected the shape \(4, 5, 6\)"):
        NativeSpace.of_file(tmp_path / "scan.nii").write(
            tmp_path / "map.nii.gz", np.zeros((5, 5, 4), np.uint8), 1.0, "a map"
        )
