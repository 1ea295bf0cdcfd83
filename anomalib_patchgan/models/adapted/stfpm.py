# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""STFPM with its authors' loss, on any convolutional timm backbone."""

from collections.abc import Mapping, Sequence

import torch
from anomalib.metrics import Evaluator
from anomalib.models import image
from anomalib.models.image.stfpm.torch_model import STFPMModel
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer
from torch import Tensor, nn
from torch.nn import functional

from anomalib_patchgan.models.adapted.pre_processing import backbone_pre_processor

# The authors' settings (github.com/gdwang08/STFPM, main.py); the weight decay is a tenth of anomalib's.
LEARNING_RATE = 0.4
MOMENTUM = 0.9
WEIGHT_DECAY = 1e-4


class PyramidLoss(nn.Module):
    """The authors' loss: squared distance of normalised features, averaged over images and positions.

    anomalib's takes half of the sum over the images of a batch, 16 times as much in a batch of 32, at the same learning
    rate.
    """

    def forward(self, teacher_features: Mapping[str, Tensor], student_features: Mapping[str, Tensor]) -> Tensor:
        """Sum of the levels' mean squared distances.

        Args:
            teacher_features: Features [N, C, H, W] of the teacher by layer.
            student_features: Those of the student, of the same shapes.

        Returns:
            A number from 0 to 4 times the number of layers.
        """
        distances = [
            (functional.normalize(student_features[layer]) - functional.normalize(feature)).square().sum(dim=1).mean()
            for layer, feature in teacher_features.items()
        ]
        return torch.stack(distances).sum()


class Stfpm(image.Stfpm):
    """anomalib's STFPM with its authors' loss and weight decay, on any convolutional timm model.

    Args:
        image_size (int): Side that images are resized to, in pixels, a multiple of 16.
            Defaults to ``128``.
        backbone (str): Name of a timm model, of which the teacher has the weights and the student none.
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
        # Past the parent's constructor, whose arguments would enter a checkpoint.
        super(image.Stfpm, self).__init__(
            pre_processor=default if pre_processor is True else pre_processor,
            post_processor=post_processor,
            evaluator=evaluator,
            visualizer=visualizer,
        )
        self.model = STFPMModel(backbone=backbone, layers=list(layers))
        self.loss = PyramidLoss()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The authors' stochastic gradient descent of the student."""
        return torch.optim.SGD(
            self.model.student_model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
        )
