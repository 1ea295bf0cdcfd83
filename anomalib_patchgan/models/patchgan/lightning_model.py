# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Patch-GAN by anomalib's model contract."""

import logging
import math
from collections.abc import Iterable
from typing import Any

import torch
from anomalib import LearningType
from anomalib.data import ImageBatch
from anomalib.metrics import Evaluator
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer
from lightning.pytorch.utilities.types import STEP_OUTPUT, OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional

from anomalib_patchgan.models.components.corruption import CORRUPTED_SHARE, corrupt
from anomalib_patchgan.models.components.post_processor import CalibratedPostProcessor
from anomalib_patchgan.models.components.precision import full_precision
from anomalib_patchgan.models.components.ranges import check_at_least, check_share
from anomalib_patchgan.models.components.resizing import ResizingPreProcessor
from anomalib_patchgan.models.components.scoring import FittedToWeights
from anomalib_patchgan.models.components.variation import move, relight
from anomalib_patchgan.models.patchgan.components.masks import to_pixels
from anomalib_patchgan.models.patchgan.components.processes import from_all
from anomalib_patchgan.models.patchgan.components.ranker import learned
from anomalib_patchgan.models.patchgan.loss import (
    adversarial_loss,
    discriminator_loss,
    masked_mean,
    pairwise_ranking_loss,
)
from anomalib_patchgan.models.patchgan.torch_model import PatchGanModel

logger = logging.getLogger(__name__)

# Share of a batch that is left intact; the ranker, and the reconstructor around its masks, see the rest corrupted.
INTACT_IMAGES = 1 / 3
# Fewer images hold no intact and no corrupted one among every other; copies are varied each in its own way.
SMALLEST_BATCH = 3
# Patches of either kind that enter the pairwise ranking loss of one step.
RANKED_PATCHES = 512
# Weight of the pixels' part of the ranking loss: corrupted pixels are few, so their mean loss is small.
PIXEL_RANKING = 5.0
# Largest norm of a network's gradient; only the spikes of a training are above it.
GRADIENT_LIMIT = 5.0
# Images at most that the novelty distribution is fitted to.
REFERENCE_IMAGES = 1024


