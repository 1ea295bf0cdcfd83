# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The base of models that look at the training images once and then fit, instead of learning by gradient."""

from typing import Any

import torch
from anomalib import LearningType
from anomalib.data import ImageBatch
from anomalib.metrics import Evaluator
from anomalib.models.components import AnomalibModule, MemoryBankMixin
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor
from torchvision.transforms.v2 import Compose, Resize

from anomalib_patchgan.models.components.post_processor import CalibratedPostProcessor


class FittedOnce(MemoryBankMixin, AnomalibModule):
    """One pass over the training images, then ``self.model.fit(images)``.

    A subclass builds ``self.model``, a torch module with ``fit(images [n, 3, H, W])`` whose forward gives an
    ``InferenceBatch``.

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
        self._images: list[Tensor] = []

    def configure_post_processor(self) -> PostProcessor:
        """Calibrated scores that keep the ranking, and a threshold from normal images alone."""
        return CalibratedPostProcessor()

    @staticmethod
    def configure_optimizers() -> None:
        """Nothing is learned by gradient."""
        return

    def training_step(self, batch: ImageBatch, *args: Any, **kwargs: Any) -> STEP_OUTPUT:
        """Collect the batch's images [N, 3, H, W]; the returned loss is 0."""
        del args, kwargs
        self._images.append(batch.image.detach())
        return torch.tensor(0.0, requires_grad=True, device=self.device)

    def fit(self) -> None:
        """Fit the torch model to the collected images and forget them."""
        self.model.fit(torch.cat(self._images))
        self._images = []

    def validation_step(self, batch: ImageBatch, *args: Any, **kwargs: Any) -> STEP_OUTPUT:
        """Score a validation batch."""
        del args, kwargs
        return batch.update(**self.model(batch.image)._asdict())

    @property
    def trainer_arguments(self) -> dict[str, Any]:
        """One epoch, no sanity check, one device."""
        return {"max_epochs": 1, "num_sanity_val_steps": 0, "devices": 1}

    @property
    def learning_type(self) -> LearningType:
        """Trained on normal images only."""
        return LearningType.ONE_CLASS
