# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""CFlow whose scores belong to one image each, on any convolutional timm backbone."""

from collections.abc import Iterable, Sequence

import torch
from anomalib.data import InferenceBatch
from anomalib.metrics import Evaluator
from anomalib.models import image
from anomalib.models.image.cflow.torch_model import CflowModel
from anomalib.models.image.cflow.utils import get_logp, positional_encoding_2d
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer
from torch import Tensor
from torch.nn import functional

from anomalib_patchgan.models.adapted.pre_processing import backbone_pre_processor
from anomalib_patchgan.models.adapted.training_images import training_images
from anomalib_patchgan.models.components.scoring import FittedToWeights


class AdaptedCflowModel(CflowModel):
    """anomalib's network, whose maps are scaled by constants instead of by the batch that an image is in.

    The score of a pixel is the number of layers less the sum, over the layers, of its likelihood as a share of the
    largest one. anomalib takes the largest of a batch, the authors that of the whole test set
    (github.com/gudovskiy/cflow-ad, train.py); here it is that of the training images. The largest likelihoods weigh the
    layers against each other, so they have to be the same for every image.

    Args:
        backbone: Name of a timm model.
        layers: Names of its feature layers.

    Attributes:
        largest: Largest log-likelihood per dimension of each layer over the training images [layers]; 0 before it is
            fitted.
    """

    largest: Tensor

    def __init__(self, backbone: str, layers: Sequence[str]) -> None:
        super().__init__(backbone=backbone, layers=list(layers))
        # It holds nothing, and scales by the batch.
        del self.anomaly_map_generator
        self.register_buffer("largest", torch.zeros(len(layers)))

    def log_likelihoods(self, images: Tensor) -> list[Tensor]:
        """Log-likelihood per dimension of every position of the layers' features.

        Args:
            images: Pre-processed images [N, 3, H, W].

        Returns:
            For each layer [N, 1, rows, columns].
        """
        likelihoods = []
        for features, decoder in zip(self.encoder(images).values(), self.decoders, strict=True):
            channels, rows, columns = features.shape[1:]
            encoding = positional_encoding_2d(self.condition_vector, rows, columns).to(features)
            condition = encoding.expand(features.shape[0], -1, -1, -1).permute(0, 2, 3, 1).flatten(end_dim=2)
            latent, log_determinant = decoder(features.permute(0, 2, 3, 1).flatten(end_dim=2), [condition])
            likelihood = get_logp(channels, latent, log_determinant) / channels
            likelihoods.append(likelihood.reshape(-1, 1, rows, columns))
        return likelihoods

    @torch.no_grad()
    def fit_largest(self, batches: Iterable[Tensor]) -> None:
        """Find the largest likelihood of each layer.

        Args:
            batches: Pre-processed normal images, each [N, 3, H, W].
        """
        largest = torch.full_like(self.largest, -torch.inf)
        for images in batches:
            found = torch.stack([likelihood.amax() for likelihood in self.log_likelihoods(images)])
            largest = torch.maximum(largest, found)
        self.largest.copy_(largest)

    def forward(self, images: Tensor) -> InferenceBatch:
        """Score images.

        Args:
            images: Pre-processed images [N, 3, H, W].

        Returns:
            Maps [N, 1, H, W], at most the number of layers, and of each its maximum [N, 1].
        """
        with torch.no_grad():
            shares = [
                functional.interpolate(
                    torch.exp(likelihood - largest), size=images.shape[-2:], mode="bilinear", align_corners=True
                )
                for likelihood, largest in zip(self.log_likelihoods(images), self.largest, strict=True)
            ]
            anomaly_map = len(shares) - torch.stack(shares).sum(dim=0)
        return InferenceBatch(pred_score=torch.amax(anomaly_map, dim=(-2, -1)), anomaly_map=anomaly_map)


class Cflow(FittedToWeights, image.Cflow):
    """anomalib's CFlow, which scales its maps by the batch, with scores that belong to one image each.

    What the maps are scaled by is fitted on the training images when the flows are trained; no label is used.

    Args:
        image_size (int): Side that images are resized to, in pixels, a multiple of 16.
            Defaults to ``128``.
        backbone (str): Name of a timm model.
            Defaults to ``efficientnet_lite0_wheel``.
        layers (Sequence[str]): Names of its feature layers, the finest first.
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

    model: AdaptedCflowModel

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
        super(image.Cflow, self).__init__(
            pre_processor=default if pre_processor is True else pre_processor,
            post_processor=post_processor,
            evaluator=evaluator,
            visualizer=visualizer,
        )
        self.model = AdaptedCflowModel(backbone, layers)
        self.automatic_optimization = False
        # anomalib's default.
        self.learning_rate = 1e-4

    def fit_to_weights(self) -> None:
        """Fit the scale of the maps."""
        self.model.fit_largest(training_images(self))
