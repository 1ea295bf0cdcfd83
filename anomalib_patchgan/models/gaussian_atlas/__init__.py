# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Per-pixel Gaussian atlas."""

from anomalib_patchgan.models.gaussian_atlas.lightning_model import GaussianAtlas

__all__ = ["GaussianAtlas"]
