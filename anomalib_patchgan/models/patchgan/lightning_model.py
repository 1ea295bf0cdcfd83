# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Patch-GAN by anomalib's model contract."""

import logging
from collections.abc import Iterable
from typing import Any

import torch
from anomalib import LearningType
from anomalib.data import ImageBatch
from anomalib.metrics import Evaluator
from anomalib.models.components import AnomalibModule
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer
from lightning.pytorch.utilities.types import STEP_OUTPUT, OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import Compose, Resize

from anomalib_patchgan.models.components.post_processor import CalibratedPostProcessor
from anomalib_patchgan.models.patchgan.components.corruption import corrupt
from anomalib_patchgan.models.patchgan.components.masks import random_masks, to_pixels
from anomalib_patchgan.models.patchgan.components.ranker import learned
from anomalib_patchgan.models.patchgan.loss import (
    adversarial_loss,
    discriminator_loss,
    masked_mean,
    pairwise_ranking_loss,
)
from anomalib_patchgan.models.patchgan.torch_model import PatchGanModel

logger = logging.getLogger(__name__)

# A patch counts as corrupted from this share of visibly changed pixels on, and as intact only without any.
CORRUPTED_SHARE = 0.1
# Patches of either kind that enter the pairwise ranking loss of one step.
RANKED_PATCHES = 512
# Images at most that the novelty distribution is fitted to.
REFERENCE_IMAGES = 1024


