# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The base of our models that learn by gradient on images in [0, 1]."""

from typing import Any

from anomalib import LearningType
from anomalib.metrics import Evaluator
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer
from torchvision.transforms.v2 import Compose, Resize

from anomalib_patchgan.models.components.post_processor import CalibratedPostProcessor
from anomalib_patchgan.models.components.scoring import ScoredInFullPrecision


class Learned(ScoredInFullPrecision):
    """Images are resized, scores calibrated; a subclass builds ``self.model`` and says how it is trained.

    Args:
        image_size: Side that images are resized to, in pixels.
        pre_processor: Pre-processor, or whether to use the default (resize to image_size).
        post_processor: Post-processor, or whether to use the default (calibrated, not clamped).
        evaluator: Evaluator, or whether to use anomalib's default.
        visualizer: Visualizer, or whether to use anomalib's default.
    """

    def __init__(
        self,
        image_size: int,
        pre_processor: PreProcessor | bool,
        post_processor: PostProcessor | bool,
        evaluator: Evaluator | bool,
        visualizer: Visualizer | bool,
    ) -> None:
        resize = PreProcessor(transform=Compose([Resize((image_size, image_size), antialias=True)]))
        super().__init__(
            pre_processor=resize if pre_processor is True else pre_processor,
            post_processor=post_processor,
            evaluator=evaluator,
            visualizer=visualizer,
        )

    def configure_post_processor(self) -> PostProcessor:
        """Calibrated scores that keep the ranking, and a threshold from normal images alone."""
        return CalibratedPostProcessor()

    @property
    def trainer_arguments(self) -> dict[str, Any]:
        """No sanity check."""
        return {"num_sanity_val_steps": 0}

    @property
    def learning_type(self) -> LearningType:
        """Trained on normal images only."""
        return LearningType.ONE_CLASS
