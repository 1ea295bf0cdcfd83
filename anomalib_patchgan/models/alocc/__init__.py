# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""ALOCC, adversarially learned one-class classifier."""

from anomalib_patchgan.models.alocc.lightning_model import Alocc

__all__ = ["Alocc"]
