# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Prepared volumes, and volumes that cannot be prepared."""

import nibabel
import numpy as np
import pytest

from anomalib_patchgan.data import BraTS2019
from anomalib_patchgan.data.brats_layout import LESION_LABELS
from anomalib_patchgan.data.volumes import (
    Window,
    encode_intensities,
    prepare_intensities,
    prepare_lesions,
)
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import IntensityRange, read_volume, tissue_range

_STEP = 1 / 65534


def brain_volume(dtype=np.int16, seed=0):
    voxels = np.zeros((20, 24, 18), dtype=dtype)
    voxels[3:15, 4:20, 2:14] = np.random.default_rng(seed).integers(50, 900, (12, 16, 12))
    return voxels


def save(path, voxels, affine=None):
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4) if affine is None else affine), path)
    return path


def whole(stack):
    return Window(0, 0, stack.shape[1], stack.shape[2])


def intensities_of(stack):
    return np.stack([stack.read_intensities(index, whole(stack)) for index in range(stack.shape[0])])


def axial(voxels):
    return voxels.transpose(2, 1, 0)[:, ::-1, ::-1]


@pytest.mark.parametrize("stored", ["<i2", ">i2", "u1", "<u2", "<i4", "<f4", ">f4", "<f8"])
def test_a_volume_is_prepared_alike_from_any_type(tmp_path, stored):
    voxels = brain_volume()
    if stored == "u1":
        voxels = voxels // 4
    path = tmp_path / "flair.nii.gz"
    header = nibabel.Nifti1Header(endianness=stored[0] if stored[0] in "<>" else "<")
    header.set_data_dtype(np.dtype(stored))
    nibabel.save(nibabel.Nifti1Image(voxels.astype(stored), np.eye(4), header), path)
    stack = prepare_intensities(path, tmp_path / "cache")
    brain = voxels[voxels != 0].astype(np.float64)
    expected = np.clip(voxels / (2 * np.percentile(brain, 75)), 0, 1)
    np.testing.assert_allclose(intensities_of(stack), axial(expected), atol=2 * _STEP)
    assert stack.extent == (12, 16, 12)
    assert stack.counts == (0, 0, *[12 * 16] * 12, 0, 0, 0, 0)


def test_slope_and_intercept_of_the_header_are_applied(tmp_path):
    voxels = brain_volume()
    image = nibabel.Nifti1Image(voxels, np.eye(4))
    image.header.set_slope_inter(0.5, 0)
    nibabel.save(image, tmp_path / "half.nii.gz")
    raw = nibabel.load(tmp_path / "half.nii.gz")
    assert (raw.dataobj.slope, raw.dataobj.inter) == (0.5, 0)
    np.testing.assert_array_equal(
        read_volume(tmp_path / "half.nii.gz").data,
        nibabel.as_closest_canonical(raw).get_fdata(dtype=np.float32).transpose(2, 1, 0)[:, ::-1, ::-1],
    )


def test_the_intensity_range_is_stored(tmp_path):
    path = save(tmp_path / "flair.nii.gz", brain_volume())
    prepare_intensities(path, tmp_path / "cache")
    again = prepare_intensities(path, tmp_path / "cache")
    voxels = read_volume(path).data
    assert again.intensity_range == tissue_range(voxels[voxels != 0])


@pytest.mark.parametrize("stored", [np.int16, np.float32])
def test_intensities_below_zero_do_not_become_background(tmp_path, stored):
    voxels = brain_volume(stored)
    voxels[3:15, 4:20, 2] -= 1000
    stack = prepare_intensities(save(tmp_path / "flair.nii", voxels), tmp_path / "cache")
    assert stack.intensity_range.low < 0
    low, high = stack.intensity_range.low, stack.intensity_range.high
    expected = np.where(voxels == 0, 0, np.clip((voxels.astype(np.float64) - low) / (high - low), 0, 1))
    np.testing.assert_allclose(intensities_of(stack), axial(expected), atol=2 * _STEP)
    for index in range(18):
        np.testing.assert_array_equal(stack.read(index, whole(stack)) != 0, axial(voxels)[index] != 0)


def test_a_declared_range_scales_and_tells_background(tmp_path):
    voxels = np.random.default_rng(0).integers(-1024, 1500, (20, 24, 18)).astype(np.int16)
    voxels[:3] = -1000
    stack = prepare_intensities(save(tmp_path / "ct.nii.gz", voxels), tmp_path / "cache", IntensityRange(-160, 240))
    np.testing.assert_allclose(intensities_of(stack), axial(np.clip((voxels + 160.0) / 400, 0, 1)), atol=2 * _STEP)
    assert stack.counts == tuple((axial(voxels) > -160).sum(axis=(1, 2)))
    assert stack.intensity_range == IntensityRange(-160, 240)


def test_a_declared_range_below_which_all_lies_is_refused(tmp_path):
    path = save(tmp_path / "air.nii.gz", np.full((5, 6, 7), -1000, dtype=np.int16))
    with pytest.raises(InputError, match=r"air\.nii\.gz: found a volume that is empty"):
        prepare_intensities(path, tmp_path / "cache", IntensityRange(-160, 240))


