# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""CFA on any convolutional timm backbone."""

from collections.abc import Sequence

import torch
from anomalib.data import ImageBatch
from anomalib.metrics import Evaluator
from anomalib.models import image
from anomalib.models.components import TimmFeatureExtractor
from anomalib.models.image.cfa.anomaly_map import AnomalyMapGenerator
from anomalib.models.image.cfa.loss import CfaLoss
from anomalib.models.image.cfa.torch_model import CfaModel, CoordConv2d, Descriptor
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer

from anomalib_patchgan.models.adapted.pre_processing import backbone_pre_processor
from anomalib_patchgan.models.adapted.training_images import training_images

# anomalib's defaults.
NEIGHBOURS = 3
RADIUS = 1e-5


class AdaptedDescriptor(Descriptor):
    """anomalib's descriptor for features of any number of channels.

    Args:
        backbone: Name of a timm model.
        channels: Channels of all feature layers together.
    """

    def __init__(self, backbone: str, channels: int) -> None:
        # Past the parent's constructor, which knows only the channels of its own backbones.
        super(Descriptor, self).__init__()
        self.backbone = backbone
        self.layer = CoordConv2d(in_channels=channels, out_channels=channels, kernel_size=1)


class AdaptedCfaModel(CfaModel):
    """anomalib's network with another feature extractor.

    Args:
        backbone: Name of a timm model.
        layers: Names of its feature layers, the finest first.
    """

    def __init__(self, backbone: str, layers: Sequence[str]) -> None:
        # Past the parent's constructor, which downloads the weights of its own backbones.
        super(CfaModel, self).__init__()
        self.gamma_c = self.gamma_d = 1
        self.num_nearest_neighbors = self.num_hard_negative_features = NEIGHBOURS
        self.register_buffer("memory_bank", torch.tensor(0.0))
        self.backbone = backbone
        self.feature_extractor = TimmFeatureExtractor(backbone, list(layers), pre_trained=True)
        self.feature_extractor.requires_grad_(requires_grad=False)
        self.descriptor = AdaptedDescriptor(backbone, sum(self.feature_extractor.out_dims))
        self.radius = torch.ones(1, requires_grad=True) * RADIUS
        self.anomaly_map_generator = AnomalyMapGenerator(num_nearest_neighbors=NEIGHBOURS)

    def get_scale(self, input_size: tuple[int, int] | torch.Size) -> torch.Size:
        """Rows and columns of the finest features of images of this size."""
        reduction = self.feature_extractor.reductions[0]
        return torch.Size(size // reduction for size in input_size)


class Cfa(image.Cfa):
    """anomalib's CFA, which takes weights from torchvision alone, on any convolutional timm model.

    Args:
        image_size (int): Side that images are resized to, in pixels, a multiple of 16.
            Defaults to ``128``.
        backbone (str): Name of a timm model.
            Defaults to ``efficientnet_lite0_wheel``.
        layers (Sequence[str]): Names of three feature layers at a quarter, an eighth and a sixteenth of the resolution.
            Defaults to ``("blocks.1", "blocks.2", "blocks.4")``.
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

    def __init__(
        self,
        image_size: int = 128,
        backbone: str = "efficientnet_lite0_wheel",
        layers: Sequence[str] = ("blocks.1", "blocks.2", "blocks.4"),
        pre_processor: PreProcessor | bool = True,
        post_processor: PostProcessor | bool = True,
        evaluator: Evaluator | bool = True,
        visualizer: Visualizer | bool = True,
    ) -> None:
        default = backbone_pre_processor(image_size)
        # Past the parent's constructor, which knows only its own backbones.
        super(image.Cfa, self).__init__(
            pre_processor=default if pre_processor is True else pre_processor,
            post_processor=post_processor,
            evaluator=evaluator,
            visualizer=visualizer,
        )
        self.model = AdaptedCfaModel(backbone, layers)
        self.loss = CfaLoss(NEIGHBOURS, NEIGHBOURS, RADIUS)

    def on_train_start(self) -> None:
        """Set out from centroids of what training is given: anomalib's are of images before the pre-processor."""
        self.model.initialize_centroid(ImageBatch(image=images) for images in training_images(self))
