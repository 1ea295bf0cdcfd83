# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Photographs, masks and intensity scaling."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import read_mask, read_photograph, resize_image, resize_mask, tissue_range, write_png


def test_the_readers_import_neither_torch_nor_anomalib():
    code = "import sys, anomalib_patchgan.io; sys.exit(bool({'torch', 'anomalib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_photograph_keeps_its_aspect(tmp_path):
    Image.new("RGB", (120, 60), (10, 20, 30)).save(tmp_path / "wide.png")
    photograph = read_photograph(tmp_path / "wide.png", shorter_side=20)
    assert photograph.shape == (20, 40, 3)
    assert (photograph == (10, 20, 30)).all()


def test_a_mask_is_true_where_the_file_is_bright(tmp_path):
    Image.fromarray(np.array([[0, 255], [127, 128]], dtype=np.uint8)).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), [[False, True], [False, True]])


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n and then nothing"])
def test_a_damaged_image_is_named(tmp_path, content):
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.png: found a file that cannot be read"):
        read_photograph(tmp_path / "broken.png")


def test_half_a_jpeg_is_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    path = tmp_path / "half.jpg"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(InputError, match=r"half\.jpg: found a file that cannot be read"):
        read_photograph(path)


def test_shrinking_is_antialiased():
    stripes = np.tile(np.array([0.0, 1.0], dtype=np.float32), (64, 32))
    assert np.ptp(resize_image(stripes, (16, 16))) < 0.2


@given(arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40))), st.integers(1, 50), st.integers(1, 50))
def test_a_resized_mask_is_empty_only_if_the_mask_is(mask, rows, columns):
    resized = resize_mask(mask, (rows, columns))
    assert resized.shape == (rows, columns)
    assert resized.any() == mask.any()


def test_a_mask_of_ones_stays_so():
    assert resize_mask(np.ones((7, 5), dtype=bool), (31, 12)).all()


def test_the_upper_quartile_becomes_a_half_and_what_lies_beyond_is_clipped():
    values = np.r_[np.linspace(1, 100, 1000), 10_000].astype(np.float32)
    intensity_range = tissue_range(values)
    assert intensity_range is not None
    assert intensity_range.scale(np.percentile(values, [75]).astype(np.float32))[0] == pytest.approx(0.5, abs=1e-3)
    assert intensity_range.scale(values).max() == 1


def test_a_bright_lesion_hardly_changes_how_healthy_tissue_is_scaled():
    healthy = np.random.default_rng(0).normal(500, 60, 20_000).astype(np.float32)
    lesion = healthy.copy()
    lesion[:1000] *= 2
    without, with_lesion = tissue_range(healthy), tissue_range(lesion)
    assert without is not None
    assert with_lesion is not None
    assert with_lesion.high == pytest.approx(without.high, rel=0.02)


@pytest.mark.parametrize("values", [[], [5.0], [3.0, 3.0, 3.0]])
def test_there_is_no_range_without_spread(values):
    assert tissue_range(np.array(values, dtype=np.float32)) is None


def test_a_written_png_leaves_no_other_file(tmp_path):
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    write_png(tmp_path / "new" / "picture.png", picture)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["picture.png"]
    np.testing.assert_array_equal(read_photograph(tmp_path / "new" / "picture.png"), picture)
