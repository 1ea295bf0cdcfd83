# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Files appear whole or not at all, and whoever may read an ordinary file may read them."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from anomalib_patchgan.data.cache import entry_folder, source_sha256, write_entry
from anomalib_patchgan.io import NativeSpace, write_grid, write_png, write_whole
from anomalib_patchgan.io.whole_file import replaced_file

GRID = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.eye(4))


def test_what_fails_while_it_is_written_leaves_the_file_as_it_was(tmp_path):
    write_whole(tmp_path / "folder" / "file", b"old")

    def fill_the_disk():
        with replaced_file(tmp_path / "folder" / "file") as temporary:
            temporary.write_bytes(b"ne")
            raise OSError("disk full")

    with pytest.raises(OSError, match="full"):
        fill_the_disk()
    assert (tmp_path / "folder" / "file").read_bytes() == b"old"
    assert len(list((tmp_path / "folder").iterdir())) == 1


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_png(path, np.zeros((2, 3), np.uint8)),
        lambda path: write_grid(path, GRID),
        lambda path: NativeSpace(GRID).write(path, np.zeros((6, 5, 4), np.uint8), 1.0, "a map"),
        lambda path: write_whole(path, b""),
    ],
    ids=["png", "grid", "map", "bytes"],
)
def test_files_have_the_rights_of_any_other(tmp_path, write):
    (tmp_path / "plain").touch()
    write(tmp_path / "written.nii.gz")
    assert rights(tmp_path / "written.nii.gz") == rights(tmp_path / "plain")


def test_a_cache_can_be_shared(tmp_path):
    source, cache = tmp_path / "source", tmp_path / "cache"
    source.touch()
    (tmp_path / "plain").mkdir()
    entry = entry_folder(cache, source, {})
    write_entry(entry, np.zeros(3), {})
    source_sha256(cache, source)
    assert rights(entry) == rights(tmp_path / "plain")
    assert {rights(path) for path in cache.rglob("*") if path.is_file()} == {rights(source)}


def rights(path: Path) -> int:
    return path.stat().st_mode & 0o777
