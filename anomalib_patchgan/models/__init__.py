# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Models by anomalib's contract, imported when they are asked for."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anomalib_patchgan.models.adapted import (
        Cfa,
        Cflow,
        Draem,
        Fastflow,
        Ganomaly,
        ReverseDistillation,
        Stfpm,
        Supersimplenet,
    )
    from anomalib_patchgan.models.alocc import Alocc
    from anomalib_patchgan.models.convolutional_autoencoder import ConvolutionalAutoencoder
    from anomalib_patchgan.models.f_anogan import FAnoGan
    from anomalib_patchgan.models.foreground_area import ForegroundArea
    from anomalib_patchgan.models.gaussian_atlas import GaussianAtlas
    from anomalib_patchgan.models.maximum_intensity import MaximumIntensity
    from anomalib_patchgan.models.mean_intensity import MeanIntensity
    from anomalib_patchgan.models.nearest_neighbours import NearestNeighbours
    from anomalib_patchgan.models.one_class_svm import OneClassSvm
    from anomalib_patchgan.models.patch_scorer import PatchScorer
    from anomalib_patchgan.models.patchgan import PatchGan
    from anomalib_patchgan.models.random_score import RandomScore
    from anomalib_patchgan.models.slice_position import SlicePosition

_MODULES = {
    "Alocc": "alocc",
    "Cfa": "adapted",
    "Cflow": "adapted",
    "ConvolutionalAutoencoder": "convolutional_autoencoder",
    "Draem": "adapted",
    "FAnoGan": "f_anogan",
    "Fastflow": "adapted",
    "ForegroundArea": "foreground_area",
    "Ganomaly": "adapted",
    "GaussianAtlas": "gaussian_atlas",
    "MaximumIntensity": "maximum_intensity",
    "MeanIntensity": "mean_intensity",
    "NearestNeighbours": "nearest_neighbours",
    "OneClassSvm": "one_class_svm",
    "PatchGan": "patchgan",
    "PatchScorer": "patch_scorer",
    "RandomScore": "random_score",
    "ReverseDistillation": "adapted",
    "SlicePosition": "slice_position",
    "Stfpm": "adapted",
    "Supersimplenet": "adapted",
}
__all__ = [
    "Alocc",
    "Cfa",
    "Cflow",
    "ConvolutionalAutoencoder",
    "Draem",
    "FAnoGan",
    "Fastflow",
    "ForegroundArea",
    "Ganomaly",
    "GaussianAtlas",
    "MaximumIntensity",
    "MeanIntensity",
    "NearestNeighbours",
    "OneClassSvm",
    "PatchGan",
    "PatchScorer",
    "RandomScore",
    "ReverseDistillation",
    "SlicePosition",
    "Stfpm",
    "Supersimplenet",
]


def __getattr__(name: str) -> Any:
    """Import a model on first use."""
    if name in _MODULES:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
