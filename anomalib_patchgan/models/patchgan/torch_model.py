# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Patch-GAN as a torch module: masked reconstruction, patch authenticity, patch novelty, targeted ranking.

Notation: x image in [0, 1], M mask (1 = hidden), G reconstructor, D patch discriminator, R ranker, patches p_1..p_P on
a grid. What is known of the paper and what is ours is told in this folder's README.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from anomalib.data import InferenceBatch
from torch import Tensor, nn
from torch.nn import functional

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.models.components.enlargement import enlargement
from anomalib_patchgan.models.components.perception import PERCEIVED, Perception
from anomalib_patchgan.models.components.ranges import check_multiple
from anomalib_patchgan.models.patchgan.components.discriminator import JUDGEMENTS, PatchDiscriminator
from anomalib_patchgan.models.patchgan.components.folded_unet import STRIDE
from anomalib_patchgan.models.patchgan.components.masks import complementary_masks, random_masks, to_pixels
from anomalib_patchgan.models.patchgan.components.novelty import NoveltyDistribution
from anomalib_patchgan.models.patchgan.components.processes import from_all
from anomalib_patchgan.models.patchgan.components.ranker import RANKINGS, PatchRanker, PatchwiseRanker
from anomalib_patchgan.models.patchgan.components.reconstructor import MaskedReconstructor

# Length of the discriminator's feature vector, and of the evidence per patch before features' novelty is added.
FEATURES, OBSERVED = 32, 5
# Standardised evidence is limited to this many standard deviations before the ranker sees it.
EVIDENCE_LIMIT = 10.0
# Importance is counted from this quantile of normal patches' importance.
OFFSET_QUANTILE = 0.95


class Observation(NamedTuple):
    """What the networks say of an image, patch by patch.

    Attributes:
        reconstruction: [N, C, H, W], not clamped to [0, 1]; each pixel predicted while it was hidden.
        features: The image's features, each [N, F, rows, columns]: the discriminator's, and where the model has a
            perception what that makes of it.
        evidence: [N, 5, rows, columns]: mean and peak reconstruction discrepancy (log), negative authenticity logits
            of the image and of its reconstruction, distance of their features (log). Larger is more abnormal.
    """

    reconstruction: Tensor
    features: tuple[Tensor, ...]
    evidence: Tensor


