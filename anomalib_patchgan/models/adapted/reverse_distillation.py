# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Reverse distillation from any convolutional timm backbone."""

from collections.abc import Sequence

from anomalib.metrics import Evaluator
from anomalib.models import image
from anomalib.models.components import TimmFeatureExtractor
from anomalib.models.image.reverse_distillation.anomaly_map import AnomalyMapGenerationMode
from anomalib.models.image.reverse_distillation.loss import ReverseDistillationLoss
from anomalib.models.image.reverse_distillation.torch_model import ReverseDistillationModel
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer
from torch import Tensor, nn

from anomalib_patchgan.models.adapted.pre_processing import backbone_pre_processor

# Channels that anomalib's bottleneck and decoder of the kind "resnet18" take and give at the three resolutions.
CHANNELS = (64, 128, 256)


class Projected(nn.Module):
    """A module on lists of features with a 1x1 convolution before or behind each.

    Args:
        inner: The module.
        before: Channels (found, wanted) of each of its inputs, or nothing to leave them as they are.
        behind: The same of each of its outputs.
    """

    def __init__(
        self, inner: nn.Module, before: Sequence[tuple[int, int]] = (), behind: Sequence[tuple[int, int]] = ()
    ) -> None:
        super().__init__()
        self.inner = inner
        self.before = nn.ModuleList(nn.Conv2d(found, wanted, 1) for found, wanted in before)
        self.behind = nn.ModuleList(nn.Conv2d(found, wanted, 1) for found, wanted in behind)

    def forward(self, features: list[Tensor] | Tensor) -> list[Tensor] | Tensor:
        """Project, apply, project."""
        if self.before:
            features = [project(feature) for project, feature in zip(self.before, features, strict=True)]
        outputs = self.inner(features)
        if self.behind:
            outputs = [project(output) for project, output in zip(self.behind, outputs, strict=True)]
        return outputs


class ReverseDistillation(image.ReverseDistillation):
    """anomalib's reverse distillation, whose bottleneck and decoder fit ResNets alone, on any convolutional timm model.

    Learned 1x1 convolutions bring the backbone's channels to those of the ResNet-18 bottleneck, and the decoder's back.

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
        super(image.ReverseDistillation, self).__init__(
            pre_processor=default if pre_processor is True else pre_processor,
            post_processor=post_processor,
            evaluator=evaluator,
            visualizer=visualizer,
        )
        self.model = ReverseDistillationModel(
            backbone="resnet18",
            input_size=(image_size, image_size),
            layers=["layer1", "layer2", "layer3"],
            anomaly_map_mode=AnomalyMapGenerationMode.ADD,
            pre_trained=False,
        )
        self.model.encoder = TimmFeatureExtractor(backbone, list(layers), pre_trained=True)
        self.model.encoder.requires_grad_(requires_grad=False)
        found = self.model.encoder.out_dims
        self.model.bottleneck = Projected(self.model.bottleneck, before=list(zip(found, CHANNELS, strict=True)))
        self.model.decoder = Projected(self.model.decoder, behind=list(zip(CHANNELS, found, strict=True)))
        self.loss = ReverseDistillationLoss()
