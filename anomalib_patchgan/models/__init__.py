# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Models by anomalib's contract, imported when they are asked for."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anomalib_patchgan.models.convolutional_autoencoder import ConvolutionalAutoencoder
    from anomalib_patchgan.models.mean_intensity import MeanIntensity
    from anomalib_patchgan.models.one_class_svm import OneClassSvm
    from anomalib_patchgan.models.patchgan import PatchGan

_MODULES = {
    "ConvolutionalAutoencoder": "convolutional_autoencoder",
    "MeanIntensity": "mean_intensity",
    "OneClassSvm": "one_class_svm",
    "PatchGan": "patchgan",
}
__all__ = ["ConvolutionalAutoencoder", "MeanIntensity", "OneClassSvm", "PatchGan"]


def __getattr__(name: str) -> Any:
    """Import a model on first use."""
    if name in _MODULES:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
