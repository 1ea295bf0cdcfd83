# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Maximum intensity by anomalib's model contract."""

from anomalib.metrics import Evaluator
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer

from anomalib_patchgan.models.components.fitted_once import FittedOnce
from anomalib_patchgan.models.maximum_intensity.torch_model import MaximumIntensityModel


class MaximumIntensity(FittedOnce):
    """The brightest smoothed spot: lesions that are only ever bright need no more.

    Args:
        spot_size (int): Side of the square that intensities are averaged over, in pixels, odd. Chosen by us.
            Defaults to ``5``.
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
        spot_size: int = 5,
        pre_processor: PreProcessor | bool = True,
        post_processor: PostProcessor | bool = True,
        evaluator: Evaluator | bool = True,
        visualizer: Visualizer | bool = True,
    ) -> None:
        super().__init__(None, pre_processor, post_processor, evaluator, visualizer)
        self.model = MaximumIntensityModel(spot_size)
