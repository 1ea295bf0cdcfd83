# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Finding what is to be predicted."""

import pytest

from anomalib_patchgan.deploy.sources import find_sources
from anomalib_patchgan.errors import InputError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def test_every_file_below_a_folder_is_an_image_but_hidden_ones(tmp_path):
    root = touch(tmp_path / "in", "b.png", "a/c.jpg", "notes.txt", ".hidden.png", ".cache/x.png")
    assert [source.name for source in find_sources([root], ())] == ["b.png", "notes.txt", "a/c.jpg"]


def test_several_folders_keep_their_names(tmp_path):
    roots = [touch(tmp_path / "one", "a.png"), touch(tmp_path / "two", "a.png")]
    assert [source.name for source in find_sources(roots, ())] == ["one/a.png", "two/a.png"]
    with pytest.raises(InputError, match=r"inputs: found 'one/a.png' twice"):
        find_sources([roots[0], roots[0]], ())


def test_a_modality_is_found_among_others_and_any_volume_where_none_is_named_so(tmp_path):
    root = touch(
        tmp_path / "in", "s1/s1_flair.nii.gz", "s1/s1_t1.nii.gz", "s1/s1_seg.nii.gz", "s2/scan.nii", "s2/x.txt"
    )
    assert [source.name for source in find_sources([root], ("flair",))] == ["s1/s1_flair.nii.gz", "s2/scan.nii"]


def test_three_modalities_are_brought_together(tmp_path):
    root = touch(tmp_path / "in", "s1/s1_flair.nii.gz", "s1/s1_t1.nii.gz", "s1/s1_t2.nii.gz")
    (source,) = find_sources([root], ("flair", "t1", "t2"))
    assert source.name == "s1/s1_flair.nii.gz"
    assert [path.name for path in source.files] == ["s1_flair.nii.gz", "s1_t1.nii.gz", "s1_t2.nii.gz"]


def test_a_folder_of_dicom_files_is_one_series(tmp_path):
    root = touch(tmp_path / "in", "notes.txt")
    for number in range(3):
        (root / "series").mkdir(exist_ok=True)
        (root / "series" / f"IM{number}").write_bytes(b"\0" * 128 + b"DICM")
    (source,) = find_sources([root], ("volume",))
    assert (source.name, source.files) == ("series", (root / "series",))
    (same,) = find_sources([root / "series"], ("volume",))
    assert same.name == "series"


def test_nothing_to_read_is_named(tmp_path):
    root = touch(tmp_path / "in", "notes.txt")
    with pytest.raises(InputError, match="in: found an empty folder or nothing to read, expected NIfTI volumes"):
        find_sources([root], ("flair",))
