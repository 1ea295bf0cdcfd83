# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Patch-GAN as a torch module: masked reconstruction, patch authenticity, patch novelty, targeted ranking.

Notation: x image in [0, 1], M mask (1 = hidden), G reconstructor, D patch discriminator, R ranker, patches p_1..p_P on
a grid. What is known of the paper and what is ours is told in this folder's README.
"""

from typing import NamedTuple

import torch
from anomalib.data import InferenceBatch
from torch import Tensor, nn
from torch.nn import functional

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.models.patchgan.components.discriminator import PatchDiscriminator
from anomalib_patchgan.models.patchgan.components.masks import complementary_masks, to_pixels
from anomalib_patchgan.models.patchgan.components.novelty import NoveltyDistribution
from anomalib_patchgan.models.patchgan.components.ranker import RANKINGS, PatchRanker
from anomalib_patchgan.models.patchgan.components.reconstructor import MaskedReconstructor

# Sides of patches must be multiples of this, because the reconstructor works at an eighth of the resolution.
PATCH_STEP = 8
# Whitened evidence is limited to this many standard deviations before the ranker sees it.
EVIDENCE_LIMIT = 10.0
# Importance is counted from this quantile of normal patches' importance.
OFFSET_QUANTILE = 0.95


class Observation(NamedTuple):
    """What the networks say of an image, patch by patch.

    Attributes:
        reconstruction: [N, C, H, W] in [0, 1]; each pixel predicted while it was hidden.
        features: Discriminator features of the image [N, F, rows, columns].
        evidence: [N, 5, rows, columns]: mean and peak reconstruction discrepancy (log), negative authenticity logits
            of the image and of its reconstruction, distance of their features (log). Larger is more abnormal.
        residual: [N, 1, H, W], discrepancy per pixel, >= 0.
    """

    reconstruction: Tensor
    features: Tensor
    evidence: Tensor
    residual: Tensor


class PatchGanModel(nn.Module):
    """The networks, the fitted novelty distribution and the score.

    Args:
        image_size: Height and width in pixels, multiples of the patch size.
        channels: 3, or 1 to average equal (grey) channels first and save the work on copies.
        patch_size: Side of a patch in pixels, a multiple of 8.
        mask_count: Number K >= 2 of complementary test-time masks; each hides 1 / K of the patches.
        width: Channels of the reconstructor at a quarter of the resolution.
        discriminator_width: Channels of the discriminator's first layer.
        ranking: Name of a rule in ``RANKINGS``.

    Raises:
        InputError: A size that does not fit, or an unknown ranking.
    """

    masks: Tensor
    importance_offset: Tensor

    def __init__(
        self,
        image_size: tuple[int, int],
        channels: int,
        patch_size: int,
        mask_count: int,
        width: int,
        discriminator_width: int,
        ranking: str,
    ) -> None:
        super().__init__()
        if patch_size < PATCH_STEP or patch_size % PATCH_STEP:
            raise InputError(f"patch_size: found {patch_size}, expected a multiple of {PATCH_STEP}.")
        if any(size < patch_size or size % patch_size for size in image_size):
            raise InputError(f"image_size: found {image_size}, expected multiples of the patch size {patch_size}.")
        if channels not in {1, 3}:
            raise InputError(f"channels: found {channels}, expected 1 (grey) or 3.")
        if mask_count < 2:
            raise InputError(f"mask_count: found {mask_count}, expected at least 2.")
        if ranking not in RANKINGS:
            raise InputError(f"ranking: found {ranking!r}, expected one of {', '.join(RANKINGS)}.")
        self.channels = channels
        self.patch_size = patch_size
        self.rank = RANKINGS[ranking]
        rows, columns = (size // patch_size for size in image_size)
        features = 32
        self.reconstructor = MaskedReconstructor(channels, width)
        self.discriminator = PatchDiscriminator(channels, discriminator_width, features, patch_size)
        self.feature_novelty = NoveltyDistribution(features, rows, columns)
        self.evidence_novelty = NoveltyDistribution(6, rows, columns)
        self.ranker = PatchRanker(6 + features, channels, width, patch_size)
        self.evidence_trust = nn.Parameter(torch.zeros(6))
        self.register_buffer("masks", complementary_masks(rows, columns, mask_count), persistent=False)
        self.register_buffer("importance_offset", torch.zeros(()))

    def to_channels(self, image: Tensor) -> Tensor:
        """Bring a batch [N, 3, H, W] to the network's channels [N, C, H, W]."""
        return image if self.channels == image.shape[1] else image.mean(dim=1, keepdim=True)

    def reconstruct(self, image: Tensor) -> Tensor:
        """Predict every pixel while it is hidden: K complementary masks in one batched pass.

        Args:
            image: [N, C, H, W] in [0, 1].

        Returns:
            [N, C, H, W] in [0, 1].
        """
        masks = to_pixels(self.masks, self.patch_size)
        count, (channels, height, width) = masks.shape[0], image.shape[1:]
        # Image-major order with -1 for the batch, so that an exported graph takes any number of images.
        images = image.unsqueeze(1).expand(-1, count, -1, -1, -1).reshape(-1, channels, height, width)
        hidden = masks.unsqueeze(0).expand(image.shape[0], -1, -1, -1, -1)
        output = self.reconstructor(images, hidden.reshape(-1, 1, height, width))
        return (output.reshape(-1, count, channels, height, width) * hidden).sum(dim=1)

    def observe(self, image: Tensor) -> Observation:
        """Reconstruct an image and gather the evidence of every patch.

        Args:
            image: [N, C, H, W] in [0, 1].

        Returns:
            The observation.
        """
        reconstruction = self.reconstruct(image)
        residual = functional.avg_pool2d(
            (image - reconstruction).abs().mean(dim=1, keepdim=True), 3, stride=1, padding=1, count_include_pad=False
        )
        logits, features = self.discriminator(image)
        reconstructed_logits, reconstructed_features = self.discriminator(reconstruction)
        distance = (features - reconstructed_features).square().mean(dim=1, keepdim=True)
        evidence = torch.cat(
            [
                torch.log(functional.avg_pool2d(residual, self.patch_size) + 1e-3),
                torch.log(functional.max_pool2d(residual, self.patch_size) + 1e-3),
                -logits,
                -reconstructed_logits,
                0.5 * torch.log(distance + 1e-6),
            ],
            dim=1,
        )
        return Observation(reconstruction, features, evidence, residual)

    @staticmethod
    def add_feature_novelty(evidence: Tensor, whitened_features: Tensor) -> Tensor:
        """Append the features' Mahalanobis distance (log) as the sixth component: [N, 5, ...] -> [N, 6, ...]."""
        distance = whitened_features.square().mean(dim=1, keepdim=True)
        return torch.cat([evidence, 0.5 * torch.log(distance + 1e-6)], dim=1)

    def importance(self, image: Tensor, observation: Observation, whitened: Tensor, features: Tensor) -> Tensor:
        """Importance logits [N, 1, rows, columns] from whitened evidence [N, 6, ...] and features [N, F, ...]."""
        evidence = torch.cat([whitened, features], dim=1).clamp(-EVIDENCE_LIMIT, EVIDENCE_LIMIT)
        return self.ranker(evidence, image, observation.reconstruction)

    def patch_scores(self, whitened: Tensor) -> Tensor:
        """One-sided novelty of a patch: length of the positive part of its whitened evidence, [N, 1, rows, columns].

        One-sided because a patch that is easier to reconstruct, or looks more authentic, than normal is no anomaly.
        How far each component is trusted is learned with the ranking; all alike at first, and their mean stays 1.
        """
        trust = whitened.shape[1] * torch.softmax(self.evidence_trust, dim=0).view(1, -1, 1, 1)
        return ((trust * whitened.clamp_min(0).square()).sum(dim=1, keepdim=True) + 1e-12).sqrt()

    def batch_importance(self, image: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and importance in training, where moving averages stand in for the fitted distribution.

        Args:
            image: Corrupted images [N, C, H, W]; the networks before the ranker get no gradient from here.
            normal: Intact images [M, C, H, W].

        Returns:
            Patch scores [N + M, 1, rows, columns] and importance logits of the same shape, the corrupted first.
        """
        with torch.no_grad():
            images = torch.cat([image, normal])
            both = self.observe(images)
            features = self.feature_novelty.whiten_in_training(both.features)
            self.feature_novelty.track(both.features[len(image) :])
            evidence = self.add_feature_novelty(both.evidence, features)
            whitened = self.evidence_novelty.whiten_in_training(evidence)
            self.evidence_novelty.track(evidence[len(image) :])
        importance = self.importance(images, both, whitened, features)
        offset = torch.quantile(importance[len(image) :].detach().float().flatten(), OFFSET_QUANTILE)
        return self.patch_scores(whitened), importance - offset

    @torch.no_grad()
    def fit_novelty(self, batches: list[Tensor]) -> None:
        """Fit the novelty distribution to normal images that the networks were not trained on.

        Args:
            batches: Batches of images [N, 3, H, W] in [0, 1].
        """
        images = [self.to_channels(batch) for batch in batches]
        observations = [self.observe(image) for image in images]
        self.feature_novelty.fit(torch.cat([observation.features for observation in observations]))
        features = [self.feature_novelty(observation.features) for observation in observations]
        evidence = [
            self.add_feature_novelty(observation.evidence, whitened)
            for observation, whitened in zip(observations, features, strict=True)
        ]
        self.evidence_novelty.fit(torch.cat(evidence))
        importance = [
            self.importance(image, observation, self.evidence_novelty(vectors), whitened)
            for image, observation, vectors, whitened in zip(images, observations, evidence, features, strict=True)
        ]
        self.importance_offset.copy_(torch.quantile(torch.cat(importance).float().flatten()[: 2**24], OFFSET_QUANTILE))

    def forward(self, image: Tensor) -> InferenceBatch:
        """Score images.

        Args:
            image: [N, 3, H, W] in [0, 1] at the model's image size.

        Returns:
            Raw image scores [N] >= 0 and anomaly maps [N, 1, H, W] >= 0, neither calibrated.
        """
        image = self.to_channels(image)
        observation = self.observe(image)
        features = self.feature_novelty(observation.features)
        whitened = self.evidence_novelty(self.add_feature_novelty(observation.evidence, features))
        scores = self.patch_scores(whitened)
        importance = self.importance(image, observation, whitened, features) - self.importance_offset
        weights = self.rank(scores.flatten(1), importance.flatten(1))
        return InferenceBatch(
            pred_score=(weights * scores.flatten(1)).sum(dim=1),
            anomaly_map=self.to_map(scores * torch.sigmoid(importance), observation.residual),
        )

    def to_map(self, patches: Tensor, residual: Tensor) -> Tensor:
        """Bring patch values to pixels, and share a patch's value out by the discrepancy within it.

        Args:
            patches: [N, 1, rows, columns], >= 0.
            residual: [N, 1, H, W], >= 0.

        Returns:
            [N, 1, H, W], >= 0.
        """
        smooth = functional.interpolate(patches, scale_factor=float(self.patch_size), mode="bilinear")
        level = functional.interpolate(
            functional.avg_pool2d(residual, self.patch_size), scale_factor=float(self.patch_size), mode="bilinear"
        )
        return smooth * (residual + 0.02) / (level + 0.02)
