# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Random score."""

from anomalib_patchgan.models.random_score.lightning_model import RandomScore

__all__ = ["RandomScore"]
