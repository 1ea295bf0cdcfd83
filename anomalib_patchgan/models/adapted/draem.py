# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""DRAEM with textures from scikit-image's wheel."""

from pathlib import Path

import skimage.data
from anomalib.data.utils.generators import PerlinAnomalyGenerator
from anomalib.metrics import Evaluator
from anomalib.models import image
from anomalib.models.image.draem.loss import DraemLoss
from anomalib.models.image.draem.torch_model import DraemModel
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer
from torchvision.transforms.v2 import Compose, Resize

from anomalib_patchgan.errors import InputError

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


class Draem(image.Draem):
    """anomalib's DRAEM, which downloads 5,640 textures when it is built, with eight local ones.

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
        if image_size < STEP or image_size % STEP:
            raise InputError(f"image_size: found {image_size}, expected a multiple of {STEP}.")
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
        self.model = DraemModel()
        self.loss = DraemLoss()
        self.sspcab = False
