# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Mean intensity, a trivial comparator."""

from anomalib_patchgan.models.mean_intensity.lightning_model import MeanIntensity

__all__ = ["MeanIntensity"]
