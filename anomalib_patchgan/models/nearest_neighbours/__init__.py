# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Nearest neighbours of thumbnails."""

from anomalib_patchgan.models.nearest_neighbours.lightning_model import NearestNeighbours

__all__ = ["NearestNeighbours"]