class PatchGan(AnomalibModule):
    """Unsupervised Patch-GAN with targeted patch ranking (after arXiv 2501.17906; not a reproduction).

    Trained on normal images only. Hidden patches are reconstructed from their surroundings, every patch's
    authenticity is judged from that patch alone, the evidence of both is compared with its distribution over normal
    images, and a learned ranking decides which patches count for the image.

    After training, the novelty distribution is fitted on the datamodule's ``reference_dataloader()`` (normal images
    of subjects that are neither trained, calibrated nor tested on); a datamodule without one lends its training images.

    Args:
        image_size (int | tuple[int, int]): Height and width of the network's input in pixels, 32 to 512, multiples of
            the patch size; images of another size are resized. Chosen by us.
            Defaults to ``128``.
        channels (int): 3, or 1 if the three channels are equal (grey images): a third of the input work.
            Defaults to ``3``.
        patch_size (int): Side of a patch in pixels, a multiple of 8. Chosen by us.
            Defaults to ``8``.
        mask_count (int): Complementary masks at test time, at least 2; each hides 1 / mask_count of the patches, and
            so do the random masks in training. Chosen by us.
            Defaults to ``2``.
        width (int): Channels of the reconstructor at a quarter of the resolution. Chosen by us.
            Defaults to ``32``.
        discriminator_width (int): Units of the discriminator's hidden layers. Chosen by us.
            Defaults to ``256``.
        ranking (str): How patches are weighed into the image's score: ``learned``, ``mean``, ``max`` or ``author2020``
            (1.1 x the highest + the second highest, a rule of the first author's public 2019-2020 code).
            Defaults to ``learned``.
        pixel_weight (float): Weight >= 0 of the pixel-level term (mean absolute error of hidden pixels); may be 0.
            Defaults to ``1.0``.
        feature_weight (float): Weight >= 0 of the patch-level term (distance of the discriminator's features).
            Defaults to ``0.1``.
        adversarial_weight (float): Weight >= 0 of the adversarial term.
            Defaults to ``0.01``.
        learning_rate (float): Step size of Adam (betas 0.5, 0.99), cosine-annealed to 0 over the training.
            Defaults to ``2e-3``.
        training_steps (int): Training ends by itself after this many optimiser steps; the trainer's max_epochs,
            max_steps and max_time may end it sooner.
            Defaults to ``3000``.
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

    Example:
        >>> from anomalib.engine import Engine
        >>> from anomalib_patchgan import PatchGan
        >>> from anomalib_patchgan.data import BraTS2019
        >>> engine = Engine(max_epochs=20)
        >>> engine.train(PatchGan(channels=1), datamodule=BraTS2019(root="MICCAI_BraTS_2019_Data_Training"))
    """

    model: PatchGanModel

    def __init__(
        self,
        image_size: int | tuple[int, int] = 128,
        channels: int = 3,
        patch_size: int = 8,
        mask_count: int = 2,
        width: int = 32,
        discriminator_width: int = 256,
        ranking: str = "learned",
        pixel_weight: float = 1.0,
        feature_weight: float = 0.1,
        adversarial_weight: float = 0.01,
        learning_rate: float = 2e-3,
        training_steps: int = 3000,
        pre_processor: PreProcessor | bool = True,
        post_processor: PostProcessor | bool = True,
        evaluator: Evaluator | bool = True,
        visualizer: Visualizer | bool = True,
    ) -> None:
        size = (image_size, image_size) if isinstance(image_size, int) else (image_size[0], image_size[1])
        super().__init__(
            pre_processor=self.configure_pre_processor(size) if pre_processor is True else pre_processor,
            post_processor=post_processor,
            evaluator=evaluator,
            visualizer=visualizer,
        )
        self.model = PatchGanModel(size, channels, patch_size, mask_count, width, discriminator_width, ranking)
        self.pixel_weight = pixel_weight
        self.feature_weight = feature_weight
        self.adversarial_weight = adversarial_weight
        self.learning_rate = learning_rate
        self.training_steps = training_steps
        self._fitted_at_step = -1

    @staticmethod
    def configure_pre_processor(image_size: tuple[int, int] | None = None) -> PreProcessor:
        """Resize only: the networks take [0, 1]. Not antialiased, so that training and the exported graph agree."""
        return PreProcessor(transform=Compose([Resize(image_size or (128, 128), antialias=False)]))

    def configure_post_processor(self) -> PostProcessor:
        """Calibrated scores that keep the ranking, and a threshold from normal images alone."""
        return CalibratedPostProcessor()

    @property
    def learning_type(self) -> LearningType:
        """Trained on normal images only."""
        return LearningType.ONE_CLASS

    @property
    def trainer_arguments(self) -> dict[str, Any]:
        """No sanity check: before the first fit of the novelty distribution a score means nothing."""
        return {"num_sanity_val_steps": 0}

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """One Adam over all networks; each network's loss reaches only its own weights (see :meth:`training_step`)."""
        optimizer = torch.optim.Adam(self.model.parameters(), lr=self.learning_rate, betas=(0.5, 0.99))
        planned = self.trainer.estimated_stepping_batches
        steps = max(1, int(min(self.training_steps, planned)))
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * min(1.0, step / steps))))),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def training_step(self, batch: ImageBatch, *args: Any, **kwargs: Any) -> STEP_OUTPUT:
        """One simultaneous step of reconstructor, discriminator and ranker.

        Args:
            batch: Normal images [N, 3, H, W] in [0, 1].
            *args: Unused.
            **kwargs: Unused.

        Returns:
            The sum of the losses.
        """
        del args, kwargs
        model, image = self.model, self.model.to_channels(batch.image)
        rows, columns = model.masks.shape[-2:]
        hidden = random_masks(len(image), rows, columns, 1 / len(model.masks), image.device)
        mask = to_pixels(hidden, model.patch_size)
        corrupted, changed = corrupt(image)
        share = functional.avg_pool2d(changed, model.patch_size)
        corrupted_patches = (share >= CORRUPTED_SHARE).to(image.dtype)

        reconstruction = model.reconstructor(image, mask)
        generator_loss, pixel_loss = self._generator_loss(image, reconstruction, hidden, mask)

        judged = torch.cat([image, reconstruction.detach(), corrupted])
        real, fake, spoiled = model.discriminator(judged)[0].split(len(image))
        authenticity_loss = discriminator_loss(real, fake, hidden, spoiled, corrupted_patches)

        # Half the batch corrupted, the other half intact: the ranker's step costs as much as one batch.
        half = (len(image) + 1) // 2
        ranking_loss = self._ranking_loss(image[-half:], corrupted[:half], share[:half])
        loss = generator_loss + authenticity_loss + ranking_loss
        with torch.no_grad():
            accuracy = 0.5 * ((real > 0).float().mean() + masked_mean((spoiled < 0).float(), corrupted_patches))
        self.log_dict(
            {
                "train_loss": loss,
                "pixel_loss": pixel_loss,
                "generator_loss": generator_loss,
                "discriminator_loss": authenticity_loss,
                "discriminator_accuracy": accuracy,
                "ranking_loss": ranking_loss,
            },
            on_step=False,
            on_epoch=True,
            prog_bar=True,
            batch_size=len(image),
        )
        return loss

    def _generator_loss(self, image: Tensor, output: Tensor, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Pixel-, feature- and adversarial term of the reconstructor; the discriminator is only looked through."""
        discriminator = self.model.discriminator
        pixel_loss = masked_mean((image - output).abs().mean(dim=1, keepdim=True), mask)
        discriminator.requires_grad_(requires_grad=False)
        logits, features = discriminator(output)
        with torch.no_grad():
            target = discriminator(image)[1]
        discriminator.requires_grad_(requires_grad=True)
        feature_loss = masked_mean((features - target).abs().mean(dim=1, keepdim=True), hidden)
        total = (
            self.pixel_weight * pixel_loss
            + self.feature_weight * feature_loss
            + self.adversarial_weight * adversarial_loss(logits, hidden)
        )
        return total, pixel_loss

    def _ranking_loss(self, image: Tensor, corrupted: Tensor, share: Tensor) -> Tensor:
        """Corrupted patches should rank before intact ones of any image, and corrupted images before intact ones."""
        scores, importance = self.model.batch_importance(corrupted, image)
        changed = torch.cat([share >= CORRUPTED_SHARE, torch.zeros_like(share, dtype=torch.bool)]).flatten()
        intact = torch.cat([share == 0, torch.ones_like(share, dtype=torch.bool)]).flatten()
        logits = importance.flatten()
        by_patch = pairwise_ranking_loss(logits, sample(changed, RANKED_PATCHES), sample(intact, RANKED_PATCHES))
        scores, importance = scores.flatten(1), importance.flatten(1)
        image_scores = (learned(scores, importance) * scores).sum(dim=1)
        damaged = torch.cat([(share >= CORRUPTED_SHARE).flatten(1).any(dim=1), torch.zeros_like(share[:, 0, 0, 0] > 0)])
        whole = torch.arange(len(damaged), device=damaged.device) >= len(image)
        return by_patch + pairwise_ranking_loss(image_scores, damaged, whole)

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Stop after the planned number of steps."""
        del args, kwargs
        if self.trainer.global_step >= self.training_steps:
            self.trainer.should_stop = True

    def on_validation_start(self) -> None:
        """Fit the novelty distribution before the post-processor calibrates thresholds on the validation scores."""
        if self.trainer.state.fn == "fit":
            self._fit_novelty()

    def on_train_epoch_end(self) -> None:
        """Fit the novelty distribution where no validation did, before the checkpoint is written."""
        if self._fitted_at_step != self.trainer.global_step:
            self._fit_novelty()

    def _fit_novelty(self) -> None:
        """Fit on reference subjects, or on training images where the datamodule has no reference group."""
        was_training = self.model.training
        self.model.eval()
        self.model.fit_novelty(list(self._reference_batches()))
        self.model.train(was_training)
        self._fitted_at_step = self.trainer.global_step

    def _reference_batches(self) -> Iterable[Tensor]:
        """Yield batches of normal images, pre-processed as in training, on the model's device."""
        datamodule = getattr(self.trainer, "datamodule", None)
        if datamodule is not None and hasattr(datamodule, "reference_dataloader"):
            loader = datamodule.reference_dataloader()
        else:
            logger.warning("No reference subjects: the novelty distribution is fitted on training images.")
            loader = self.trainer.train_dataloader
        images = 0
        for batch in loader:
            image = batch.image.to(self.device)
            yield self.pre_processor(image) if self.pre_processor else image
            images += len(image)
            if images >= REFERENCE_IMAGES:
                return

    def validation_step(self, batch: ImageBatch, *args: Any, **kwargs: Any) -> STEP_OUTPUT:
        """Score a validation batch; the post-processor calibrates on it."""
        del args, kwargs
        return batch.update(**self.model(batch.image)._asdict())


def sample(chosen: Tensor, most: int) -> Tensor:
    """Keep at most this many of the True entries of [n], at random."""
    if int(chosen.sum()) <= most:
        return chosen
    kept = torch.zeros_like(chosen)
    index = chosen.nonzero().squeeze(1)
    kept[index[torch.randperm(len(index), device=index.device)[:most]]] = True
    return kept
