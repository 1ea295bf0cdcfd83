# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Colour constancy: a photograph's colours relative to those of the skin that it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The skin around a lesion is looked for in this part of the shorter side along the edges,
_RIM = 0.1
# where it is at least this bright beside the brightest twentieth: darker is the frame of a dermoscope, or hair;
_LIT = 0.25
# and in the whole photograph where less than this share of it is rim and lit.
_ENOUGH = 0.01


def skin_balance(colours: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Find by what each channel is to be multiplied for a photograph's own skin to become grey.

    A diagonal (von Kries) correction with the skin around the lesion as the reference, where colour constancy in
    dermoscopy takes the light's colour (Barata et al., 2015). It takes away the colour of the light and that of the
    person's skin alike; brightness stays. The skin's colour is the median over the photograph's rim, so a lesion that
    fills the rim too is taken for skin.

    Args:
        colours: Intensities, uint8 ``[rows, columns, 3]``.

    Returns:
        Factors, float32 ``[3]``; ones for a photograph that is black.
    """
    pixels = colours.astype(np.float32)
    brightness = pixels.mean(axis=2)
    lit = brightness >= max(1.0, _LIT * float(np.quantile(brightness, 0.95)))
    width = max(1, round(_RIM * min(brightness.shape)))
    rim = np.ones_like(lit)
    rim[width:-width, width:-width] = False
    skin = lit & rim if (lit & rim).mean() >= _ENOUGH else lit
    if not skin.any():
        return np.ones(3, dtype=np.float32)
    shares = np.median(pixels[skin] / brightness[skin][:, None], axis=0)
    # A channel without any light has no colour to bring back.
    return np.where(shares > 0, 1 / np.maximum(shares, 1e-3), 1).astype(np.float32)


def balance_colours(image: NDArray[np.float32], balance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Apply the factors ``[3]`` to an image in [0, 1], float32 ``[3, rows, columns]``; what is above 1 becomes 1."""
    return np.minimum(image * balance[:, None, None], np.float32(1))
