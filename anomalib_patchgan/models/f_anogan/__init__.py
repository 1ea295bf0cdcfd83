# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""f-AnoGAN."""

from anomalib_patchgan.models.f_anogan.lightning_model import FAnoGan

__all__ = ["FAnoGan"]
