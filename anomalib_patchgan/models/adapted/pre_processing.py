# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What the backbone expects of its input."""

from anomalib.pre_processing import PreProcessor
from torchvision.transforms.v2 import Compose, Normalize, Resize

from anomalib_patchgan.models.backbones import DEVIATION, MEAN
from anomalib_patchgan.models.components.ranges import check_multiple

# The coarsest of the features that are used has a sixteenth of the image's resolution.
STEP = 16


def backbone_pre_processor(image_size: int) -> PreProcessor:
    """Resize to a square and scale as EfficientNet-Lite's weights were trained.

    Args:
        image_size: Side in pixels, a multiple of 16.

    Raises:
        InputError: The side is no multiple of 16.
    """
    check_multiple(STEP, image_size=image_size)
    resize = Resize((image_size, image_size), antialias=True)
    return PreProcessor(transform=Compose([resize, Normalize(mean=[MEAN / 255] * 3, std=[DEVIATION / 255] * 3)]))
