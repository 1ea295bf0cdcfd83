# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The base of models that look at the training images once and then fit, instead of learning by gradient."""

from typing import Any, Protocol

import torch
from anomalib import LearningType
from anomalib.data import ImageBatch
from anomalib.metrics import Evaluator
from anomalib.models.components import MemoryBankMixin
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor
from torchvision.transforms.v2 import Compose, Resize

from anomalib_patchgan.models.components.post_processor import CalibratedPostProcessor
from anomalib_patchgan.models.components.precision import full_precision
from anomalib_patchgan.models.components.scoring import ScoredInFullPrecision


class Fittable(Protocol):
    """What the torch module of such a model offers beside a forward that gives an ``InferenceBatch``."""

    def condense(self, images: Tensor) -> Tensor:
        """Reduce a batch of normal images [N, 3, H, W] to what the fit needs of it, [any, ...]."""

    def fit(self, condensed: Tensor) -> None:
        """Fit to the condensed batches, joined along their first axis."""


class FittedOnce(MemoryBankMixin, ScoredInFullPrecision):
    """One pass over the training images, then a fit to what was kept of them.

    A subclass builds ``self.model``, a torch module that is also :class:`Fittable`. Batches are condensed as they come,
    so that a collection of any size fits into memory.

    Args:
        image_size: Height and width that images are resized to, or None to take them as they come.
        pre_processor: Pre-processor, or whether to use the default (resize to image_size).
        post_processor: Post-processor, or whether to use the default (calibrated, not clamped).
        evaluator: Evaluator, or whether to use anomalib's default.
        visualizer: Visualizer, or whether to use anomalib's default.
    """

    def __init__(
        self,
        image_size: tuple[int, int] | None,
        pre_processor: PreProcessor | bool,
        post_processor: PostProcessor | bool,
        evaluator: Evaluator | bool,
        visualizer: Visualizer | bool,
    ) -> None:
        resize = PreProcessor(transform=Compose([Resize(image_size, antialias=True)])) if image_size else False
        super().__init__(
            pre_processor=resize if pre_processor is True else pre_processor,
            post_processor=post_processor,
            evaluator=evaluator,
            visualizer=visualizer,
        )
        self._condensed: list[Tensor] = []

    def configure_post_processor(self) -> PostProcessor:
        """Calibrated scores that keep the ranking, and a threshold from normal images alone."""
        return CalibratedPostProcessor()

    @staticmethod
    def configure_optimizers() -> None:
        """Nothing is learned by gradient."""
        return

    def training_step(self, batch: ImageBatch, *args: Any, **kwargs: Any) -> STEP_OUTPUT:
        """Keep what the fit needs of the batch's images [N, 3, H, W]; the returned loss is 0."""
        del args, kwargs
        with full_precision(self.device):
            self._condensed.append(self.model.condense(batch.image.detach()))
        return torch.tensor(0.0, requires_grad=True, device=self.device)

    def fit(self) -> None:
        """Fit the torch model to what was kept, and forget it."""
        self.model.fit(torch.cat(self._condensed))
        self._condensed = []

    @property
    def trainer_arguments(self) -> dict[str, Any]:
        """One epoch, no sanity check, one device."""
        return {"max_epochs": 1, "num_sanity_val_steps": 0, "devices": 1}

    @property
    def learning_type(self) -> LearningType:
        """Trained on normal images only."""
        return LearningType.ONE_CLASS
