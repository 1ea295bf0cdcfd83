# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Prepared arrays on disk."""

import errno
import hashlib
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from anomalib_patchgan.data import cache
from anomalib_patchgan.data.cache import (
    default_cache_dir,
    entry_folder,
    has_entry,
    open_array,
    read_facts,
    source_sha256,
    write_entry,
)
from anomalib_patchgan.errors import InputError


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
    assert not list((tmp_path / "cache" / "unfinished").iterdir())


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


def test_new_content_of_the_same_size_and_age_is_noticed(tmp_path, source):
    folder = entry_folder(tmp_path / "cache", source, {})
    before = source.stat()
    source.write_bytes(b"VOLUME")
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert source.stat().st_mtime_ns == before.st_mtime_ns
    assert entry_folder(tmp_path / "cache", source, {}) != folder


def test_a_source_that_was_touched_or_moved_keeps_its_entry(tmp_path, source):
    folder = entry_folder(tmp_path / "cache", source, {})
    os.utime(source, (0, 0))
    assert entry_folder(tmp_path / "cache", source, {}) == folder
    moved = source.rename(tmp_path / "moved.nii.gz")
    assert entry_folder(tmp_path / "cache", moved, {}) == folder


def test_a_source_that_has_not_changed_for_a_while_is_not_read_again(tmp_path, source, monkeypatch):
    hashed = source_sha256(tmp_path / "cache", source)
    monkeypatch.setattr(time, "time_ns", lambda: source.stat().st_ctime_ns + 10**10)
    assert source_sha256(tmp_path / "cache", source) == hashed
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert source_sha256(tmp_path / "cache", source) == hashed


def test_a_source_that_cannot_be_read_is_named(tmp_path, source, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(hashlib, "file_digest", refuse)
    with pytest.raises(InputError, match=rf"{source.name}: found a file that cannot be read .*Permission denied"):
        entry_folder(tmp_path / "cache", source, {})


def test_a_damaged_record_of_a_source_is_written_again(tmp_path, source):
    hashed = source_sha256(tmp_path / "cache", source)
    (record,) = (tmp_path / "cache" / "sources").rglob("*.json")
    record.write_text("{")
    assert source_sha256(tmp_path / "cache", source) == hashed
    assert json.loads(record.read_text())["sha256"] == hashed


@pytest.mark.parametrize("name", ["array.npy", "facts.json"])
def test_an_entry_with_a_file_cut_short_is_replaced(tmp_path, source, name):
    folder = entry_folder(tmp_path / "cache", source, {})
    write_entry(folder, np.ones(100), {})
    os.truncate(folder / name, 20)
    assert not has_entry(folder)
    write_entry(folder, np.ones(100), {})
    assert has_entry(folder)
    np.testing.assert_array_equal(open_array(folder), np.ones(100))
    assert not list((tmp_path / "cache" / "unfinished").iterdir())


_WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from anomalib_patchgan.data import cache

folder, ready, go = (Path(name) for name in sys.argv[1:4])
save = np.save

def save_late(path, array):
    save(path, array)
    ready.touch()
    while not go.exists():
        time.sleep(0.01)

np.save = save_late
cache.write_entry(folder, np.arange(1000), {"whole": True})
"""


def start_writer(folder, ready, go):
    """Start a process that has written the array of an entry and waits before it renames it."""
    process = subprocess.Popen([sys.executable, "-c", _WRITER, folder, ready, go])
    deadline = time.monotonic() + 120
    while not ready.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def test_a_writer_that_is_killed_leaves_no_entry_and_its_remains_are_removed(tmp_path, source):
    folder = entry_folder(tmp_path / "cache", source, {})
    writer = start_writer(folder, tmp_path / "ready", tmp_path / "go")
    writer.kill()
    writer.wait()
    assert not folder.exists()
    (remains,) = (tmp_path / "cache" / "unfinished").iterdir()
    os.utime(remains, (0, 0))
    cache._remove_leftovers.cache_clear()
    write_entry(folder, np.ones(3), {})
    assert has_entry(folder)
    assert not list((tmp_path / "cache" / "unfinished").iterdir())


def test_two_processes_that_write_an_entry_at_once_leave_one(tmp_path, source):
    folder = entry_folder(tmp_path / "cache", source, {})
    go = tmp_path / "go"
    writers = [start_writer(folder, tmp_path / name, go) for name in ("first", "second")]
    assert len(list((tmp_path / "cache" / "unfinished").iterdir())) == 2
    go.touch()
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert read_facts(folder) == {"whole": True}
    assert not list((tmp_path / "cache" / "unfinished").iterdir())


def test_more_arrays_are_read_than_stay_open(tmp_path):
    for number in range(300):
        write_entry(tmp_path / "prepared" / "aa" / str(number), np.full(2, number), {})
    for number in range(300):
        assert open_array(tmp_path / "prepared" / "aa" / str(number))[0] == number
    assert open_array.cache_info().currsize <= 128
