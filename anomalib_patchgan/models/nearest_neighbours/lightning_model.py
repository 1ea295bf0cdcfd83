# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Nearest neighbours of thumbnails by anomalib's model contract."""

from anomalib.metrics import Evaluator
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer

from anomalib_patchgan.models.components.fitted_once import FittedOnce
from anomalib_patchgan.models.nearest_neighbours.torch_model import NearestNeighboursModel


class NearestNeighbours(FittedOnce):
    """Distance of a thumbnail to the nearest thumbnails of normal images.

    Args:
        image_size (int): Side of the thumbnail in pixels. Chosen by us.
            Defaults to ``32``.
        neighbours (int): How many nearest neighbours are averaged over. Chosen by us.
            Defaults to ``5``.
        pre_processor (PreProcessor | bool): Pre-processor, or whether to use the default (resize to image_size).
            Defaults to ``True``.
        post_processor (PostProcessor | bool): Post-processor, or whether to use the default.
            Defaults to ``True``.
        evaluator (Evaluator | bool): Evaluator, or whether to use anomalib's default.
            Defaults to ``True``.
        visualizer (Visualizer | bool): Visualizer, or whether to use anomalib's default.
            Defaults to ``True``.
    """

    def __init__(
        self,
        image_size: int = 32,
        neighbours: int = 5,
        pre_processor: PreProcessor | bool = True,
        post_processor: PostProcessor | bool = True,
        evaluator: Evaluator | bool = True,
        visualizer: Visualizer | bool = True,
    ) -> None:
        super().__init__((image_size, image_size), pre_processor, post_processor, evaluator, visualizer)
        self.model = NearestNeighboursModel(neighbours)
