# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Phantoms: synthetic cohorts in the file layout of the real ones, for runs without a download.

They exercise the whole path from files to report. They have no clinical value: see docs/phantoms.md.
"""

from anomalib_patchgan.data.phantoms.brain import BrainPhantoms, HealthyBrainPhantoms
from anomalib_patchgan.data.phantoms.level import Level
from anomalib_patchgan.data.phantoms.manifest import ManifestPhantoms
from anomalib_patchgan.data.phantoms.skin import SkinPhantoms
from anomalib_patchgan.data.phantoms.tree import HEALTHY_TWINS, MARKER, read_parameters

__all__ = [
    "HEALTHY_TWINS",
    "MARKER",
    "BrainPhantoms",
    "HealthyBrainPhantoms",
    "Level",
    "ManifestPhantoms",
    "SkinPhantoms",
    "read_parameters",
]
