# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A folder of phantoms is complete or not there, and nothing foreign is ever overwritten."""

import json
import os
import time

import pytest

from anomalib_patchgan.data.phantoms.tree import MARKER, read_parameters, write_tree
from anomalib_patchgan.errors import InputError

PARAMETERS = {"seed": 1, "size": [2, 3]}


def fill(folder):
    (folder / "content.txt").write_text("content")
    return {"subjects": ["a"]}


def fail_midway(folder):
    (folder / "content.txt").write_text("half")
    raise OSError("disk full")


def test_marker_holds_parameters_and_record(tmp_path):
    write_tree(tmp_path / "set", PARAMETERS, fill)
    assert json.loads((tmp_path / "set" / MARKER).read_text()) == {"parameters": PARAMETERS, "subjects": ["a"]}
    assert read_parameters(tmp_path / "set") == PARAMETERS


def test_second_write_does_not_run_the_generator(tmp_path):
    write_tree(tmp_path / "set", PARAMETERS, fill)
    write_tree(tmp_path / "set", PARAMETERS, fail_midway)
    assert (tmp_path / "set" / "content.txt").read_text() == "content"


def test_tuples_in_parameters_count_as_the_lists_they_become_in_json(tmp_path):
    write_tree(tmp_path / "set", {"size": (2, 3)}, fill)
    write_tree(tmp_path / "set", {"size": (2, 3)}, fail_midway)


def test_empty_folder_is_filled(tmp_path):
    (tmp_path / "set").mkdir()
    write_tree(tmp_path / "set", PARAMETERS, fill)
    assert (tmp_path / "set" / "content.txt").is_file()


def test_missing_parents_are_made(tmp_path):
    write_tree(tmp_path / "a" / "b" / "set", PARAMETERS, fill)
    assert (tmp_path / "a" / "b" / "set" / MARKER).is_file()


def test_relative_root_is_understood(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from pathlib import Path

    write_tree(Path("set"), PARAMETERS, fill)
    assert (tmp_path / "set" / MARKER).is_file()


def test_foreign_folder_is_refused_and_untouched(tmp_path):
    real = tmp_path / "real"
    real.mkdir()
    (real / "patient.nii.gz").write_bytes(b"precious")
    with pytest.raises(InputError, match=r"real: found a folder that has contents but no phantoms\.json"):
        write_tree(real, PARAMETERS, fill)
    assert [path.name for path in real.iterdir()] == ["patient.nii.gz"]
    assert [path.name for path in tmp_path.iterdir()] == ["real"]


def test_other_parameters_are_refused_naming_the_difference(tmp_path):
    write_tree(tmp_path / "set", PARAMETERS, fill)
    with pytest.raises(InputError, match=r"seed=1.*expected seed=2"):
        write_tree(tmp_path / "set", {**PARAMETERS, "seed": 2}, fill)
    assert read_parameters(tmp_path / "set") == PARAMETERS


def test_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "set").write_text("")
    with pytest.raises(InputError, match="found a file, expected a folder"):
        write_tree(tmp_path / "set", PARAMETERS, fill)


def test_unreadable_marker_is_refused(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / MARKER).write_text("{")
    with pytest.raises(InputError, match=r"phantoms\.json: found something unreadable"):
        write_tree(tmp_path / "set", PARAMETERS, fill)


def test_failure_leaves_nothing_behind(tmp_path):
    with pytest.raises(OSError, match="disk full"):
        write_tree(tmp_path / "set", PARAMETERS, fail_midway)
    assert list(tmp_path.iterdir()) == []


def test_leftover_of_a_killed_writer_does_not_disturb_and_goes_when_old(tmp_path):
    young, old = tmp_path / ".set.partial-young", tmp_path / ".set.partial-old"
    for leftover in (young, old):
        leftover.mkdir()
        (leftover / "half.txt").write_text("half")
    long_ago = time.time() - 2 * 3600
    for path in (old / "half.txt", old):
        os.utime(path, (long_ago, long_ago))
    write_tree(tmp_path / "set", PARAMETERS, fill)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".set.partial-young", "set"]


def test_same_phantoms_finished_by_another_process_meanwhile_are_kept(tmp_path):
    def overtaken(folder):
        write_tree(tmp_path / "set", PARAMETERS, fill)
        (folder / "content.txt").write_text("late")
        return {}

    write_tree(tmp_path / "set", PARAMETERS, overtaken)
    assert (tmp_path / "set" / "content.txt").read_text() == "content"
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_folder_without_marker_has_no_parameters(tmp_path):
    assert read_parameters(tmp_path) is None
