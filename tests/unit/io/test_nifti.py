# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Readers of NIfTI volumes."""

import gzip
import struct

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import check_same_grid, read_volume, read_volume_header


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


def test_infinities_are_counted(tmp_path):
    voxels = np.ones((3, 3, 3), dtype=np.float32)
    voxels[0, 0, :2] = np.inf
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "inf.nii.gz")
    with pytest.raises(InputError, match=r"inf\.nii\.gz: found 2 voxels that are not finite"):
        read_volume(tmp_path / "inf.nii.gz")


def saved(path, shape=(6, 7, 8)):
    voxels = np.random.default_rng(0).integers(1, 1000, shape).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1.0, 2.0, 3.0, 1.0])), path)
    return path


def rewritten(path, offset, content):
    """Overwrite bytes of the header of an uncompressed file."""
    data = bytearray(path.read_bytes())
    data[offset : offset + len(content)] = content
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize("read", [read_volume, read_volume_header])
@pytest.mark.parametrize(
    ("offset", "content"),
    [
        (344, b"abcd"),
        (40, struct.pack("<4h", 3, 0, 7, 8)),
        (40, struct.pack("<4h", 3, -6, 7, 8)),
        (40, struct.pack("<8h", 4, 6, 7, 4, 2, 1, 1, 1)),
        (70, struct.pack("<2h", 128, 24)),
        (280, struct.pack("<12f", *[0.0] * 12)),
        (280, struct.pack("<12f", *[float("nan")] * 12)),
        (280, struct.pack("<12f", *[float("inf")] * 12)),
    ],
    ids=["magic", "zero axis", "negative axis", "four axes", "colours", "zero affine", "nan", "inf"],
)
def test_a_wrong_header_is_named(tmp_path, read, offset, content):
    path = rewritten(saved(tmp_path / "odd.nii"), offset, content)
    with pytest.raises(InputError, match=r"odd\.nii: found .*, expected"):
        read(path)


@pytest.mark.parametrize("name", ["huge.nii", "huge.nii.gz"])
def test_a_header_that_asks_for_more_than_the_file_holds_costs_no_memory(tmp_path, name):
    path = rewritten(saved(tmp_path / "huge.nii"), 40, struct.pack("<4h", 3, 32767, 32767, 32767))
    if name.endswith(".gz"):
        (tmp_path / name).write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(InputError, match=r"cannot hold the \d+ that its header asks for"):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.99, 0.9999])
def test_a_gzip_file_cut_anywhere_is_named(tmp_path, share):
    path = saved(tmp_path / "cut.nii.gz", (30, 30, 30))
    content = path.read_bytes()
    path.write_bytes(content[: min(int(share * len(content)), len(content) - 1)])
    with pytest.raises(InputError, match=r"cut\.nii\.gz: found"):
        read_volume(path)


def test_a_gzip_file_with_a_changed_byte_is_named(tmp_path):
    path = saved(tmp_path / "changed.nii.gz", (30, 30, 30))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"changed\.nii\.gz: found a file that breaks off or is damaged"):
        read_volume(path)


def test_a_gzip_file_of_several_members_is_read(tmp_path):
    plain = saved(tmp_path / "plain.nii")
    content = plain.read_bytes()
    parts = [content[:100], content[100:500], content[500:]]
    (tmp_path / "members.nii.gz").write_bytes(b"".join(gzip.compress(part) for part in parts) + bytes(512))
    np.testing.assert_array_equal(read_volume(tmp_path / "members.nii.gz").data, read_volume(plain).data)


def test_an_uncompressed_file_named_gz_is_named(tmp_path):
    saved(tmp_path / "plain.nii").rename(tmp_path / "plain.nii.gz")
    with pytest.raises(InputError, match=r"plain\.nii\.gz: found a file that cannot be read"):
        read_volume(tmp_path / "plain.nii.gz")


def test_a_file_of_another_ending_is_named(tmp_path):
    path = saved(tmp_path / "volume.nii.gz").rename(tmp_path / "volume.mgz")
    with pytest.raises(InputError, match=r"volume\.mgz: found the ending '\.mgz'"):
        read_volume(path)


def test_the_view_and_the_spacing_are_those_of_nibabels_canonical_image(tmp_path):
    affine = np.array([[0.2, 0, 2.0, 0], [1.5, 0.1, 0, 0], [0, -1.0, 0.1, 0], [0, 0, 0, 1]])
    voxels = np.random.default_rng(1).integers(0, 1000, (4, 5, 6)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / "oblique.nii.gz")
    canonical = nibabel.as_closest_canonical(nibabel.load(tmp_path / "oblique.nii.gz"))
    found = read_volume(tmp_path / "oblique.nii.gz")
    np.testing.assert_array_equal(found.data[:, ::-1, ::-1].transpose(2, 1, 0), canonical.get_fdata())
    assert found.spacing[::-1] == pytest.approx([float(zoom) for zoom in canonical.header.get_zooms()])


def turned(path, degrees):
    """Write a volume turned about its centre, in another orientation on disk for another angle."""
    angle, shape = np.radians(degrees), np.array([8, 9, 10])
    affine = np.eye(4)
    affine[:2, :2] = 2 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    affine[:3, 3] = -affine[:3, :3] @ (shape - 1) / 2
    image = nibabel.Nifti1Image(np.ones(shape, dtype=np.int16), affine)
    way = nibabel.orientations.axcodes2ornt(("L", "P", "S") if degrees else ("S", "A", "R"))
    nibabel.save(image.as_reoriented(nibabel.orientations.ornt_transform(nibabel.io_orientation(affine), way)), path)
    return read_volume_header(path)


def test_a_volume_turned_about_its_centre_is_not_on_the_same_grid(tmp_path):
    straight = turned(tmp_path / "straight.nii", 0)
    check_same_grid(tmp_path / "hardly.nii", turned(tmp_path / "hardly.nii", 0.2), straight, "straight.nii")
    with pytest.raises(InputError, match=r"turned\.nii: found axes turned by 20\.0 degrees, expected those of"):
        check_same_grid(tmp_path / "turned.nii", turned(tmp_path / "turned.nii", 20), straight, "straight.nii")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(offset=st.integers(0, 351), content=st.binary(min_size=1, max_size=8))
def test_any_header_gives_a_volume_or_a_sentence(tmp_path, offset, content):
    path = rewritten(saved(tmp_path / "any.nii", (3, 4, 5)), offset, content)
    try:
        outcome = str(read_volume(path).data.ndim)
    except InputError as error:
        outcome = str(error)
    assert outcome == "3" or outcome.startswith(f"{path}: found ")
