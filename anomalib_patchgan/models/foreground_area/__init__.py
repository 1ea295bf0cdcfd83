# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Foreground area."""

from anomalib_patchgan.models.foreground_area.lightning_model import ForegroundArea

__all__ = ["ForegroundArea"]
