# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The corruption-trained patch scorer by anomalib's model contract."""

import math
from typing import Any

import torch
from anomalib.data import ImageBatch
from anomalib.metrics import Evaluator
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer
from lightning.pytorch.utilities.types import STEP_OUTPUT, OptimizerLRSchedulerConfig
from torch.nn import functional

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.models.components.corruption import CORRUPTED_SHARE, corrupt
from anomalib_patchgan.models.components.learned import Learned
from anomalib_patchgan.models.components.precision import full_precision
from anomalib_patchgan.models.components.ranges import check_at_least, check_share
from anomalib_patchgan.models.components.variation import move, relight
from anomalib_patchgan.models.patch_scorer.torch_model import PATCH, PatchScorerModel


class PatchScorer(Learned):
    """What Patch-GAN's corruptions teach without its generator, its adversary and its ranking.

    A fully convolutional network is trained to tell corrupted patches of normal images from intact ones. The
    corruptions are Patch-GAN's own, and so is the variation of the images before it, so a difference between the two is
    not one of the data they see. Movement alone is weaker by default, which serves this network no worse.

    Args:
        image_size (int): Side that images are resized to, in pixels, a multiple of 16. Chosen by us.
            Defaults to ``128``.
        channels (int): 3, or 1 if the three channels are equal (grey images).
            Defaults to ``3``.
        width (int): Channels at a quarter of the resolution, a multiple of 8. Chosen by us.
            Defaults to ``32``.
        top_share (float): Share of the highest patch logits that an image's score is the mean of, in (0, 1]. Chosen by
            us.
            Defaults to ``0.02``.
        whole_image_share (float): Share in [0, 1] of corruptions that cover the whole image, as in Patch-GAN.
            Defaults to ``0.1``.
        perceptual (bool): Whether frozen features of EfficientNet-Lite0 (ImageNet, from a wheel) join the network, the
            very ones of Patch-GAN.
            Defaults to ``False``.
        movement (float): Strength >= 0 of the movement of images in training, of the kinds of Patch-GAN.
            Defaults to ``1.0``.
        lighting (float): Strength >= 0 of the variation of their light, as in Patch-GAN.
            Defaults to ``1.0``.
        learning_rate (float): Largest step size >= 0 of AdamW, cosine-annealed to 0 over the training. Chosen by us.
            Defaults to ``2e-3``.
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

    model: PatchScorerModel

    def __init__(
        self,
        image_size: int = 128,
        channels: int = 3,
        width: int = 32,
        top_share: float = 0.02,
        whole_image_share: float = 0.1,
        perceptual: bool = False,
        movement: float = 1.0,
        lighting: float = 1.0,
        learning_rate: float = 2e-3,
        pre_processor: PreProcessor | bool = True,
        post_processor: PostProcessor | bool = True,
        evaluator: Evaluator | bool = True,
        visualizer: Visualizer | bool = True,
    ) -> None:
        check_at_least(0, movement=movement, lighting=lighting, learning_rate=learning_rate)
        check_share(whole_image_share=whole_image_share)
        super().__init__(image_size, pre_processor, post_processor, evaluator, visualizer)
        self.model = PatchScorerModel(image_size, channels, width, top_share, perceptual=perceptual)
        self.whole_image_share = whole_image_share
        self.movement = movement
        self.lighting = lighting
        self.learning_rate = learning_rate

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW, annealed by a cosine over the planned steps."""
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=self.learning_rate, weight_decay=1e-4)
        planned = self.trainer.estimated_stepping_batches
        if math.isinf(planned):
            raise InputError(
                "trainer: found a training that only its time ends, expected max_epochs or max_steps, over which the "
                "learning rate of PatchScorer falls."
            )
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(1, int(planned)))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def training_step(self, batch: ImageBatch, *args: Any, **kwargs: Any) -> STEP_OUTPUT:
        """Cross-entropy of corrupted and intact patches of normal images [N, 3, H, W]."""
        del args, kwargs
        # Half the images stay intact, so that the network also learns what a whole normal image looks like.
        half = len(batch.image) // 2
        with full_precision(self.device):
            image = relight(move(self.model.to_channels(batch.image), self.movement), self.lighting)
            corrupted, changed = corrupt(image[half:], self.whole_image_share)
        seen = torch.cat([corrupted, image[:half]])
        share = functional.avg_pool2d(torch.cat([changed, torch.zeros_like(image[:half, :1])]), PATCH)
        target = (share >= CORRUPTED_SHARE).to(image.dtype)
        loss = functional.binary_cross_entropy_with_logits(
            self.model.logits(seen), target, weight=((share == 0) | (target > 0)).to(image.dtype)
        )
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(image))
        return loss
