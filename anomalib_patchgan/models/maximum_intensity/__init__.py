# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Maximum intensity."""

from anomalib_patchgan.models.maximum_intensity.lightning_model import MaximumIntensity

__all__ = ["MaximumIntensity"]