class PatchGan(FittedToWeights):
    """Unsupervised Patch-GAN with targeted patch ranking (after arXiv 2501.17906; not a reproduction).

    Trained on normal images only. Hidden patches are reconstructed from their surroundings, every patch's
    authenticity is judged from that patch alone, the evidence of both is compared with its distribution over normal
    images, and a learned ranking decides which patches count for the image.

    After training, the novelty distribution is fitted on the datamodule's ``reference_dataloader()`` (normal images
    of subjects that are neither trained, calibrated nor tested on); a datamodule without one lends its training images.

    Args:
        image_size (int | tuple[int, int]): Height and width of the network's input in pixels, multiples of the patch
            size, tested from 32 to 512; images of another size are resized. Chosen by us.
            Defaults to ``128``.
        channels (int): 3, which anomalib's batches have, or 1 if the three are equal (grey images): a third of the
            input work.
            Defaults to ``3``.
        patch_size (int): Side of a patch in pixels, a multiple of 8. Chosen by us.
            Defaults to ``8``.
        mask_count (int): Complementary masks at test time, at least 2 and at most the number of patches; each hides
            1 / mask_count of the patches, and so do the random masks in training. 0 hides nothing: a plain
            autoencoder. Chosen by us.
            Defaults to ``2``.
        width (int): Channels of the reconstructor at a quarter of the resolution, at least 1. Chosen by us.
            Defaults to ``32``.
        ranker_width (int): Channels of the ranker at a quarter of the resolution, at least 1. Chosen by us.
            Defaults to ``32``.
        discriminator_width (int): Units of the discriminator's hidden layers, at least 1. Chosen by us.
            Defaults to ``64``.
        judgement (str): What an authenticity logit judges: ``patch`` (after the paper's abstract), ``image`` or
            ``both``.
            Defaults to ``patch``.
        corrupted_fakes (bool): Whether the discriminator's fakes are corrupted patches too, not reconstructions alone.
            Chosen by us.
            Defaults to ``True``.
        novelty (bool): Whether evidence, and the features it is drawn from, are compared with their distribution over
            normal images, or only brought to scale. Chosen by us.
            Defaults to ``True``.
        perceptual (bool): Whether frozen features of EfficientNet-Lite0 (ImageNet, from a wheel) join each patch's
            evidence, beside the discriminator's: for photographs (docs/development.md). A step of training takes
            about 1.2 times as long on a CPU, a prediction 1.4 times. Chosen by us.
            Defaults to ``False``.
        context (bool): Whether the ranker sees the image around a patch, or the patch's evidence alone. The paper's
            abstract names such context; its form is ours.
            Defaults to ``True``.
        mirrored (bool): Whether that context includes a patch's mirror image, left to right, as in anatomy that is
            nearly symmetric; elsewhere it costs a convolution and does no harm. Chosen by us.
            Defaults to ``True``.
        ranking (str): How the image's score follows from its patches: ``learned``; ``whole`` (mean of the learned
            importance, for images that a lesion fills, as under the protocol ``patch``); ``mean``, ``max``, ``top``
            (mean of the highest tenth) or ``author2020`` (1.1 x the highest + the second highest, a rule of the first
            author's public 2019-2020 code). Chosen by us.
            Defaults to ``learned``.
        pixel_weight (float): Weight >= 0 of the pixel-level term (mean absolute error of hidden pixels); may be 0.
            Chosen by us; 0.2, of a cross-entropy, in the first author's public 2019-2020 code.
            Defaults to ``1.0``.
        feature_weight (float): Weight >= 0 of the patch-level term (distance of the discriminator's features).
            Chosen by us.
            Defaults to ``0.1``.
        adversarial_weight (float): Weight >= 0 of the adversarial term. Chosen by us; 1 in that code.
            Defaults to ``0.01``.
        whole_image_share (float): Share in [0, 1] of synthetic corruptions that cover the whole image; more where a
            lesion can fill the field of view, as under the protocol ``patch``. Chosen by us.
            Defaults to ``0.1``.
        movement (float): Strength >= 0 of the movement of normal images in training (mirrored left to right, turned,
            scaled, shifted); 0 for none, 1 where every image shows a patch of texture and not a whole anatomy. Chosen
            by us (docs/development.md).
            Defaults to ``2.0``.
        lighting (float): Strength >= 0 of the variation of their light (gain, gamma, uneven light, noise); 0 where
            absolute brightness tells normal from abnormal, as in a patch that a lesion fills. Chosen by us.
            Defaults to ``1.0``.
        learning_rate (float): Largest step size of Adam, >= 0; it rises for a twentieth of the training and falls to 0.
            That of the first author's code, where it is RMSprop's.
            Defaults to ``2e-3``.
        training_steps (int): Training ends by itself after this many optimiser steps, at least 1; the trainer's
            max_epochs, max_steps and max_time may end it sooner. Chosen by us.
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
        ranker_width: int = 32,
        discriminator_width: int = 64,
        judgement: str = "patch",
        corrupted_fakes: bool = True,
        novelty: bool = True,
        perceptual: bool = False,
        context: bool = True,
        mirrored: bool = True,
        ranking: str = "learned",
        pixel_weight: float = 1.0,
        feature_weight: float = 0.1,
        adversarial_weight: float = 0.01,
        whole_image_share: float = 0.1,
        movement: float = 2.0,
        lighting: float = 1.0,
        learning_rate: float = 2e-3,
        training_steps: int = 3000,
        pre_processor: PreProcessor | bool = True,
        post_processor: PostProcessor | bool = True,
        evaluator: Evaluator | bool = True,
        visualizer: Visualizer | bool = True,
    ) -> None:
        size = (image_size, image_size) if isinstance(image_size, int) else (image_size[0], image_size[1])
        check_at_least(
            0,
            pixel_weight=pixel_weight,
            feature_weight=feature_weight,
            adversarial_weight=adversarial_weight,
            movement=movement,
            lighting=lighting,
            learning_rate=learning_rate,
        )
        check_at_least(1, training_steps=training_steps)
        check_share(whole_image_share=whole_image_share)
        super().__init__(
            pre_processor=self.configure_pre_processor(size) if pre_processor is True else pre_processor,
            post_processor=post_processor,
            evaluator=evaluator,
            visualizer=visualizer,
        )
        self.model = PatchGanModel(
            image_size=size,
            channels=channels,
            patch_size=patch_size,
            mask_count=mask_count,
            width=width,
            ranker_width=ranker_width,
            discriminator_width=discriminator_width,
            judgement=judgement,
            novelty=novelty,
            perceptual=perceptual,
            context=context,
            mirrored=mirrored,
            ranking=ranking,
        )
        self.corrupted_fakes = corrupted_fakes
        self.pixel_weight = pixel_weight
        self.feature_weight = feature_weight
        self.adversarial_weight = adversarial_weight
        self.whole_image_share = whole_image_share
        self.movement = movement
        self.lighting = lighting
        self.learning_rate = learning_rate
        self.training_steps = training_steps
        self._seed: int | None = None
        self._resumed = False

    @staticmethod
    def configure_pre_processor(image_size: tuple[int, int] | None = None) -> PreProcessor:
        """Resize only, antialiased: the networks take [0, 1]."""
        return ResizingPreProcessor(image_size or (128, 128))

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
        model = self.model
        adversaries = [*model.reconstructor.parameters(), *model.discriminator.parameters()]
        ranking = [*model.ranker.parameters(), model.evidence_trust]
        optimizer = torch.optim.Adam(
            # Adversaries chase each other, so the first moment of theirs is short (Radford et al., 2016).
            [{"params": adversaries, "betas": (0.5, 0.99)}, {"params": ranking, "betas": (0.9, 0.99)}],
            lr=self.learning_rate,
        )
        planned = self.trainer.estimated_stepping_batches
        steps = max(1, int(min(self.training_steps, planned)))
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_at(step, steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Limit the norm of each network's gradient by itself, so that none can throw another off."""
        del optimizer
        for network in (self.model.reconstructor, self.model.discriminator, self.model.ranker):
            torch.nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_LIMIT)

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
        model = self.model
        image = model.to_channels(batch.image)
        if len(image) < SMALLEST_BATCH:
            image = image.repeat(SMALLEST_BATCH, 1, 1, 1)
        # The first are intact, so that every other image holds one.
        first = round(INTACT_IMAGES * len(image))
        intact = torch.arange(len(image), device=image.device) < first
        with full_precision(self.device):
            image = relight(move(image, self.movement), self.lighting)
            corrupted, changed = corrupt(image[first:], self.whole_image_share)
        seen = torch.cat([image[:first], corrupted])
        changed = torch.cat([torch.zeros_like(image[:first, :1]), changed])
        share = functional.avg_pool2d(changed, model.patch_size)
        ranking_loss, rank_accuracy = self._ranking_loss(seen, intact, share, changed)

        # The adversaries have less to learn than the ranker and make do with every other image.
        image, seen, corrupted_patches = image[::2], seen[::2], (share[::2] >= CORRUPTED_SHARE).to(image.dtype)
        hidden, asked = model.draw_hidden(image)
        # What is visible may be corrupted, what is asked for never is: a lesion is not to be continued.
        reconstruction = model.reconstructor(seen, to_pixels(hidden, model.patch_size))
        generator_loss, pixel_loss = self._generator_loss(image, reconstruction, asked)

        judged = torch.cat([image, reconstruction.detach(), seen])
        real, fake, damaged = model.discriminator(judged)[0].split(len(image))
        corrupted_patches = corrupted_patches * self.corrupted_fakes
        authenticity_loss = discriminator_loss(real, fake, asked, damaged, corrupted_patches)

        loss = generator_loss + authenticity_loss + ranking_loss
        with torch.no_grad():
            called_fake = (torch.cat([fake, damaged]) < 0).float()
            on_fakes = masked_mean(called_fake, torch.cat([asked, corrupted_patches]))
            accuracy = 0.5 * ((real > 0).float().mean() + on_fakes)
        self.log_dict(
            {
                "train_loss": loss,
                "pixel_loss": pixel_loss,
                "generator_loss": generator_loss,
                "discriminator_loss": authenticity_loss,
                "discriminator_accuracy": accuracy,
                "ranking_loss": ranking_loss,
                "ranking_accuracy": rank_accuracy,
            },
            on_step=False,
            on_epoch=True,
            prog_bar=True,
            batch_size=len(image),
        )
        return loss

    def _generator_loss(self, image: Tensor, output: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
        """Pixel-, feature- and adversarial term of the reconstructor; the discriminator is only looked through."""
        discriminator = self.model.discriminator
        pixels = to_pixels(asked, self.model.patch_size)
        pixel_loss = masked_mean((image - output).abs().mean(dim=1, keepdim=True), pixels)
        discriminator.requires_grad_(requires_grad=False)
        logits, features = discriminator(output)
        with torch.no_grad():
            target = discriminator(image)[1]
        discriminator.requires_grad_(requires_grad=True)
        feature_loss = masked_mean((features - target).abs().mean(dim=1, keepdim=True), asked)
        total = (
            self.pixel_weight * pixel_loss
            + self.feature_weight * feature_loss
            + self.adversarial_weight * adversarial_loss(logits, asked)
        )
        return total, pixel_loss

    def _ranking_loss(self, image: Tensor, intact: Tensor, share: Tensor, changed: Tensor) -> tuple[Tensor, Tensor]:
        """Corrupted pixels, patches and images should rank before intact ones of any image of any process.

        Args:
            image: Corrupted and intact images [N, C, H, W].
            intact: Which are intact, bool [N].
            share: Share of each patch that is corrupted [N, 1, rows, columns].
            changed: 1 where a pixel is corrupted, else 0 [N, 1, H, W].

        Returns:
            The loss, and the share of pairs of a corrupted and an intact image in the right order.
        """
        scores, importance, pixels = self.model.batch_importance(image, intact)
        by_pixel = functional.binary_cross_entropy_with_logits(pixels, changed)
        shown = self.model.shown(self.model.to_map(scores, pixels[::2]))
        scores, importance, share = scores.flatten(1), importance.flatten(1), share.flatten(1)
        image_scores = learned(scores, importance[::2], shown)
        corrupted = (share[::2] >= CORRUPTED_SHARE).any(dim=1)
        # Pairs are made across processes, so that a step on several equals the step on one.
        importance, share, image_scores = map(from_all, (importance, share, image_scores))
        first, last = from_all(corrupted.float()) > 0, from_all(intact[::2].float()) > 0
        by_image = pairwise_ranking_loss(image_scores, first, last)
        by_patch = pairwise_ranking_loss(
            importance.flatten(),
            sample((share >= CORRUPTED_SHARE).flatten(), RANKED_PATCHES),
            sample((share == 0).flatten(), RANKED_PATCHES),
        )
        with torch.no_grad():
            right = (image_scores[first].unsqueeze(1) > image_scores[last].unsqueeze(0)).float()
        accuracy = right.mean() if right.numel() else right.new_tensor(0.5)
        return by_patch + by_image + PIXEL_RANKING * by_pixel, accuracy

    def _seed_draws(self, step: int, part: int) -> None:
        """Let what is drawn next depend on seed, step and process alone, so that a resumed training repeats it."""
        if self._seed is None:
            self._seed = torch.initial_seed()
        torch.manual_seed((1_000_003 * self._seed + 2 * step + part + (self.global_rank << 40)) % (1 << 63))

    def on_train_start(self) -> None:
        """Take no further step where a training is resumed after its last one; what is fitted to it came with it."""
        if self.trainer.global_step >= self.training_steps:
            self._fitted_at_step = self.trainer.global_step
            self.trainer.should_stop = True

    def on_train_epoch_start(self) -> None:
        """Seed the order of the images, which is drawn next; in the first epoch of a resumed training it was before."""
        if not self._resumed:
            self._seed_draws(self.trainer.global_step, 0)
        self._resumed = False

    def on_train_batch_start(self, *args: Any, **kwargs: Any) -> None:
        """Seed the masks, the corruptions and the variations of a batch, of which a step may accumulate several."""
        del args, kwargs
        self._seed_draws(self.trainer.fit_loop.total_batch_idx, 1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the seed of the random draws, and the novelty distribution of the weights that are kept."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["patchgan_seed"] = self._seed

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the random draws of the training that wrote the checkpoint, where it is resumed."""
        super().on_load_checkpoint(checkpoint)
        trainer = self._trainer
        if trainer is None or trainer.state.fn != "fit":
            return
        self._seed = checkpoint.get("patchgan_seed")
        if self._seed is not None:
            self._resumed = True
            self._seed_draws(checkpoint["global_step"], 0)

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Stop after the planned number of steps."""
        del args, kwargs
        if self.trainer.global_step >= self.training_steps:
            self.trainer.should_stop = True

    def fit_to_weights(self) -> None:
        """Fit the novelty distribution on reference subjects, or on training images where there is no such group."""
        was_training = self.model.training
        self.model.eval()
        self.model.fit_novelty(list(self._reference_batches()))
        self.model.train(was_training)

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


def rate_at(step: int, steps: int) -> float:
    """Share of the largest learning rate at a step: it rises for a twentieth of the steps, then falls as a cosine."""
    rise = max(1, steps // 20)
    return min((step + 1) / rise, 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps))))


def sample(chosen: Tensor, most: int) -> Tensor:
    """Keep at most this many of the True entries of [n], at random."""
    if int(chosen.sum()) <= most:
        return chosen
    kept = torch.zeros_like(chosen)
    index = chosen.nonzero().squeeze(1)
    kept[index[torch.randperm(len(index), device=index.device)[:most]]] = True
    return kept
