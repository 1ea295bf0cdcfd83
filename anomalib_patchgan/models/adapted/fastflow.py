# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""FastFlow on any convolutional timm backbone."""

from collections.abc import Sequence

from anomalib.metrics import Evaluator
from anomalib.models import image
from anomalib.models.components import TimmFeatureExtractor
from anomalib.models.image.fastflow.loss import FastflowLoss
from anomalib.models.image.fastflow.torch_model import FastflowModel, create_fast_flow_block
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer
from torch import Tensor, nn

from anomalib_patchgan.models.adapted.pre_processing import backbone_pre_processor


class AdaptedFastflowModel(FastflowModel):
    """anomalib's network with another feature extractor, and norms and flows of that extractor's sizes.

    Args:
        image_size: Side of the images in pixels.
        backbone: Name of a timm model.
        layers: Names of its feature layers.
        flow_steps: Steps of each flow.
    """

    def __init__(self, image_size: int, backbone: str, layers: Sequence[str], flow_steps: int) -> None:
        # A smallest network of a kind that the parent accepts; all that depends on the backbone is replaced below.
        super().__init__((image_size, image_size), "resnet18", pre_trained=False, flow_steps=1)
        self.feature_extractor = TimmFeatureExtractor(backbone, list(layers), pre_trained=True)
        self.feature_extractor.requires_grad_(requires_grad=False)
        shapes = [
            [channels, image_size // reduction, image_size // reduction]
            for channels, reduction in zip(
                self.feature_extractor.out_dims, self.feature_extractor.reductions, strict=True
            )
        ]
        self.norms = nn.ModuleList(nn.LayerNorm(shape) for shape in shapes)
        self.fast_flow_blocks = nn.ModuleList(
            create_fast_flow_block(shape, conv3x3_only=False, hidden_ratio=1.0, flow_steps=flow_steps)
            for shape in shapes
        )

    def _get_cnn_features(self, input_tensor: Tensor) -> list[Tensor]:
        features = self.feature_extractor(input_tensor).values()
        return [norm(feature) for norm, feature in zip(self.norms, features, strict=True)]


class Fastflow(image.Fastflow):
    """anomalib's FastFlow, which knows four backbones by name, on any convolutional timm model.

    Args:
        image_size (int): Side that images are resized to, in pixels, a multiple of 16.
            Defaults to ``128``.
        backbone (str): Name of a timm model.
            Defaults to ``efficientnet_lite0_wheel``.
        layers (Sequence[str]): Names of three feature layers at a quarter, an eighth and a sixteenth of the resolution.
            Defaults to ``("blocks.1", "blocks.2", "blocks.4")``.
        flow_steps (int): Steps of each flow.
            Defaults to ``8``.
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
        flow_steps: int = 8,
        pre_processor: PreProcessor | bool = True,
        post_processor: PostProcessor | bool = True,
        evaluator: Evaluator | bool = True,
        visualizer: Visualizer | bool = True,
    ) -> None:
        default = backbone_pre_processor(image_size)
        # Past the parent's constructor, which knows only its own backbones.
        super(image.Fastflow, self).__init__(
            pre_processor=default if pre_processor is True else pre_processor,
            post_processor=post_processor,
            evaluator=evaluator,
            visualizer=visualizer,
        )
        self.model = AdaptedFastflowModel(image_size, backbone, layers, flow_steps)
        self.loss = FastflowLoss()