class PatchGanModel(nn.Module):
    """The networks, the fitted novelty distribution and the score.

    Args:
        image_size: Height and width in pixels, multiples of the patch size.
        channels: 3, or 1 to average equal (grey) channels first and save the work on copies.
        patch_size: Side of a patch in pixels, a multiple of 8.
        mask_count: Number K of complementary test-time masks, at least 2 and at most the number of patches; each hides
            1 / K of them. 0 hides nothing.
        width: Channels of the reconstructor at a quarter of the resolution.
        ranker_width: Channels of the ranker there.
        discriminator_width: Units of the discriminator's hidden layers.
        judgement: What an authenticity logit judges: ``patch``, ``image`` or ``both``.
        novelty: Whether evidence is compared with its fitted distribution, or only brought to scale.
        perceptual: Whether frozen ImageNet features of each patch join its evidence.
        context: Whether the ranker sees the image around a patch, or the patch's evidence alone.
        mirrored: Whether that context includes a patch's mirror image, left to right.
        ranking: Name of a rule in ``RANKINGS``.

    Raises:
        InputError: A number out of its range, or an unknown name.
    """

    masks: Tensor
    down: Tensor
    across: Tensor
    importance_offset: Tensor

    def __init__(
        self,
        image_size: tuple[int, int],
        channels: int,
        patch_size: int,
        mask_count: int,
        width: int,
        ranker_width: int,
        discriminator_width: int,
        judgement: str,
        novelty: bool,
        perceptual: bool,
        context: bool,
        mirrored: bool,
        ranking: str,
    ) -> None:
        super().__init__()
        check_multiple(STRIDE, patch_size=patch_size)
        if any(size < patch_size or size % patch_size for size in image_size):
            raise InputError(f"image_size: found {image_size}, expected multiples of the patch size {patch_size}.")
        if channels not in {1, 3}:
            raise InputError(f"channels: found {channels}, expected 1 (grey) or 3.")
        rows, columns = (size // patch_size for size in image_size)
        if mask_count != 0 and not 2 <= mask_count <= rows * columns:
            raise InputError(
                f"mask_count: found {mask_count}, expected at least 2 and at most the number of patches "
                f"({rows * columns}), or 0 to hide nothing."
            )
        widths = {"width": width, "ranker_width": ranker_width, "discriminator_width": discriminator_width}
        for name, units in widths.items():
            if units < 1:
                raise InputError(f"{name}: found {units}, expected at least 1.")
        for name, value, known in (("judgement", judgement, JUDGEMENTS), ("ranking", ranking, RANKINGS)):
            if value not in known:
                raise InputError(f"{name}: found {value!r}, expected one of {', '.join(known)}.")
        self.channels = channels
        self.patch_size = patch_size
        self.novelty = novelty
        self.rank = RANKINGS[ranking]
        self.reconstructor = MaskedReconstructor(channels, width)
        self.discriminator = PatchDiscriminator(channels, discriminator_width, FEATURES, patch_size, judgement)
        self.feature_novelty = NoveltyDistribution(FEATURES, rows, columns)
        self.perception = Perception(patch_size) if perceptual else None
        self.perceived_novelty = NoveltyDistribution(PERCEIVED, rows, columns) if perceptual else None
        evidence = OBSERVED + 1 + perceptual
        self.evidence_novelty = NoveltyDistribution(evidence, rows, columns)
        ranker = PatchRanker if context else PatchwiseRanker
        read = OBSERVED + FEATURES + PERCEIVED * perceptual
        self.ranker = ranker(read, channels, ranker_width, patch_size, mirrored)
        self.evidence_trust = nn.Parameter(torch.zeros(evidence))
        self.register_buffer("masks", complementary_masks(rows, columns, mask_count), persistent=False)
        # From patches to pixels, down and across the image; an interpolation would take a fourteenth of an 8-bit graph.
        for name, cells, size in (("down", rows, image_size[0]), ("across", columns, image_size[1])):
            matrix = enlargement(cells, size, "bilinear", torch.device("cpu"))
            self.register_buffer(name, matrix.clone(), persistent=False)
        self.register_buffer("importance_offset", torch.zeros(()))
        # On a CPU a step of training is a seventh faster so, and a prediction a fifth.
        self.to(memory_format=torch.channels_last)

    def with_novelty(self, features: Iterable[Tensor]) -> list[tuple[NoveltyDistribution, Tensor]]:
        """Each of an observation's features with its distribution, in their order."""
        novelties = (self.feature_novelty, self.perceived_novelty)
        return list(zip((novelty for novelty in novelties if novelty is not None), features, strict=True))

    def to_channels(self, image: Tensor) -> Tensor:
        """Bring a batch [N, 3, H, W] to the network's channels [N, C, H, W]."""
        return image if self.channels == image.shape[1] else image.mean(dim=1, keepdim=True)

    def reconstruct(self, image: Tensor) -> Tensor:
        """Predict every pixel while it is hidden: K complementary masks in one batched pass.

        Args:
            image: [N, C, H, W] in [0, 1].

        Returns:
            [N, C, H, W], not clamped to [0, 1].
        """
        masks = to_pixels(self.masks, self.patch_size)
        count, (channels, height, width) = masks.shape[0], image.shape[1:]
        # Image-major order with -1 for the batch, so that an exported graph takes any number of images.
        images = image.unsqueeze(1).expand(-1, count, -1, -1, -1).reshape(-1, channels, height, width)
        hidden = masks.unsqueeze(0).expand(image.shape[0], -1, -1, -1, -1)
        output = self.reconstructor(images, hidden.reshape(-1, 1, height, width))
        output = output.reshape(-1, count, channels, height, width)
        return (output * hidden).sum(dim=1) if count > 1 else output[:, 0]

    def reconstructed(self, image: Tensor) -> Tensor:
        """What a batch of anomalib is reconstructed as: [N, 3, H, W] in [0, 1] -> [N, C, H, W], not clamped."""
        return self.reconstruct(self.to_channels(image))

    def draw_hidden(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Draw what training hides of each image: a fresh random 1 / K of the patches.

        Returns:
            What is hidden and what the reconstructor's losses ask for, both [N, 1, rows, columns]: the same, but for
            K = 0, where nothing is hidden and all is asked for.
        """
        count, _, rows, columns = self.masks.shape
        if count == 1:
            nothing = torch.zeros(len(image), 1, rows, columns, device=image.device)
            return nothing, torch.ones_like(nothing)
        hidden = random_masks(len(image), rows, columns, 1 / count, image.device)
        return hidden, hidden

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
        perceived = () if self.perception is None else (self.perception(image),)
        return Observation(reconstruction, (features, *perceived), evidence)

    @staticmethod
    def add_feature_novelty(evidence: Tensor, whitened_features: Iterable[Tensor]) -> Tensor:
        """Append the Mahalanobis distance (log) of each kind of features: [N, 5, ...] -> [N, 6 or 7, ...]."""
        distances = [features.square().mean(dim=1, keepdim=True) for features in whitened_features]
        return torch.cat([evidence, *(0.5 * torch.log(distance + 1e-6) for distance in distances)], dim=1)

    def evidence_of(self, observation: Observation) -> Tensor:
        """All evidence of an observation, by the fitted distribution of its features: [N, 6 or 7, rows, columns]."""
        whitened = [self.compare(novelty, features) for novelty, features in self.with_novelty(observation.features)]
        return self.add_feature_novelty(observation.evidence, whitened)

    def patch_scores(self, whitened: Tensor) -> Tensor:
        """One-sided novelty of a patch: log(1 + length of the positive part of its whitened evidence), [N, 1, ...].

        One-sided because a patch that is easier to reconstruct, or looks more authentic, than normal is no anomaly; the
        logarithm, so that a single outlying patch does not drown what the ranking says of the others. How far each
        component is trusted is learned with the ranking; all alike at first, and their mean stays 1.
        """
        trust = whitened.shape[1] * torch.softmax(self.evidence_trust, dim=0).view(1, -1, 1, 1)
        return torch.log1p(((trust * whitened.clamp_min(0).square()).sum(dim=1, keepdim=True) + 1e-12).sqrt())

    def rankable(self, observation: Observation, evidence: Tensor) -> Tensor:
        """What the ranker reads of a patch: standardised evidence and features, limited, [N, 5 + F, rows, columns].

        Args:
            observation: What was observed of the images.
            evidence: All evidence [N, 6 or 7, rows, columns], of which five are used: the others depend on the fit.
        """
        seen = [self.evidence_novelty.standardise(evidence)[:, :OBSERVED]]
        seen.extend(novelty.standardise(features) for novelty, features in self.with_novelty(observation.features))
        return torch.cat(seen, dim=1).clamp(-EVIDENCE_LIMIT, EVIDENCE_LIMIT)

    def batch_importance(self, image: Tensor, intact: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores and importance in training, where moving averages stand in for the fitted distribution.

        Every second image goes without evidence and reconstruction: those of training images are better than those of
        new ones, so the ranker must not lean on them alone. The networks before it get no gradient from here.

        Args:
            image: Corrupted and intact images [N, C, H, W].
            intact: Which are intact, bool [N].

        Returns:
            Patch scores of every other image from the first [N / 2, 1, rows, columns], importance logits of all patches
            [N, 1, rows, columns] and of all pixels [N, 1, H, W].
        """
        with torch.no_grad():
            half = image[::2]
            observation = self.observe(half)
            pairs = self.with_novelty(observation.features)
            whitened_features = [self.compare(novelty, features, fitted=False) for novelty, features in pairs]
            evidence = self.add_feature_novelty(observation.evidence, whitened_features)
            whitened = self.compare(self.evidence_novelty, evidence, fitted=False)
            rankable = self.rankable(observation, evidence)
            seen = rankable.new_zeros(len(image), *rankable.shape[1:])
            seen[::2] = rankable
            discrepancy = torch.zeros_like(image)
            discrepancy[::2] = half - observation.reconstruction
            for novelty, features in pairs:
                novelty.track(features[intact[::2]])
            self.evidence_novelty.track(evidence[intact[::2]])
        patches, pixels = self.ranker(seen, image, discrepancy)
        normal = from_all(patches[intact].detach()).float().flatten()
        return self.patch_scores(whitened), patches - torch.quantile(normal, OFFSET_QUANTILE), pixels

    def compare(self, distribution: NoveltyDistribution, vectors: Tensor, fitted: bool = True) -> Tensor:
        """Compare vectors [N, D, rows, columns] with their distribution over normals, or only bring them to scale.

        Args:
            distribution: Their distribution.
            vectors: Evidence or features.
            fitted: Whether the distribution was fitted; else moving averages stand in for it.
        """
        if not self.novelty:
            return distribution.standardise(vectors)
        return distribution(vectors) if fitted else distribution.whiten_in_training(vectors)

    @torch.no_grad()
    def fit_novelty(self, batches: list[Tensor]) -> None:
        """Fit the novelty distribution to normal images that the networks were not trained on.

        Args:
            batches: Batches of images [N, 3, H, W] in [0, 1].
        """
        images = [self.to_channels(batch) for batch in batches]
        observations = [self.observe(image) for image in images]
        kinds = zip(*(observation.features for observation in observations), strict=True)
        for novelty, features in self.with_novelty(map(torch.cat, kinds)):
            novelty.fit(features)
        evidence = [self.evidence_of(observation) for observation in observations]
        self.evidence_novelty.fit(torch.cat(evidence))
        importance = [
            self.ranker(self.rankable(observation, vectors), image, image - observation.reconstruction)[0]
            for image, observation, vectors in zip(images, observations, evidence, strict=True)
        ]
        self.importance_offset.copy_(torch.quantile(torch.cat(importance).float().flatten()[: 2**24], OFFSET_QUANTILE))

    def forward(self, image: Tensor) -> InferenceBatch:
        """Score images.

        Args:
            image: [N, 3, H, W] in [0, 1] at the model's image size.

        Returns:
            Raw image scores [N] (>= 0, but for the ranking ``whole``) and anomaly maps [N, 1, H, W] >= 0, neither
            calibrated.
        """
        image = self.to_channels(image)
        observation = self.observe(image)
        evidence = self.evidence_of(observation)
        scores = self.patch_scores(self.compare(self.evidence_novelty, evidence))
        seen = self.rankable(observation, evidence)
        patches, pixels = self.ranker(seen, image, image - observation.reconstruction)
        importance = (patches - self.importance_offset).flatten(1)
        anomaly_map = self.to_map(scores, pixels)
        return InferenceBatch(
            pred_score=self.rank(scores.flatten(1), importance, self.shown(anomaly_map)),
            anomaly_map=anomaly_map,
        )

    def shown(self, anomaly_map: Tensor) -> Tensor:
        """Mean of the map over each patch: [N, 1, H, W] -> [N, P]."""
        return functional.avg_pool2d(anomaly_map, self.patch_size).flatten(1)

    def to_map(self, scores: Tensor, pixels: Tensor) -> Tensor:
        """Bring patch scores to pixels, each weighted by the importance of the pixel.

        Args:
            scores: Patch scores [N, 1, rows, columns], >= 0.
            pixels: Importance logits of the pixels [N, 1, H, W].

        Returns:
            [N, 1, H, W], >= 0.
        """
        return torch.sigmoid(pixels) * (self.down @ (scores @ self.across.T))
