# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Prepared photographs, and photographs that cannot be prepared."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from anomalib_patchgan.data.photographs import prepare_photograph
from anomalib_patchgan.errors import InputError


def write_pair(folder, size=(64, 48), mask_size=None):
    """Write a photograph and a mask of which the left half is set; sizes are columns and rows."""
    columns, rows = mask_size or size
    Image.effect_noise(size, 40).convert("RGB").save(folder / "skin.jpg")
    mask = Image.new("L", (columns, rows))
    mask.paste(255, (0, 0, columns // 2, rows))
    mask.save(folder / "mask.png")
    return folder / "skin.jpg", folder / "mask.png"


def test_a_photograph_that_is_no_image_is_named(tmp_path):
    photograph, mask = write_pair(tmp_path)
    photograph.write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"skin\.jpg: found a file that cannot be read"):
        prepare_photograph(photograph, mask, 32, tmp_path / "cache")


def test_a_photograph_that_breaks_off_is_named(tmp_path):
    photograph, mask = write_pair(tmp_path)
    photograph.write_bytes(photograph.read_bytes()[:-300])
    with pytest.raises(InputError, match=r"skin\.jpg: found a file that cannot be read .*truncated"):
        prepare_photograph(photograph, mask, 32, tmp_path / "cache")


def test_a_mask_of_another_size_is_named(tmp_path):
    photograph, mask = write_pair(tmp_path, mask_size=(64, 40))
    with pytest.raises(InputError, match=r"mask\.png: found 40 x 64 pixels, expected 48 x 64 as in skin\.jpg"):
        prepare_photograph(photograph, mask, 32, tmp_path / "cache")


def test_a_photograph_of_one_pixel_is_brought_to_the_working_size(tmp_path):
    prepared = prepare_photograph(*write_pair(tmp_path, size=(1, 1)), 32, tmp_path / "cache")
    assert prepared.colours.shape == (32, 32, 3)
    assert prepared.lesion.shape == (32, 32)


@pytest.fixture(scope="module")
def large_pair(tmp_path_factory):
    """A photograph of 10,000 x 10,000 pixels and its mask."""
    folder = tmp_path_factory.mktemp("large")
    side = 10_000
    Image.new("RGB", (side, side), (200, 150, 120)).save(folder / "skin.jpg")
    mask = Image.new("L", (side, side))
    mask.paste(255, (0, 0, side // 2, side))
    mask.save(folder / "mask.png", compress_level=1)
    return folder / "skin.jpg", folder / "mask.png"


def test_a_photograph_of_ten_thousand_pixels_a_side_is_prepared(large_pair, tmp_path):
    prepared = prepare_photograph(*large_pair, 64, tmp_path)
    assert prepared.colours.shape == (64, 64, 3)
    np.testing.assert_allclose(prepared.colours.reshape(-1, 3).mean(axis=0), (200, 150, 120), atol=4)
    assert prepared.lesion[:, :32].all()
    assert not prepared.lesion[:, 32:].any()


_READER = """
import resource, sys, warnings
from pathlib import Path
from anomalib_patchgan.io import read_photograph

warnings.simplefilter("ignore")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read_photograph(Path(sys.argv[1]), 256)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has another unit elsewhere")
def test_a_large_photograph_is_not_held_at_its_full_size(large_pair):
    command = [sys.executable, "-c", _READER, large_pair[0]]
    grown = int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    assert grown * 1024 < 0.25 * 3 * 10_000**2


def test_a_photograph_beyond_what_is_safe_is_named(tmp_path, monkeypatch):
    photograph, mask = write_pair(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match=r"skin\.jpg: found too many pixels"):
        prepare_photograph(photograph, mask, 32, tmp_path / "cache")
