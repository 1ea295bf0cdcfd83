# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""SuperSimpleNet with noise to the scale of its features, on any convolutional timm backbone."""

from collections.abc import Iterable, Sequence

import torch
from anomalib.metrics import Evaluator
from anomalib.models import image
from anomalib.models.image.supersimplenet.anomaly_generator import AnomalyGenerator
from anomalib.models.image.supersimplenet.loss import SSNLoss
from anomalib.models.image.supersimplenet.torch_model import SupersimplenetModel, UpscalingFeatureExtractor
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer
from torch import Tensor

from anomalib_patchgan.models.adapted.pre_processing import backbone_pre_processor
from anomalib_patchgan.models.adapted.training_images import training_images
from anomalib_patchgan.models.components.precision import full_precision
from anomalib_patchgan.models.components.scoring import ScoredInFullPrecision

# anomalib's default.
PERLIN_THRESHOLD = 0.2
# Perlin noise has up to 32 cells a side; anomalib's fails, or is 0 everywhere, on a grid of fewer than two pixels each.
SMALLEST_NOISE = 64
# A channel that varies less is left as it is.
SMALLEST_DEVIATION = 1e-6
# A principal direction of scaled features that varies less does not vary but by rounding, as of very few images.
SMALLEST_SPREAD = 1e-3


class ScaledFeatures(UpscalingFeatureExtractor):
    """anomalib's feature extractor, with features divided by their standard deviation over normal images.

    Args:
        backbone: Name of a timm model.
        layers: Names of its feature layers, the finest first.

    Attributes:
        deviation: Standard deviation of each channel over positions and training images [1, C, 1, 1]; 1 before it is
            measured.
    """

    deviation: Tensor

    def __init__(self, backbone: str, layers: Sequence[str]) -> None:
        super().__init__(backbone=backbone, layers=list(layers))
        self.register_buffer("deviation", torch.ones(1, sum(self.feature_extractor.out_dims), 1, 1))

    def forward(self, input_tensor: Tensor) -> Tensor:
        """Features of images.

        Args:
            input_tensor: Pre-processed images [N, 3, H, W].

        Returns:
            [N, C, rows, columns] with twice the rows and columns of the first layer.
        """
        features: Tensor = super().forward(input_tensor)
        return features / self.deviation

    @torch.no_grad()
    def measure(self, batches: Iterable[Tensor]) -> Tensor:
        """Set the deviations.

        Args:
            batches: Pre-processed normal images, each [N, 3, H, W].

        Returns:
            Standard deviations of the scaled features along their principal directions [C], in ascending order.
        """
        self.deviation.fill_(1.0)
        count, total, products = 0, torch.zeros(()), torch.zeros(())
        for images in batches:
            # A principal direction of little variance would be lost in the rounding of single precision.
            vectors = self(images).double().movedim(1, -1).flatten(end_dim=-2).cpu()
            count += len(vectors)
            total = total + vectors.sum(dim=0)
            products = products + vectors.T @ vectors
        mean = total / count
        covariance = products / count - torch.outer(mean, mean)
        deviation = covariance.diagonal().clamp_min(0).sqrt()
        deviation = torch.where(deviation > SMALLEST_DEVIATION, deviation, torch.ones_like(deviation))
        self.deviation.copy_(deviation.reshape(1, -1, 1, 1))
        return torch.linalg.eigvalsh(covariance / torch.outer(deviation, deviation)).clamp_min(0).sqrt()


class NoiseOnFineGrid(AnomalyGenerator):
    """anomalib's noise on features, whose masks are drawn on a grid that is fine enough and then resized to them."""

    @staticmethod
    def next_power_2(num: int) -> int:
        """Side of the grid for features of this side."""
        return max(SMALLEST_NOISE, AnomalyGenerator.next_power_2(num))


