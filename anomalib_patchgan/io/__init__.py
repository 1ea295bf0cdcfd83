# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Readers of volumes, photographs and masks, and intensity scaling. Nothing here needs torch."""

from anomalib_patchgan.io.images import (
    read_mask,
    read_photograph,
    read_photograph_size,
    resize_image,
    resize_mask,
    size_with_shorter_side,
    write_png,
)
from anomalib_patchgan.io.intensity import IntensityRange, tissue_range
from anomalib_patchgan.io.nifti import Volume, VolumeHeader, read_volume, read_volume_header

__all__ = [
    "IntensityRange",
    "Volume",
    "VolumeHeader",
    "read_mask",
    "read_photograph",
    "read_photograph_size",
    "read_volume",
    "read_volume_header",
    "resize_image",
    "resize_mask",
    "size_with_shorter_side",
    "tissue_range",
    "write_png",
]
