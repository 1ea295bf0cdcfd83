# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""DICOM files and series."""

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import JPEGLSLossless, generate_uid

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import (
    axial_volume,
    header_of,
    is_dicom,
    read_dicom_grid,
    read_raster,
    read_volume,
    read_volume_header,
    write_grid,
)
from anomalib_patchgan.io.dicom import read_dicom

PIXELS = np.array([[0, 1, 2000], [4095, 5, 6]], dtype=np.uint16)
VOLUME = np.random.default_rng(0).integers(-1000, 1000, (5, 4, 6)).astype(np.int16)


class TestPixels:
    def test_slope_and_intercept_are_applied(self, tmp_path, dicom_writer):
        path = dicom_writer(tmp_path / "ct", PIXELS, bits=12, RescaleSlope=2, RescaleIntercept=-1024)
        np.testing.assert_array_equal(read_dicom(path).frames[0], PIXELS * 2.0 - 1024)

    def test_inverted_grey_is_turned_over(self, tmp_path, dicom_writer):
        path = dicom_writer(tmp_path / "cr", PIXELS, bits=12, photometric="MONOCHROME1")
        np.testing.assert_array_equal(read_dicom(path).frames[0], 4095 - PIXELS.astype(int))

    def test_inverted_signed_grey_is_turned_over(self, tmp_path, dicom_writer):
        path = dicom_writer(tmp_path / "cr", VOLUME[0], photometric="MONOCHROME1")
        np.testing.assert_array_equal(read_dicom(path).frames[0], -1 - VOLUME[0].astype(int))

    def test_negative_values_are_kept(self, tmp_path, dicom_writer):
        np.testing.assert_array_equal(read_dicom(dicom_writer(tmp_path / "ct", VOLUME[0])).frames[0], VOLUME[0])

    def test_the_window_is_not_applied(self, tmp_path, dicom_writer):
        path = dicom_writer(tmp_path / "ct", PIXELS, WindowCenter=40, WindowWidth=10)
        np.testing.assert_array_equal(read_dicom(path).frames[0], PIXELS)

    def test_colours_are_read_by_the_raster_reader(self, tmp_path, dicom_writer):
        colours = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)
        raster = read_raster(dicom_writer(tmp_path / "photo.dcm", colours, bits=8, photometric="RGB"))
        assert raster.bits == 8
        np.testing.assert_array_equal(raster.values, colours.transpose(2, 0, 1))

    def test_eight_bits_that_are_rescaled_are_not_a_photograph(self, tmp_path, dicom_writer):
        path = dicom_writer(tmp_path / "pet", PIXELS.astype(np.uint8), bits=8, RescaleSlope=3, RescaleIntercept=0)
        assert read_raster(path).bits > 8

    def test_frames_become_a_stack(self, tmp_path, dicom_writer):
        path = dicom_writer(tmp_path / "cine", VOLUME, frames=len(VOLUME))
        np.testing.assert_array_equal(read_dicom(path).frames, VOLUME)

    def test_several_frames_are_not_one_image(self, tmp_path, dicom_writer):
        path = dicom_writer(tmp_path / "cine", VOLUME, frames=len(VOLUME))
        with pytest.raises(InputError, match="cine: found 5 frames, expected one image"):
            read_raster(path)

    def test_a_palette_is_refused(self, tmp_path, dicom_writer):
        path = dicom_writer(tmp_path / "palette", PIXELS, photometric="PALETTE COLOR")
        with pytest.raises(InputError, match="photometric interpretation PALETTE COLOR"):
            read_dicom(path)

    @pytest.mark.skipif(get_decoder(JPEGLSLossless).is_available, reason="a codec for JPEG-LS is installed")
    def test_a_missing_codec_is_named(self, tmp_path, dicom_writer):
        path = _with_syntax(dicom_writer(tmp_path / "plain", PIXELS), JPEGLSLossless)
        with pytest.raises(InputError, match=r"compressed as JPEG-LS Lossless.*expected a codec.*pyjpegls"):
            read_dicom(path)

    def test_cut_pixels_are_named(self, tmp_path, dicom_writer):
        path = dicom_writer(tmp_path / "cut", PIXELS)
        path.write_bytes(path.read_bytes()[:-6])
        with pytest.raises(InputError, match="cut: found"):
            read_dicom(path)

    def test_another_file_is_no_dicom(self, tmp_path):
        (tmp_path / "text").write_text("hello")
        assert not is_dicom(tmp_path / "text")


