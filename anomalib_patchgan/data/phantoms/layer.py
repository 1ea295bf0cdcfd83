# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Lines and rings, drawn finer than the picture they are laid over and reduced to it, for smooth edges."""

import numpy as np
from PIL import Image

from anomalib_patchgan.data.phantoms.fields import Array


def new_layer(height: int, width: int, oversampling: int) -> Image.Image:
    """Returns an empty layer for a picture of ``height`` x ``width``, ``oversampling`` times as fine."""
    return Image.new("L", (width * oversampling, height * oversampling))


def reduced(layer: Image.Image, height: int, width: int) -> Array:
    """Returns how far each pixel of the picture is covered [H, W], 0..1."""
    return np.asarray(layer.resize((width, height), Image.Resampling.BOX), dtype=np.float32) / np.float32(255)
