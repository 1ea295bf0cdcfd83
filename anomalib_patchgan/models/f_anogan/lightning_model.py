# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""f-AnoGAN by anomalib's model contract."""

from typing import Any

import torch
from anomalib.data import ImageBatch
from anomalib.metrics import Evaluator
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.models.components.learned import Learned
from anomalib_patchgan.models.components.ranges import check_at_least
from anomalib_patchgan.models.f_anogan.torch_model import FAnoGanModel


class FAnoGan(Learned):
    """f-AnoGAN (Schlegl et al., Medical Image Analysis 2019), a comparator of the precursor's older runs.

    First generator and critic are trained, then the encoder through both, which stay as they are (izi_f). The trainer's
    plan, its max_epochs or max_steps, is shared out between the two; with max_time alone the second may never begin.
    The card beside this file says what differs from the publication.

    Args:
        image_size (int): Side that images are resized to, in pixels: 16, 32, 64, 128 or 256.
            Defaults to ``64``.
        width (int): Channels at half the resolution, at least 1. Chosen by us.
            Defaults to ``32``.
        latent_size (int): Length of the latent vector, at least 1.
            Defaults to ``128``.
        gan_share (float): Share of the training that generator and critic get, in (0, 1). Chosen by us.
            Defaults to ``0.7``.
        critic_steps (int): Steps of the critic to one of the generator, at least 1.
            Defaults to ``5``.
        penalty_weight (float): Weight >= 0 of the gradient penalty.
            Defaults to ``10.0``.
        feature_weight (float): Weight (kappa) >= 0 of the feature residual beside the image residual.
            Defaults to ``1.0``.
        learning_rate (float): Step size >= 0 of the Adams (betas 0, 0.9) of generator and critic.
            Defaults to ``1e-4``.
        encoder_learning_rate (float): Step size >= 0 of the Adam of the encoder. Chosen by us.
            Defaults to ``1e-3``.
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

    model: FAnoGanModel

    def __init__(
        self,
        image_size: int = 64,
        width: int = 32,
        latent_size: int = 128,
        gan_share: float = 0.7,
        critic_steps: int = 5,
        penalty_weight: float = 10.0,
        feature_weight: float = 1.0,
        learning_rate: float = 1e-4,
        encoder_learning_rate: float = 1e-3,
        pre_processor: PreProcessor | bool = True,
        post_processor: PostProcessor | bool = True,
        evaluator: Evaluator | bool = True,
        visualizer: Visualizer | bool = True,
    ) -> None:
        if not 0 < gan_share < 1:
            raise InputError(f"gan_share: found {gan_share:g}, expected a share between 0 and 1.")
        check_at_least(1, width=width, latent_size=latent_size, critic_steps=critic_steps)
        check_at_least(
            0,
            penalty_weight=penalty_weight,
            feature_weight=feature_weight,
            learning_rate=learning_rate,
            encoder_learning_rate=encoder_learning_rate,
        )
        super().__init__(image_size, pre_processor, post_processor, evaluator, visualizer)
        self.model = FAnoGanModel(image_size, width, latent_size, feature_weight)
        self.gan_share = gan_share
        self.critic_steps = critic_steps
        self.penalty_weight = penalty_weight
        self.learning_rate = learning_rate
        self.encoder_learning_rate = encoder_learning_rate
        self.automatic_optimization = False

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam each for critic, generator and encoder."""
        model = self.model
        critic = [*model.critic_features.parameters(), *model.critic_head.parameters()]
        return [
            torch.optim.Adam(critic, lr=self.learning_rate, betas=(0.0, 0.9)),
            torch.optim.Adam(model.generator.parameters(), lr=self.learning_rate, betas=(0.0, 0.9)),
            torch.optim.Adam(model.encoder.parameters(), lr=self.encoder_learning_rate),
        ]

    def training_step(self, batch: ImageBatch, *args: Any, **kwargs: Any) -> STEP_OUTPUT:
        """A step of the critic, and sometimes of the generator, or one of the encoder, on [N, 3, H, W]."""
        del args, kwargs
        step = self.trainer.global_step
        first_of_encoder = self.gan_share * self.trainer.estimated_stepping_batches
        losses = self._train_gan(batch.image, step) if step < first_of_encoder else self._train_encoder(batch.image)
        self.log_dict(losses, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(batch.image))
        return next(iter(losses.values()))

    def _train_gan(self, image: Tensor, step: int) -> dict[str, Tensor]:
        model = self.model
        for_critic, for_generator, _ = self.optimizers()
        latent = torch.randn(len(image), model.latent_size, device=image.device)
        losses = {"critic_loss": model.critic_loss(image, model.generator(latent).detach(), self.penalty_weight)}
        for_critic.zero_grad()
        self.manual_backward(losses["critic_loss"])
        for_critic.step()
        if step % self.critic_steps == self.critic_steps - 1:
            losses["generator_loss"] = -model.criticise(model.generator(torch.randn_like(latent))).mean()
            for_generator.zero_grad()
            self.manual_backward(losses["generator_loss"])
            # Not through Lightning's wrapper, which would count a second step of this batch.
            for_generator.optimizer.step()
        return losses

    def _train_encoder(self, image: Tensor) -> dict[str, Tensor]:
        model = self.model
        *_, for_encoder = self.optimizers()
        # Frozen as a whole: their running statistics are part of what the encoder is fitted to.
        model.generator.eval()
        _, of_image, of_features = model.residuals(image)
        loss = (of_image + model.feature_weight * of_features).mean()
        for_encoder.zero_grad()
        self.manual_backward(loss)
        for_encoder.step()
        return {"encoder_loss": loss, "image_residual": of_image.mean()}
