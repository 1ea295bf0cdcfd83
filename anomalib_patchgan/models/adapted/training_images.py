# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What an adapter measures on training images."""

from collections.abc import Iterator

from anomalib.models import AnomalibModule
from torch import Tensor


def training_images(model: AnomalibModule) -> Iterator[Tensor]:
    """All training images [N, 3, H, W], a batch at a time, as training gives them to the network.

    They come from a loader of their own, so that the one that a training reads from is left alone, and every one of
    several processes sees them all.

    Args:
        model: A model that a trainer with a datamodule trains.
    """
    for batch in model.trainer.datamodule.train_dataloader():
        image = batch.image.to(model.device)
        yield model.pre_processor.transform(image) if model.pre_processor else image
