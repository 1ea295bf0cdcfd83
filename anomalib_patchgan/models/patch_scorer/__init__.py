# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A scorer of patches, trained on corrupted images alone."""

from anomalib_patchgan.models.patch_scorer.lightning_model import PatchScorer

__all__ = ["PatchScorer"]
