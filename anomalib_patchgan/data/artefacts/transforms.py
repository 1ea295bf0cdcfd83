# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Applying the artefacts, all but blur with torchio.

What comes in from outside an image, when it is moved or turned, is its mirror image: zeros around a brain, skin around
skin. The empty background of a scan, zeros that reach the image's border, stays empty: skulls are stripped after a scan
is taken, and what the artefact put there goes with them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import SimpleITK as sitk  # noqa: N813 - its own convention
import torch
import torchio
from numpy.typing import NDArray
from scipy import ndimage, special
from torch import Tensor

from anomalib_patchgan.data.artefacts.table import ARTEFACTS

_ORDER = 3
# Polynomials of three variables up to that order, as torchio counts them; the first is the constant.
_COEFFICIENTS = 20
# Movements happen so long after the beginning and before the end of the scan, as a factor of the declared share. The
# middle of k-space, which makes up most of an image, lies between them, so that the image stays where it was and the
# lesion mask still fits.
_WHEN = (0.8, 1.2)

Strength = Mapping[str, float]
Apply = Callable[[Tensor, Tensor, Strength, np.random.Generator, bool], tuple[Tensor, Tensor]]


def apply_artefact(
    image: Tensor, lesion: Tensor, artefact: str, severity: int, sample_id: str, scan: bool
) -> tuple[Tensor, Tensor]:
    """Put an image under an artefact.

    What is random is drawn from the names of artefact and sample, so it depends on nothing else: neither on the other
    samples nor on any global seed, and with the severity only the strength grows.

    Args:
        image: In [0, 1], float32 ``[3, height, width]``.
        lesion: Lesion mask, bool ``[height, width]``.
        artefact: Name of the artefact.
        severity: 1 to 5.
        sample_id: Name of the sample.
        scan: Whether the image was reconstructed from a scanner's signal, not taken by a camera.

    Returns:
        Image in [0, 1], float32 ``[3, height, width]``, and its mask, bool ``[height, width]``.
    """
    # Channels that are copies of one have one noise.
    channels = image[:1] if is_grey(image) else image
    strength = ARTEFACTS[artefact].strength(severity)
    # Every torchio transform draws from torch's global generator, even where nothing is left to chance.
    with _one_itk_thread(), torch.random.fork_rng(devices=[]):
        result, lesion = _APPLY[artefact](channels, lesion, strength, _generator(artefact, sample_id), scan)
    return result.float().clamp(0.0, 1.0).expand(image.shape).contiguous(), lesion


def is_grey(image: Tensor) -> bool:
    """Whether the channels of ``[channels, height, width]`` are copies of one."""
    return bool((image == image[:1]).all())


