# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Prepared arrays on disk."""

import numpy as np
import pytest

from anomalib_patchgan.data.cache import (
    default_cache_dir,
    entry_folder,
    has_entry,
    open_array,
    read_facts,
    write_entry,
)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.nii.gz"
    path.write_bytes(b"volume")
    return path


def test_an_entry_is_read_back_without_being_loaded(tmp_path, source):
    folder = entry_folder(tmp_path / "cache", source, {"kind": "volume"})
    assert not has_entry(folder)
    array = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    write_entry(folder, array, {"origin": [1, 2, 3]})
    assert has_entry(folder)
    assert isinstance(open_array(folder), np.memmap)
    np.testing.assert_array_equal(open_array(folder), array)
    assert read_facts(folder) == {"origin": [1, 2, 3]}


def test_an_entry_depends_on_source_and_settings(tmp_path, source):
    first = entry_folder(tmp_path, source, {"size": 1})
    assert entry_folder(tmp_path, source, {"size": 1}) == first
    assert entry_folder(tmp_path, source, {"size": 2}) != first
    source.write_bytes(b"another")
    assert entry_folder(tmp_path, source, {"size": 1}) != first


def test_a_failed_write_leaves_nothing(tmp_path, source, monkeypatch):
    def full_disk(*_arguments, **_keywords):
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "save", full_disk)
    folder = entry_folder(tmp_path / "cache", source, {})
    with pytest.raises(OSError, match="no space left"):
        write_entry(folder, np.zeros(3), {})
    assert not has_entry(folder)
    assert not list(folder.parent.iterdir())


def test_the_second_writer_of_an_entry_changes_nothing(tmp_path, source):
    folder = entry_folder(tmp_path / "cache", source, {})
    write_entry(folder, np.ones(3), {})
    write_entry(folder, np.ones(3), {})
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_the_cache_follows_the_users_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "anomalib_patchgan"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_cache_dir() == tmp_path / "home" / ".cache" / "anomalib_patchgan"
