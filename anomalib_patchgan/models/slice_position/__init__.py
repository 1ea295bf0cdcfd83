# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Slice position, a trivial comparator."""

from anomalib_patchgan.models.slice_position.lightning_model import SlicePosition

__all__ = ["SlicePosition"]