def _generator(artefact: str, sample_id: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{artefact}\n{sample_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


@contextmanager
def _one_itk_thread() -> Iterator[None]:
    """Starting a thread for each core takes longer than a slice does."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _bias_field(
    image: Tensor, lesion: Tensor, strength: Strength, generator: np.random.Generator, _scan: bool
) -> tuple[Tensor, Tensor]:
    coefficients = generator.uniform(-1.0, 1.0, _COEFFICIENTS)
    volume = image[..., None]
    field = np.log(torchio.BiasField.generate_bias_field(volume, _ORDER, coefficients.tolist()))[..., 0]
    seen = image.amax(0).numpy() > 0.0
    if not seen.any() or field[seen].max() == field[seen].min():
        return image, lesion
    # The drawn field is scaled to the declared ratio where there is something to see, and keeps the mean brightness.
    scale = math.log(strength["ratio"]) / float(field[seen].max() - field[seen].min())
    coefficients[0] -= float(field[seen].mean())
    transform = torchio.BiasField((scale * coefficients).tolist(), _ORDER)
    return transform(volume)[..., 0], lesion


def _noise(
    image: Tensor, lesion: Tensor, strength: Strength, generator: np.random.Generator, scan: bool
) -> tuple[Tensor, Tensor]:
    std = strength["std"] / 100.0
    real, imaginary = (torchio.Noise(0.0, std, int(seed)) for seed in generator.integers(2**31, size=2))
    noisy = real(image[..., None])[..., 0]
    if not scan:
        return noisy, lesion
    magnitude = torch.hypot(noisy, imaginary(torch.zeros_like(image[..., None]))[..., 0])
    return _with_empty_background(magnitude, image), lesion


def _motion(
    image: Tensor, lesion: Tensor, strength: Strength, generator: np.random.Generator, scan: bool
) -> tuple[Tensor, Tensor]:
    moved = _moved_in_scanner(image, strength, generator) if scan else _moved_by_hand(image, strength, generator)
    return moved, lesion


def _moved_in_scanner(image: Tensor, strength: Strength, generator: np.random.Generator) -> Tensor:
    side = min(image.shape[-2:])
    directions = generator.uniform(0.0, 2.0 * math.pi, 2)
    signs = generator.choice([-1.0, 1.0], 2)
    first, last = strength["disturbed"] / 100.0 * generator.uniform(*_WHEN, 2)
    times = np.array([first, 1.0 - last])
    length = strength["translation"] / 100.0 * side
    degrees = np.stack([strength["rotation"] * signs, np.zeros(2), np.zeros(2)], axis=1)
    translation = np.stack([np.zeros(2), length * np.cos(directions), length * np.sin(directions)], axis=1)
    padding = _padding(image, length)
    padded = torchio.Pad((0, 0, *padding), padding_mode="reflect")(image[:, None])
    # torchio walks through k-space along the last axis, in which a slice must therefore not be thin, and turns about
    # the origin, which is put in the middle of the image.
    affine = np.eye(4)
    affine[1:3, 3] = -(np.array(padded.shape[-2:]) - 1) / 2
    transform = torchio.Motion(degrees, translation, times, "linear")
    ghosted = transform(torchio.ScalarImage(tensor=padded, affine=affine)).data
    return _with_empty_background(torchio.Crop((0, 0, *padding))(ghosted)[:, 0], image)


def _moved_by_hand(image: Tensor, strength: Strength, generator: np.random.Generator) -> Tensor:
    direction = generator.uniform(0.0, 2.0 * math.pi)
    length = strength["path"] / 100.0 * min(image.shape[-2:])
    padding = (*_padding(image, length), 0, 0)
    padded = torchio.Pad(padding, padding_mode="reflect")(_stacked(image))
    # One copy a pixel, so that an edge becomes a ramp and not a staircase.
    copies = [
        torchio.Affine(
            scales=(1.0, 1.0, 1.0),
            degrees=(0.0, 0.0, 0.0),
            translation=(shift * math.cos(direction), shift * math.sin(direction), 0.0),
        )(padded)
        for shift in np.linspace(-length / 2, length / 2, math.ceil(length) + 1)
    ]
    return _unstacked(torchio.Crop(padding)(torch.stack(copies).mean(0)))


def _blur(
    image: Tensor, lesion: Tensor, strength: Strength, _generator: np.random.Generator, scan: bool
) -> tuple[Tensor, Tensor]:
    weights = _gaussian_weights(strength["std"] / 100.0 * min(image.shape[-2:]))
    result = image.numpy()
    for axis in (-2, -1):
        result = ndimage.convolve1d(result, weights, axis=axis, mode="reflect")
    blurred = torch.from_numpy(result)
    return _with_empty_background(blurred, image) if scan else blurred, lesion


def _gaussian_weights(std: float) -> NDArray[np.float64]:
    """Weights of the discrete analogue of a Gaussian (Lindeberg, 1990): its standard deviation is ``std`` for any.

    A Gaussian that is sampled at whole pixels, as torchio's, has none left below half a pixel.

    Args:
        std: In pixels.
    """
    reach = math.ceil(4.0 * std) + 1
    weights = special.ive(np.arange(-reach, reach + 1), std**2)
    return weights / weights.sum()


def _gamma(
    image: Tensor, lesion: Tensor, strength: Strength, generator: np.random.Generator, _scan: bool
) -> tuple[Tensor, Tensor]:
    exponent = math.exp(generator.choice([-1.0, 1.0]) * strength["log_gamma"])
    return torchio.Gamma(exponent)(image[..., None])[..., 0], lesion


def _rotation(
    image: Tensor, lesion: Tensor, strength: Strength, generator: np.random.Generator, _scan: bool
) -> tuple[Tensor, Tensor]:
    angle = generator.choice([-1.0, 1.0]) * strength["angle"]
    # A turned corner reaches no further than half the diagonal.
    padding = (*_padding(image, math.hypot(*image.shape[-2:]) - min(image.shape[-2:])), 0, 0)
    turn = torchio.Compose(
        [
            torchio.Pad(padding, padding_mode="reflect"),
            torchio.Affine(scales=(1.0, 1.0, 1.0), degrees=(0.0, 0.0, angle), translation=(0.0, 0.0, 0.0)),
            torchio.Crop(padding),
        ]
    )
    subject = torchio.Subject(
        image=torchio.ScalarImage(tensor=_stacked(image)),
        lesion=torchio.LabelMap(tensor=_stacked(lesion.to(torch.uint8).expand(len(image), -1, -1))),
    )
    turned = turn(subject)
    return _unstacked(turned.get_image("image").data), turned.get_image("lesion").data[0, ..., 0] > 0.5


def _stacked(image: Tensor) -> Tensor:
    """The channels as slices of a volume, resampled all at once; movements in the plane mix none of them."""
    return image.permute(1, 2, 0)[None].contiguous()


def _unstacked(volume: Tensor) -> Tensor:
    return volume[0].permute(2, 0, 1)


def _padding(image: Tensor, reach: float) -> tuple[int, int, int, int]:
    """Pixels to add at each end of both axes for movements that reach so far in all, at most what can be mirrored."""
    rows, columns = (min(math.ceil(reach) + 1, size - 1) for size in image.shape[-2:])
    return rows, rows, columns, columns


def _with_empty_background(result: Tensor, image: Tensor) -> Tensor:
    """Empty what is empty in ``image``: pixels of value zero in all channels, joined to the border."""
    parts, count = ndimage.label((image == 0.0).all(0).numpy())
    border = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    outside = np.isin(parts, np.unique(border[border > 0])) if count else np.zeros(parts.shape, bool)
    return torch.where(torch.from_numpy(outside), torch.zeros_like(result), result)


_APPLY: dict[str, Apply] = {
    "bias_field": _bias_field,
    "noise": _noise,
    "motion": _motion,
    "blur": _blur,
    "gamma": _gamma,
    "rotation": _rotation,
}
