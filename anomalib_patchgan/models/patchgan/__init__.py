# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Patch-GAN: masked reconstruction, patch authenticity, patch novelty and targeted ranking."""

from anomalib_patchgan.models.patchgan.lightning_model import PatchGan

__all__ = ["PatchGan"]
