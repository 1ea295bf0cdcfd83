# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""DRAEM with its authors' image score and learning rate, and textures from scikit-image's wheel."""

import math
from pathlib import Path

import skimage.data
import torch
from anomalib.data import InferenceBatch
from anomalib.data.utils.generators import PerlinAnomalyGenerator
from anomalib.metrics import Evaluator
from anomalib.models import image
from anomalib.models.image.draem.loss import DraemLoss
from anomalib.models.image.draem.torch_model import DraemModel
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import Compose, Resize

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.models.components.ranges import check_multiple

# Photographs that come with scikit-image: three textures, and five scenes that are rich in texture.
TEXTURES = (
    "brick.png",
    "grass.png",
    "gravel.png",
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "rocket.jpg",
)
# Five halvings of the resolution.
STEP = 32
# Side of the mean filter behind the image score, of images of that side (github.com/VitjanZ/DRAEM, test_DRAEM.py).
AUTHORS_FILTER, AUTHORS_SIDE = 21, 256
# Shares of the training after which the learning rate falls, and by which factor (train_DRAEM.py there).
LEARNING_RATE, FALLS, FACTOR = 1e-4, (0.8, 0.9), 0.2


def texture_files() -> list[Path]:
    """Files of the textures, in a fixed order.

    Raises:
        InputError: The wheel lacks one.
    """
    folder = Path(skimage.data.__file__).parent
    for name in TEXTURES:
        if not (folder / name).is_file():
            raise InputError(
                f"Draem: found no {name} among scikit-image's data, expected the data of scikit-image 0.25 or later."
            )
    return [folder / name for name in TEXTURES]


class AdaptedDraemModel(DraemModel):
    """anomalib's network with its authors' image score: the maximum of the map behind a mean filter.

    anomalib's is the map's own maximum, which a single pixel decides.

    Args:
        image_size: Side of the images in pixels. The filter is as large beside it as the authors' is, and odd.
    """

    def __init__(self, image_size: int) -> None:
        super().__init__()
        self.reach = round((AUTHORS_FILTER * image_size / AUTHORS_SIDE - 1) / 2)

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor] | InferenceBatch:
        """Reconstruction [N, 3, H, W] and logits [N, 2, H, W] in training, else scores [N] and maps [N, H, W]."""
        output = super().forward(batch)
        if self.training:
            return output
        smooth = functional.avg_pool2d(
            output.anomaly_map.unsqueeze(1), 2 * self.reach + 1, stride=1, padding=self.reach
        )
        return output._replace(pred_score=torch.amax(smooth, dim=(1, 2, 3)))


class Draem(image.Draem):
    """anomalib's DRAEM, which downloads 5,640 textures when it is built, with eight local ones.

    Image score and learning rate are its authors'; where only its time ends a training, the rate stays as it is.

    Args:
        image_size (int): Side that images are resized to, in pixels, a multiple of 32.
            Defaults to ``128``.
        blend_from (float): Smallest share of the texture in a blend with the image, in [0, 1].
            Defaults to ``0.1``.
        blend_to (float): Largest such share.
            Defaults to ``1.0``.
        pre_processor (PreProcessor | bool): Pre-processor, or whether to use the default (resize to image_size).
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
        blend_from: float = 0.1,
        blend_to: float = 1.0,
        pre_processor: PreProcessor | bool = True,
        post_processor: PostProcessor | bool = True,
        evaluator: Evaluator | bool = True,
        visualizer: Visualizer | bool = True,
    ) -> None:
        check_multiple(STEP, image_size=image_size)
        default = PreProcessor(transform=Compose([Resize((image_size, image_size), antialias=True)]))
        # Past the parent's constructor, which downloads textures; and no path of this machine enters a checkpoint.
        super(image.Draem, self).__init__(
            pre_processor=default if pre_processor is True else pre_processor,
            post_processor=post_processor,
            evaluator=evaluator,
            visualizer=visualizer,
        )
        self.augmenter = PerlinAnomalyGenerator(blend_factor=(blend_from, blend_to))
        self.augmenter.anomaly_source_paths = texture_files()
        self.model = AdaptedDraemModel(image_size)
        self.loss = DraemLoss()
        self.sspcab = False

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam, whose learning rate falls twice towards the end; anomalib's falls after 400 and 600 epochs."""
        optimizer = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE)
        planned = self.trainer.estimated_stepping_batches
        falls = [] if math.isinf(planned) else [round(share * planned) for share in FALLS]
        scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, falls, gamma=FACTOR)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
