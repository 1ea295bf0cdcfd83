# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""How a scanner shows a brain phantom: contrasts, texture, bias field, blur, Rician noise, an arbitrary scale."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomalib_patchgan.data.phantoms.anatomy import CSF, WHITE
from anomalib_patchgan.data.phantoms.fields import Array, fine_field, ramp, smooth_field
from anomalib_patchgan.data.phantoms.level import Level


@dataclass(frozen=True)
class Scanner:
    """From what a population's scans are drawn. Intensities are about 0..1.

    Attributes:
        contrasts: Modality -> ranges of a subject's intensity of grey matter, white matter and CSF.
        bias: Range of the standard deviation of the bias field's logarithm.
        bias_length_mm: Correlation length of the bias field.
        noise: Range of the noise's standard deviation, in the real and in the imaginary part.
    """

    contrasts: dict[str, tuple[tuple[float, float], ...]]
    bias: tuple[float, float]
    bias_length_mm: float
    noise: tuple[float, float]


REFERENCE_SCANNER = Scanner(
    contrasts={
        "flair": ((0.52, 0.62), (0.40, 0.48), (0.06, 0.16)),
        "t1": ((0.44, 0.54), (0.62, 0.72), (0.12, 0.22)),
        "t1ce": ((0.44, 0.54), (0.60, 0.70), (0.12, 0.22)),
        "t2": ((0.44, 0.54), (0.30, 0.38), (0.80, 0.95)),
    },
    bias=(0.03, 0.12),
    bias_length_mm=60.0,
    noise=(0.010, 0.030),
)
# White matter brighter than grey in FLAIR, flatter T1, a stronger and shorter bias field, more noise.
SHIFTED_SCANNER = Scanner(
    contrasts={
        "flair": ((0.44, 0.54), (0.50, 0.60), (0.14, 0.26)),
        "t1": ((0.40, 0.50), (0.50, 0.60), (0.20, 0.30)),
        "t1ce": ((0.40, 0.50), (0.48, 0.58), (0.20, 0.30)),
        "t2": ((0.54, 0.64), (0.42, 0.50), (0.65, 0.80)),
    },
    bias=(0.10, 0.20),
    bias_length_mm=40.0,
    noise=(0.020, 0.045),
)
SCANNERS: dict[Level, Scanner] = {
    "easy": REFERENCE_SCANNER,
    "medium": REFERENCE_SCANNER,
    "hard": REFERENCE_SCANNER,
    "shifted": SHIFTED_SCANNER,
}

# Age-related bright seams along the ventricles: normal, and a trap for whoever takes bright for ill.
SEAM_STRENGTH = {"flair": 1.0, "t1": -0.5, "t1ce": -0.5, "t2": 0.8}


def draw_intensities(random: np.random.Generator, scanner: Scanner, modality: str) -> Array:
    """Draws a subject's intensities of grey matter, white matter and CSF in one modality [3]."""
    return np.array([random.uniform(*limits) for limits in scanner.contrasts[modality]], dtype=np.float32)


def ventricle_seams(tissues: Array, spacing: float) -> Array:
    """Returns how close white matter is to a large body of CSF [X, Y, Z], 0..1."""
    fluid = ndimage.gaussian_filter(tissues[CSF], 4.0 / spacing, truncate=2.5)
    return ramp(fluid, 0.15, 0.5) * tissues[WHITE]


def render_tissues(tissues: Array, intensities: Array, seams: Array, modality: str, seam_contrast: float) -> Array:
    """Returns the noise-free picture of healthy tissue [X, Y, Z].

    Args:
        tissues: Grey, white, CSF [3, X, Y, Z].
        intensities: Their intensities [3].
        seams: See ``ventricle_seams``.
        modality: Key of ``SEAM_STRENGTH``.
        seam_contrast: How bright the seams are in FLAIR.
    """
    image = np.tensordot(intensities, tissues, axes=(0, 0))
    image += np.float32(SEAM_STRENGTH[modality] * seam_contrast) * seams
    return image


def scan(
    random: np.random.Generator, scanner: Scanner, image: Array, brain: NDArray[np.bool_], spacing: float
) -> NDArray[np.int16]:
    """Takes the picture: texture, bias field, blur, noise, scale; skull-stripped, so that the background is 0.

    Args:
        random: Source of randomness; what is drawn does not depend on the image.
        scanner: How strong bias field and noise are.
        image: Noise-free intensities [X, Y, Z], about 0..1.
        brain: Brain mask [X, Y, Z].
        spacing: Voxel edge in mm.

    Returns:
        Raw intensities [X, Y, Z]: 1 or more in the brain, 0 outside; a few hundred to a few thousand at most.
    """
    grain = random.uniform(0.02, 0.05)
    image = image * (1 + np.float32(grain) * fine_field(random, image.shape, 0.8))
    bias = np.float32(random.uniform(*scanner.bias))
    image *= np.exp(bias * smooth_field(random, image.shape, spacing, scanner.bias_length_mm))
    image = ndimage.gaussian_filter(image, random.uniform(0.35, 0.55), truncate=2.5)
    deviation = np.float32(random.uniform(*scanner.noise))
    real, imaginary = (deviation * random.standard_normal(image.shape, dtype=np.float32) for _ in range(2))
    image = np.sqrt((image + real) ** 2 + imaginary**2)
    scale = np.float32(np.exp(random.uniform(np.log(300), np.log(3000))))
    return np.where(brain, np.maximum(np.round(image * scale), 1), 0).astype(np.int16)
