# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Two-dimensional images of any depth."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import IntensityRange, Raster, read_raster, read_raster_mask, scale_raster

DEEP = np.array([[0, 300, 40000], [65535, 1, 257]], dtype=np.uint16)
SHALLOW = np.array([[0, 128, 255], [1, 2, 3]], dtype=np.uint8)


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_sixteen_bits_are_kept(tmp_path, ending):
    Image.fromarray(DEEP).save(tmp_path / f"deep.{ending}")
    raster = read_raster(tmp_path / f"deep.{ending}")
    assert raster.bits == 16
    np.testing.assert_array_equal(raster.values, DEEP[None])


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_eight_bits_stay_grey(tmp_path, ending):
    Image.fromarray(SHALLOW).save(tmp_path / f"grey.{ending}")
    raster = read_raster(tmp_path / f"grey.{ending}")
    assert raster.bits == 8
    np.testing.assert_array_equal(raster.values, SHALLOW[None])


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_colours_come_first(tmp_path, ending):
    colours = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / f"colour.{ending}")
    np.testing.assert_array_equal(read_raster(tmp_path / f"colour.{ending}").values, colours.transpose(2, 0, 1))


def test_big_endian_tiff_is_read(tmp_path):
    Image.fromarray(DEEP.astype(">u2")).save(tmp_path / "big.tiff")
    np.testing.assert_array_equal(read_raster(tmp_path / "big.tiff").values[0], DEEP)


def test_tiff_in_which_white_is_zero_is_inverted(tmp_path):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0
    Image.fromarray(DEEP).save(tmp_path / "negative.tiff", tiffinfo=tags)
    with Image.open(tmp_path / "negative.tiff") as picture:
        assert picture.tag_v2[262] == 0
    np.testing.assert_array_equal(read_raster(tmp_path / "negative.tiff").values[0], 65535 - DEEP)


def test_several_pages_are_refused(tmp_path):
    pages = [Image.fromarray(SHALLOW), Image.fromarray(SHALLOW)]
    pages[0].save(tmp_path / "pages.tiff", save_all=True, append_images=pages[1:])
    with pytest.raises(InputError, match=r"pages\.tiff: found 2 pages, expected one image"):
        read_raster(tmp_path / "pages.tiff")


def test_deep_colours_are_refused_rather_than_cut(tmp_path):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header, pixels = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0), zlib.compress(b"\0" + b"\x12\x34" * 3)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(content)
    with pytest.raises(InputError, match=r"deep\.png: found PNG with several channels of 16 bits"):
        read_raster(tmp_path / "deep.png")


def test_deep_colours_in_tiff_are_refused(tmp_path):
    Image.fromarray(np.zeros((2, 2, 3), dtype=np.uint8)).save(tmp_path / "colour.tiff")
    content = bytearray((tmp_path / "colour.tiff").read_bytes())
    place = content.index(struct.pack("<HHH", 8, 8, 8))
    content[place : place + 6] = struct.pack("<HHH", 16, 16, 16)
    content += b"\0" * 64
    (tmp_path / "colour.tiff").write_bytes(content)
    with pytest.raises(InputError, match=r"colour\.tiff: found TIFF with several channels of 16 bits"):
        read_raster(tmp_path / "colour.tiff")


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    Image.new("L", (40, 40)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match=r"large\.png: found too many pixels"):
        read_raster(tmp_path / "large.png")


@pytest.mark.parametrize("content", [b"", b"II*\0 and then nothing", b"\x89PNG\r\n\x1a\n"])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "broken.tif").write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.tif: found a file that cannot be read"):
        read_raster(tmp_path / "broken.tif")


@pytest.mark.parametrize("largest", [1, 2, 255])
def test_a_mask_is_what_is_not_zero(tmp_path, largest):
    mask = np.array([[0, largest], [1, 0]], dtype=np.uint8)
    Image.fromarray(mask).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_raster_mask(tmp_path / "mask.png"), mask > 0)


@pytest.mark.parametrize("header", [{"RescaleSlope": 1, "RescaleIntercept": -1024}, {"photometric": "MONOCHROME1"}])
def test_a_mask_in_dicom_is_what_is_stored(tmp_path, dicom_writer, header):
    mask = np.array([[0, 3], [1, 0]], dtype=np.uint16)
    path = dicom_writer(tmp_path / "mask.dcm", mask, **header)
    np.testing.assert_array_equal(read_raster_mask(path), mask > 0)


def test_a_mask_with_a_palette_that_agrees_is_read_and_another_is_refused(tmp_path):
    indices = np.array([[0, 1], [1, 0]], dtype=np.uint8)
    mask = Image.fromarray(indices, mode="P")
    for name, palette in (("clear", (0, 0, 0, 255, 0, 0)), ("turned", (255, 255, 255, 0, 0, 0)), ("dark", (68, 1, 84))):
        mask.putpalette(palette)
        mask.save(tmp_path / f"{name}.png")
    np.testing.assert_array_equal(read_raster_mask(tmp_path / "clear.png"), indices > 0)
    for name in ("turned", "dark"):
        with pytest.raises(InputError, match=f"{name}.png: found a palette in which not 0 alone is black"):
            read_raster_mask(tmp_path / f"{name}.png")


def test_a_jpeg_is_no_mask(tmp_path):
    Image.fromarray(SHALLOW).save(tmp_path / "mask.jpg")
    with pytest.raises(InputError, match="expected a mask in a format without loss"):
        read_raster_mask(tmp_path / "mask.jpg")


def test_eight_bits_are_divided_by_255_whatever_is_declared():
    raster = Raster(SHALLOW[None].astype(np.float32), 8)
    np.testing.assert_allclose(scale_raster(raster, IntensityRange(0, 10)), SHALLOW[None] / 255, atol=1e-7)


def test_a_declared_range_is_the_same_for_all_deep_images():
    raster = Raster(np.array([[[-200, 40, 300]]], dtype=np.float32), 16)
    np.testing.assert_allclose(scale_raster(raster, IntensityRange(-160, 240)), [[[0, 0.5, 1]]])


def test_without_a_declared_range_the_upper_quartile_becomes_half():
    values = np.arange(1, 1001, dtype=np.float32).reshape(1, 10, 100)
    scaled = scale_raster(Raster(values, 16), None)
    assert np.quantile(scaled, 0.75) == pytest.approx(0.5, abs=1e-3)


def test_an_image_of_one_intensity_has_no_range():
    assert scale_raster(Raster(np.full((1, 3, 3), 7, dtype=np.float32), 16), None) is None