def test_volumes_of_one_thread_do_not_overwrite_each_other(tmp_path):
    paths = [save(tmp_path / f"{seed}.nii.gz", brain_volume(seed=seed)) for seed in range(3)]
    together = [prepare_intensities(path, tmp_path / "cache") for path in paths]
    alone = [read_volume(path).data for path in paths]
    for stack, voxels in zip(together, alone, strict=True):
        for index in range(18):
            np.testing.assert_array_equal(stack.read(index, whole(stack)), voxels[index])


def test_a_mask_has_no_intensities(tmp_path):
    path = save(tmp_path / "seg.nii.gz", np.ones((5, 6, 7), dtype=np.int16))
    stack = prepare_lesions(path, tmp_path / "cache", LESION_LABELS)
    with pytest.raises(TypeError, match="a mask has no intensities"):
        stack.read_intensities(0, whole(stack))


def test_the_faintest_intensity_is_not_background():
    values = np.array([[[0.0, 1e-7, 1.0]]], dtype=np.float32)
    codes = encode_intensities(values, IntensityRange(0.0, 1.0))
    assert codes[0, 0].tolist() == [0, 1, 65535]


def test_a_mask_without_lesion_is_prepared(tmp_path):
    path = save(tmp_path / "seg.nii.gz", np.zeros((5, 6, 7), dtype=np.int16))
    stack = prepare_lesions(path, tmp_path / "cache", LESION_LABELS)
    assert stack.counts == (0,) * 7
    assert not stack.read(3, whole(stack)).any()


@pytest.mark.parametrize("value", [0, 7])
def test_a_volume_of_one_intensity_is_refused(tmp_path, value):
    path = save(tmp_path / "flat.nii.gz", np.full((5, 6, 7), value, dtype=np.int16))
    with pytest.raises(InputError, match=r"flat\.nii\.gz: found a volume that is empty or of one intensity only"):
        prepare_intensities(path, tmp_path / "cache")


@pytest.fixture(scope="module")
def damaged_tree(tmp_path_factory, subject_writer):
    """A tree of 101 tiny subjects, of which one is damaged."""
    root = tmp_path_factory.mktemp("hundred") / "tree"
    for number in range(101):
        name = f"BraTS19_X_{number:03d}_1"
        grade = "LGG" if number % 3 == 2 else "HGG"
        subject_writer(root, grade, name, number, (20, 24, 15), (8.0, 8.0, 8.0), ("flair",))
    path = root / "HGG" / "BraTS19_X_007_1" / "BraTS19_X_007_1_flair.nii.gz"
    path.write_bytes(path.read_bytes()[:-200])
    return root


def test_one_damaged_subject_of_a_hundred_is_listed_and_counted(damaged_tree, caplog):
    data = BraTS2019(root=damaged_tree, cache_dir=damaged_tree.parent)
    with caplog.at_level("WARNING"):
        data.setup()
    card = data.card()
    assert list(card["left_out"]) == ["BraTS19_X_007_1"]
    assert "BraTS19_X_007_1_flair.nii.gz: found a file that breaks off" in card["left_out"]["BraTS19_X_007_1"]
    assert card["excluded"]["subject that cannot be used"] == 1
    assert card["left_out"]["BraTS19_X_007_1"] in caplog.messages


def test_strict_refuses_one_damaged_subject_of_a_hundred(damaged_tree):
    with pytest.raises(InputError, match=r"007_1_flair\.nii\.gz: found .* 1 of 101 could not be used"):
        BraTS2019(root=damaged_tree, cache_dir=damaged_tree.parent, strict=True).setup()


@pytest.mark.parametrize("stored_as", [np.uint8, np.int16])
def test_labels_that_the_header_scales_are_the_nearest_whole_numbers(tmp_path, stored_as):
    labels = np.zeros((6, 7, 8))
    labels[1:4, 2:4, 3], labels[4, 2, 3], labels[1, 2, 4] = 1, 2, 4
    header = nibabel.Nifti1Header()
    header.set_data_dtype(stored_as)
    nibabel.save(nibabel.Nifti1Image(labels, np.eye(4), header), tmp_path / "seg.nii")
    assert nibabel.load(tmp_path / "seg.nii").dataobj.slope != 1
    stack = prepare_lesions(tmp_path / "seg.nii", tmp_path / "cache", LESION_LABELS)
    assert stack.counts == (0, 0, 0, 7, 1, 0, 0, 0)


def test_labels_between_whole_numbers_are_refused(tmp_path):
    labels = np.zeros((6, 7, 8), dtype=np.float32)
    labels[1, 2, 3], labels[1, 2, 4] = 0.5, 0.9
    with pytest.raises(InputError, match=r"seg\.nii: found the labels 0\.5, 0\.9, expected only 0 "):
        prepare_lesions(save(tmp_path / "seg.nii", labels), tmp_path / "cache", LESION_LABELS)
