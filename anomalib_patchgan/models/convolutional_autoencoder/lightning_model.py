# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Convolutional autoencoder by anomalib's model contract."""

from typing import Any

import torch
from anomalib.data import ImageBatch
from anomalib.metrics import Evaluator
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch.nn import functional

from anomalib_patchgan.models.components.learned import Learned
from anomalib_patchgan.models.components.ranges import check_at_least, check_multiple
from anomalib_patchgan.models.convolutional_autoencoder.torch_model import STEP, ConvolutionalAutoencoderModel


class ConvolutionalAutoencoder(Learned):
    """Autoencoder trained on normal images with a squared error, one of the comparators in the precursor's scripts.

    Args:
        image_size (int): Side that images are resized to, in pixels, a multiple of 8.
            Defaults to ``64``.
        width (int): Channels after the first halving of the resolution, at least 1.
            Defaults to ``32``.
        latent_channels (int): Channels of the bottleneck at an eighth of the resolution, at least 1; 8 keeps 1 / 24 of
            the values.
            Defaults to ``8``.
        learning_rate (float): Step size >= 0 of Adam.
            Defaults to ``1e-3``.
        pre_processor (PreProcessor | bool): Pre-processor, or whether to use the default (resize to image_size).
            Defaults to ``True``.
        post_processor (PostProcessor | bool): Post-processor, or whether to use the default.
            Defaults to ``True``.
        evaluator (Evaluator | bool): Evaluator, or whether to use anomalib's default.
            Defaults to ``True``.
        visualizer (Visualizer | bool): Visualizer, or whether to use anomalib's default.
            Defaults to ``True``.

    Raises:
        InputError: An argument out of its range; the sentence names it.
    """

    model: ConvolutionalAutoencoderModel

    def __init__(
        self,
        image_size: int = 64,
        width: int = 32,
        latent_channels: int = 8,
        learning_rate: float = 1e-3,
        pre_processor: PreProcessor | bool = True,
        post_processor: PostProcessor | bool = True,
        evaluator: Evaluator | bool = True,
        visualizer: Visualizer | bool = True,
    ) -> None:
        check_multiple(STEP, image_size=image_size)
        check_at_least(1, width=width, latent_channels=latent_channels)
        check_at_least(0, learning_rate=learning_rate)
        super().__init__(image_size, pre_processor, post_processor, evaluator, visualizer)
        self.model = ConvolutionalAutoencoderModel(width, latent_channels)
        self.learning_rate = learning_rate

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.model.parameters(), lr=self.learning_rate)

    def training_step(self, batch: ImageBatch, *args: Any, **kwargs: Any) -> STEP_OUTPUT:
        """Squared error of the reconstruction of [N, 3, H, W]."""
        del args, kwargs
        loss = functional.mse_loss(self.model.reconstruct(batch.image), batch.image)
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(batch.image))
        return loss