class AdaptedSupersimplenetModel(SupersimplenetModel):
    """anomalib's network with noise to the scale of its features.

    The authors' noise has a standard deviation of 0.015, for the features of one set of weights; on EfficientNet-Lite0
    it is a small fraction of what normal features vary by, so that nothing can tell a noised feature from another.
    Which fraction it is of the authors' features is not published. The choice here is ours and needs no label: each
    channel is divided by its standard deviation, and the noise has that of the median principal direction of normal
    features then. Along half of the directions it exceeds what is normal, along the other half it is hidden, so the
    task is neither trivial nor impossible. That was 0.58 of a channel's deviation for patches of skin and 0.41 for
    slices of brains (normal phantoms at 64 x 64); images that are nearly alike have less.

    Args:
        backbone: Name of a timm model.
        layers: Names of its feature layers, the finest first.
    """

    feature_extractor: ScaledFeatures

    def __init__(self, backbone: str, layers: Sequence[str]) -> None:
        super().__init__(perlin_threshold=PERLIN_THRESHOLD, backbone=backbone, layers=list(layers))
        self.feature_extractor = ScaledFeatures(backbone, layers)
        self.feature_extractor.requires_grad_(requires_grad=False)
        # The noise is measured when training starts.
        self.anomaly_generator = NoiseOnFineGrid(noise_mean=0.0, noise_std=1.0, threshold=PERLIN_THRESHOLD)
        # A step takes two thirds of the time on a CPU.
        self.to(memory_format=torch.channels_last)

    def measure(self, batches: Iterable[Tensor]) -> None:
        """Set the scale of features and noise.

        Args:
            batches: Pre-processed normal images, each [N, 3, H, W].
        """
        spread = self.feature_extractor.measure(batches)
        self.anomaly_generator.noise_std = float(spread[spread > SMALLEST_SPREAD].median())


class Supersimplenet(ScoredInFullPrecision, image.Supersimplenet):
    """anomalib's SuperSimpleNet, whose noise fits the features of one set of weights, on any convolutional timm model.

    Args:
        image_size (int): Side that images are resized to, in pixels, a multiple of 16.
            Defaults to ``128``.
        backbone (str): Name of a timm model.
            Defaults to ``efficientnet_lite0_wheel``.
        layers (Sequence[str]): Names of its feature layers, the finest first. Those of the default have an eighth and a
            sixteenth of the resolution, as the authors' have.
            Defaults to ``("blocks.2", "blocks.4")``.
        pre_processor (PreProcessor | bool): Pre-processor, or whether to use the default (resize, scale).
            Defaults to ``True``.
        post_processor (PostProcessor | bool): Post-processor, or whether to use anomalib's default.
            Defaults to ``True``.
        evaluator (Evaluator | bool): Evaluator, or whether to use anomalib's default.
            Defaults to ``True``.
        visualizer (Visualizer | bool): Visualizer, or whether to use anomalib's default.
            Defaults to ``True``.

    Raises:
        InputError: An image size that does not fit.
    """

    model: AdaptedSupersimplenetModel

    def __init__(
        self,
        image_size: int = 128,
        backbone: str = "efficientnet_lite0_wheel",
        layers: Sequence[str] = ("blocks.2", "blocks.4"),
        pre_processor: PreProcessor | bool = True,
        post_processor: PostProcessor | bool = True,
        evaluator: Evaluator | bool = True,
        visualizer: Visualizer | bool = True,
    ) -> None:
        default = backbone_pre_processor(image_size)
        # Past the parent's constructor, whose arguments would enter a checkpoint.
        super(image.Supersimplenet, self).__init__(
            pre_processor=default if pre_processor is True else pre_processor,
            post_processor=post_processor,
            evaluator=evaluator,
            visualizer=visualizer,
        )
        self.supervised = False
        self.norm_clip_val = 0
        self.model = AdaptedSupersimplenetModel(backbone, layers)
        self.loss = SSNLoss()

    def on_train_start(self) -> None:
        """Measure features and noise before the first step."""
        with full_precision(self.device):
            self.model.measure(training_images(self))
