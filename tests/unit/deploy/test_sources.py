# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Finding what is to be predicted."""

import os

import pytest

from anomalib_patchgan.deploy.preparation import OF_A_MANIFEST
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


def test_volumes_of_a_model_of_a_manifest_have_any_names(tmp_path):
    root = touch(tmp_path / "in", "a_volume.nii.gz", "b.nii.gz")
    assert [source.name for source in find_sources([root], OF_A_MANIFEST)] == ["a_volume.nii.gz", "b.nii.gz"]


def test_three_modalities_are_brought_together(tmp_path):
    root = touch(tmp_path / "in", "s1/s1_flair.nii.gz", "s1/s1_t1.nii.gz", "s1/s1_t2.nii.gz")
    (source,) = find_sources([root], ("flair", "t1", "t2"))
    assert source.name == "s1/s1_flair.nii.gz"
    assert [path.name for path in source.files] == ["s1_flair.nii.gz", "s1_t1.nii.gz", "s1_t2.nii.gz"]


def test_modalities_are_brought_together_in_letters_of_any_case(tmp_path):
    root = touch(tmp_path / "in", "S_FLAIR.nii.gz", "S_T1.nii.gz", "S_t2.NII.GZ")
    for given in (root, root / "S_FLAIR.nii.gz"):
        (source,) = find_sources([given], ("flair", "t1", "t2"))
        assert [path.name for path in source.files] == ["S_FLAIR.nii.gz", "S_T1.nii.gz", "S_t2.NII.GZ"]


def test_a_folder_of_dicom_files_is_one_series(tmp_path):
    root = touch(tmp_path / "in", "notes.txt")
    for number in range(3):
        (root / "series").mkdir(exist_ok=True)
        (root / "series" / f"IM{number}").write_bytes(b"\0" * 128 + b"DICM")
    (source,) = find_sources([root], ("volume",))
    assert (source.name, source.files) == ("series", (root / "series",))
    (same,) = find_sources([root / "series"], ("volume",))
    assert same.name == "series"


def test_the_contents_of_a_disc_are_no_series(tmp_path):
    root = touch(tmp_path / "disc", "DICOMDIR", "IMAGES/IM0", "IMAGES/IM1")
    for path in root.rglob("*"):
        if path.is_file():
            path.write_bytes(b"\0" * 128 + b"DICM")
    (source,) = find_sources([root], ("volume",))
    assert source.name == "IMAGES"


def test_nothing_to_read_is_named(tmp_path):
    root = touch(tmp_path / "in", "notes.txt")
    with pytest.raises(InputError, match="in: found an empty folder or nothing to read, expected NIfTI volumes"):
        find_sources([root], ("flair",))


def test_results_below_an_input_are_no_inputs(tmp_path):
    root = touch(tmp_path / "in", "a.png", "out/maps/a.png.tif", "out/scores.csv", "out/b.png")
    results = {(root / "out" / name).resolve() for name in ("maps", "scores.csv")}
    assert [source.name for source in find_sources([root], (), results)] == ["a.png", "out/b.png"]


@pytest.mark.parametrize("modalities", [(), ("volume",)])
def test_results_of_earlier_predictions_below_an_input_are_no_inputs(tmp_path, modalities):
    written = [f"old/{name}" for name in ("scores.csv", "run.json", "maps/a.nii", "masks/a.nii", "overlays/a.nii.png")]
    root = touch(tmp_path / "in", "a.nii", "old/b.nii", "other/maps/c.nii", *written)
    assert [source.name for source in find_sources([root], modalities)] == ["a.nii", "old/b.nii", "other/maps/c.nii"]


def test_folders_behind_links_are_searched_once(tmp_path):
    root = touch(tmp_path / "in", "a.png")
    elsewhere = touch(tmp_path / "elsewhere", "b.png")
    (root / "link").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(root)
    assert [source.name for source in find_sources([root], ())] == ["a.png", "link/b.png"]


def test_what_cannot_be_opened_is_listed_with_its_problem(tmp_path):
    root = touch(tmp_path / "in", "s1/scan.nii.gz")
    (root / "s1" / "gone").symlink_to(tmp_path / "absent")
    os.mkfifo(root / "pipe")
    (root / "self").symlink_to(root / "self")
    for modalities in ((), ("volume",)):
        problems = {source.name: bool(source.problem) for source in find_sources([root], modalities)}
        assert problems == {"pipe": True, "self": True, "s1/gone": True, "s1/scan.nii.gz": False}


def test_a_folder_that_cannot_be_listed_is_listed_with_its_problem(tmp_path, monkeypatch):
    root = touch(tmp_path / "in", "a.png", "locked/b.png")
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = find_sources([root], ())
    assert [source.name for source in found] == ["a.png", "locked"]
    assert "found a folder that cannot be read (Permission denied)" in found[1].problem


def test_volumes_that_would_share_a_map_are_not_all_predicted(tmp_path):
    root = touch(tmp_path / "in", "a.nii", "a.nii.gz")
    first, second = find_sources([root], ("volume",))
    assert (first.name, first.problem) == ("a.nii", "")
    assert "beside a.nii, whose results have the same name" in second.problem


def test_a_series_beside_a_volume_is_found_too(tmp_path):
    root = touch(tmp_path / "in", "s1/scan.nii.gz")
    (root / "s1" / "IM0").write_bytes(b"\0" * 128 + b"DICM")
    assert [source.name for source in find_sources([root], ("volume",))] == ["s1/scan.nii.gz", "s1"]


def test_a_single_file_of_a_series_is_refused(tmp_path):
    (tmp_path / "IM0").write_bytes(b"\0" * 128 + b"DICM")
    with pytest.raises(InputError, match="found one file of a DICOM series, expected the folder"):
        find_sources([tmp_path / "IM0"], ("volume",))


def test_files_of_one_name_are_called_by_their_folders(tmp_path):
    root = touch(tmp_path, "p1/flair.nii.gz", "p2/flair.nii.gz")
    given = [root / "p1/flair.nii.gz", root / "p2/flair.nii.gz"]
    assert [source.name for source in find_sources(given, ("flair",))] == ["p1/flair.nii.gz", "p2/flair.nii.gz"]


def test_a_name_that_is_no_text_is_escaped(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(b"")
    assert [source.name for source in find_sources([tmp_path], ())] == ["caf\\xe9.png"]
