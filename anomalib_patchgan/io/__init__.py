# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Readers of volumes, DICOM, photographs, rasters and masks, and intensity scaling. Nothing here needs torch."""

from anomalib_patchgan.io.colour import balance_colours, skin_balance
from anomalib_patchgan.io.dicom import axial_volume, is_dicom, read_dicom_grid, series_files
from anomalib_patchgan.io.images import (
    check_photograph_size,
    read_mask,
    read_photograph,
    read_photograph_size,
    resize_image,
    resize_mask,
    size_with_shorter_side,
    write_png,
)
from anomalib_patchgan.io.intensity import IntensityRange, check_background, tissue_range
from anomalib_patchgan.io.native_space import NativeSpace
from anomalib_patchgan.io.nifti import (
    ReadBuffer,
    Volume,
    VolumeHeader,
    check_same_grid,
    header_of,
    read_volume,
    read_volume_header,
)
from anomalib_patchgan.io.nifti_writer import write_grid
from anomalib_patchgan.io.raster import Raster, read_raster, read_raster_mask, scale_raster
from anomalib_patchgan.io.whole_file import write_whole

__all__ = [
    "IntensityRange",
    "NativeSpace",
    "Raster",
    "ReadBuffer",
    "Volume",
    "VolumeHeader",
    "axial_volume",
    "balance_colours",
    "check_background",
    "check_photograph_size",
    "check_same_grid",
    "header_of",
    "is_dicom",
    "read_dicom_grid",
    "read_mask",
    "read_photograph",
    "read_photograph_size",
    "read_raster",
    "read_raster_mask",
    "read_volume",
    "read_volume_header",
    "resize_image",
    "resize_mask",
    "scale_raster",
    "series_files",
    "size_with_shorter_side",
    "skin_balance",
    "tissue_range",
    "write_grid",
    "write_png",
    "write_whole",
]
