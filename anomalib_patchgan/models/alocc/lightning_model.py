# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""ALOCC by anomalib's model contract."""

from typing import Any

import torch
from anomalib.data import ImageBatch
from anomalib.metrics import Evaluator
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer
from lightning.pytorch.utilities.types import STEP_OUTPUT

from anomalib_patchgan.models.alocc.torch_model import AloccModel, discriminator_loss
from anomalib_patchgan.models.components.learned import Learned
from anomalib_patchgan.models.components.ranges import check_at_least


class Alocc(Learned):
    """Adversarially learned one-class classifier (Sabokrou et al., CVPR 2018), a comparator of the precursor's scripts.

    The card beside this file says what differs from the publication.

    Args:
        image_size (int): Side that images are resized to, in pixels, a multiple of 16.
            Defaults to ``64``.
        width (int): Channels after the first halving of the resolution, at least 1. Chosen by us.
            Defaults to ``32``.
        noise (float): Standard deviation of the noise on the refiner's input in training, >= 0. Chosen by us.
            Defaults to ``0.1``.
        reconstruction_weight (float): Weight >= 0 of the squared error beside the adversarial term, in the refiner's
            loss and in the score; 0 is the publication's score, D(R(x)) alone. Chosen by us.
            Defaults to ``50.0``.
        learning_rate (float): Step size >= 0 of both Adams (betas 0.5, 0.999). Chosen by us.
            Defaults to ``2e-4``.
        pre_processor (PreProcessor | bool): Pre-processor, or whether to use the default (resize to image_size).
            Defaults to ``True``.
        post_processor (PostProcessor | bool): Post-processor, or whether to use the default (calibrated, not clamped).
            Defaults to ``True``.
        evaluator (Evaluator | bool): Evaluator, or whether to use anomalib's default.
            Defaults to ``True``.
        visualizer (Visualizer | bool): Visualizer, or whether to use anomalib's default.
            Defaults to ``True``.

    Raises:
        InputError: An argument out of its range; the sentence names it.
    """

    model: AloccModel

    def __init__(
        self,
        image_size: int = 64,
        width: int = 32,
        noise: float = 0.1,
        reconstruction_weight: float = 50.0,
        learning_rate: float = 2e-4,
        pre_processor: PreProcessor | bool = True,
        post_processor: PostProcessor | bool = True,
        evaluator: Evaluator | bool = True,
        visualizer: Visualizer | bool = True,
    ) -> None:
        check_at_least(0, noise=noise, reconstruction_weight=reconstruction_weight, learning_rate=learning_rate)
        check_at_least(1, width=width)
        super().__init__(image_size, pre_processor, post_processor, evaluator, visualizer)
        self.model = AloccModel(image_size, width, reconstruction_weight)
        self.noise = noise
        self.learning_rate = learning_rate
        self.automatic_optimization = False

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam for the refiner, one for the discriminator."""
        return [
            torch.optim.Adam(network.parameters(), lr=self.learning_rate, betas=(0.5, 0.999))
            for network in (self.model.refiner, self.model.discriminator)
        ]

    def training_step(self, batch: ImageBatch, *args: Any, **kwargs: Any) -> STEP_OUTPUT:
        """A step of the discriminator, then one of the refiner, on [N, 3, H, W]."""
        del args, kwargs
        model, image = self.model, batch.image
        for_refiner, for_discriminator = self.optimizers()
        refined = model.refiner(image + self.noise * torch.randn_like(image))

        authenticity = discriminator_loss(model.discriminator(image), model.discriminator(refined.detach()))
        for_discriminator.zero_grad()
        self.manual_backward(authenticity)
        # Not through Lightning's wrapper, which would count a second step of this batch.
        for_discriminator.optimizer.step()

        adversarial, error = model.refiner_loss(image, refined)
        loss = (adversarial + model.reconstruction_weight * error).mean()
        for_refiner.zero_grad()
        self.manual_backward(loss)
        for_refiner.step()
        self.log_dict(
            {"train_loss": loss, "reconstruction_error": error.mean(), "discriminator_loss": authenticity},
            on_step=False,
            on_epoch=True,
            prog_bar=True,
            batch_size=len(image),
        )
        return loss
