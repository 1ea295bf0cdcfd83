# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Per-pixel Gaussian atlas by anomalib's model contract."""

from anomalib.metrics import Evaluator
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer

from anomalib_patchgan.models.components.fitted_once import FittedOnce
from anomalib_patchgan.models.gaussian_atlas.torch_model import GaussianAtlasModel


class GaussianAtlas(FittedOnce):
    """A Gaussian for every pixel: what a network has to beat where anatomy is aligned.

    Args:
        image_size (int): Side that images are resized to, in pixels. Chosen by us.
            Defaults to ``64``.
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
        image_size: int = 64,
        pre_processor: PreProcessor | bool = True,
        post_processor: PostProcessor | bool = True,
        evaluator: Evaluator | bool = True,
        visualizer: Visualizer | bool = True,
    ) -> None:
        super().__init__((image_size, image_size), pre_processor, post_processor, evaluator, visualizer)
        self.model = GaussianAtlasModel(image_size)