class TestSeries:
    def test_slices_are_sorted_by_position_not_by_name(self, tmp_path, series_writer):
        found = axial_volume(read_dicom_grid(series_writer(tmp_path / "axial", VOLUME)))
        np.testing.assert_array_equal(found.data, VOLUME)
        assert found.spacing == pytest.approx((3.0, 2.0, 1.5))

    def test_sagittal_slices_become_axial(self, tmp_path, series_writer):
        # A row runs to the back, a column to the feet, and so slices follow each other to the patient's right.
        found = axial_volume(
            read_dicom_grid(series_writer(tmp_path / "sagittal", VOLUME, row=(0, 1, 0), column=(0, 0, -1)))
        )
        # The slices of the result are then the rows from the last on, its rows the columns, its columns the slices.
        np.testing.assert_array_equal(found.data, VOLUME.transpose(1, 2, 0)[::-1, :, ::-1])
        assert found.spacing == pytest.approx((2.0, 1.5, 3.0))

    def test_a_series_written_as_nifti_is_the_same_volume(self, tmp_path, series_writer):
        grid = read_dicom_grid(series_writer(tmp_path / "sagittal", VOLUME, row=(0, 1, 0), column=(0, 0, -1)))
        write_grid(tmp_path / "sagittal.nii.gz", grid)
        volume, again = axial_volume(grid), read_volume(tmp_path / "sagittal.nii.gz")
        np.testing.assert_array_equal(again.data, volume.data)
        assert again.spacing == pytest.approx(volume.spacing)
        assert read_volume_header(tmp_path / "sagittal.nii.gz").centre == pytest.approx(header_of(grid).centre)

    def test_a_missing_slice_is_refused(self, tmp_path, series_writer):
        folder = series_writer(tmp_path / "gap", VOLUME, skip=(2,))
        with pytest.raises(InputError, match=r"6\.00 mm behind IM0004, where slices are 3\.00 mm apart"):
            read_dicom_grid(folder)

    @pytest.mark.parametrize("kept", [0, 100])
    def test_a_last_slice_that_was_hardly_copied_is_refused(self, tmp_path, series_writer, kept):
        folder = series_writer(tmp_path / "cut", VOLUME)
        last = max(folder.iterdir())
        last.write_bytes(last.read_bytes()[:kept])
        with pytest.raises(InputError, match="found an empty file among those of a series"):
            read_dicom_grid(folder)

    def test_a_slice_twice_is_refused(self, tmp_path, series_writer):
        folder = series_writer(tmp_path / "twice", VOLUME)
        (folder / "copy").write_bytes((folder / "IM0003").read_bytes())
        with pytest.raises(InputError, match="expected each slice once"):
            read_dicom_grid(folder)

    def test_another_orientation_is_refused(self, tmp_path, series_writer):
        series_writer(tmp_path / "mixed", VOLUME)
        series_writer(tmp_path / "other", VOLUME[:1], row=(0, 1, 0), column=(0, 0, -1))
        (tmp_path / "other" / "IM0001").rename(tmp_path / "mixed" / "localiser")
        with pytest.raises(InputError, match="localiser: found another orientation"):
            read_dicom_grid(tmp_path / "mixed")

    def test_two_series_are_refused(self, tmp_path, series_writer, dicom_writer):
        folder = series_writer(tmp_path / "two", VOLUME)
        dicom_writer(folder / "other", VOLUME[0], SeriesInstanceUID=generate_uid())
        with pytest.raises(InputError, match="found files of 2 series"):
            read_dicom_grid(folder)

    def test_a_tilted_gantry_is_refused(self, tmp_path, dicom_writer):
        for index, pixels in enumerate(VOLUME):
            dicom_writer(
                tmp_path / "tilted" / str(index),
                pixels,
                ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
                ImagePositionPatient=[0, index * 1.0, index * 3.0],
                PixelSpacing=[1, 1],
            )
        with pytest.raises(InputError, match="shifted sideways"):
            read_dicom_grid(tmp_path / "tilted")

    def test_a_slice_without_position_is_named(self, tmp_path, dicom_writer):
        for index in range(2):
            dicom_writer(tmp_path / "plain" / str(index), VOLUME[index])
        with pytest.raises(InputError, match="0: found no orientation or pixel spacing"):
            read_dicom_grid(tmp_path / "plain")

    def test_an_empty_folder_is_named(self, tmp_path):
        with pytest.raises(InputError, match="found 0 DICOM files"):
            read_dicom_grid(tmp_path)


def _with_syntax(path, syntax):
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = syntax
    data.PixelData = encapsulate([data.PixelData])
    data["PixelData"].VR = "OB"
    target = path.with_name("compressed")
    pydicom.dcmwrite(target, data)
    return target
