# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Foreground area by anomalib's model contract."""

from anomalib.metrics import Evaluator
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer

from anomalib_patchgan.models.components.fitted_once import FittedOnce
from anomalib_patchgan.models.foreground_area.torch_model import ForegroundAreaModel


class ForegroundArea(FittedOnce):
    """Share of the image that is no background: shows whether an image's label leaks through the size of the brain.

    Args:
        pre_processor (PreProcessor | bool): Pre-processor; the default takes images as they come.
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
        pre_processor: PreProcessor | bool = True,
        post_processor: PostProcessor | bool = True,
        evaluator: Evaluator | bool = True,
        visualizer: Visualizer | bool = True,
    ) -> None:
        super().__init__(None, pre_processor, post_processor, evaluator, visualizer)
        self.model = ForegroundAreaModel()
