# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The last steps of models whose own forward freezes the batch size when it is exported, written for any batch size.

In anomalib 2.7 three models do: DFM and FRE read the batch size off a tensor as a number, and DFKDE loops over the
batch. What is computed here is what they compute.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from anomalib.data import InferenceBatch
from anomalib.models.components.classification import FeatureScalingMethod
from anomalib.models.image.dfkde.torch_model import DfkdeModel
from anomalib.models.image.dfm.torch_model import DFMModel
from anomalib.models.image.fre.torch_model import FREModel
from torch import Tensor, nn
from torch.nn import functional


def dfm(model: DFMModel, images: Tensor) -> InferenceBatch:
    """Deep feature modelling: distance from the principal components of normal features, or from their Gaussian."""
    features = _pooled(model, images)
    vectors = features.flatten(1)
    projected = model.pca_model.transform(vectors)
    if model.score_type == "nll":
        return InferenceBatch(pred_score=model.gaussian_model.score_samples(projected))
    errors = (vectors - model.pca_model.inverse_transform(projected)).square()
    return InferenceBatch(pred_score=errors.sum(dim=1), anomaly_map=_error_map(errors, features, images))


def fre(model: FREModel, images: Tensor) -> InferenceBatch:
    """Feature reconstruction error of a tied autoencoder."""
    features = _pooled(model, images)
    vectors = features.flatten(1)
    errors = (vectors - model.fre_model(vectors)).square()
    return InferenceBatch(pred_score=errors.sum(dim=1), anomaly_map=_error_map(errors, features, images))


def dfkde(model: DfkdeModel, images: Tensor) -> InferenceBatch:
    """Kernel density of deep features, of all images at once."""
    layers = model.feature_extractor(images).values()
    vectors = torch.cat([functional.adaptive_avg_pool2d(layer, 1).flatten(1) for layer in layers])
    classifier = model.classifier
    reduced = classifier.pca_model.transform(vectors)
    if classifier.feature_scaling_method == FeatureScalingMethod.NORM:
        scaled = reduced / torch.linalg.norm(reduced, ord=2, dim=1, keepdim=True)
    else:
        scaled = reduced / classifier.max_length
    kernels = classifier.kde_model
    distances = (kernels.dataset[None] - (scaled @ kernels.bw_transform)[:, None]).square().sum(dim=2)
    density = (torch.exp(-distances / 2) * kernels.norm).mean(dim=1)
    return InferenceBatch(pred_score=classifier.compute_probabilities(torch.log(density + 1e-300)))


_REWRITTEN: dict[type[nn.Module], Callable[[Any, Tensor], InferenceBatch]] = {
    DFMModel: dfm,
    FREModel: fre,
    DfkdeModel: dfkde,
}


def forward_of(model: nn.Module) -> Callable[[Tensor], InferenceBatch]:
    """The forward of a model that can be exported for any batch size: its own, unless it is rewritten here.

    Args:
        model: The torch module of an anomalib model.
    """
    rewritten = _REWRITTEN.get(type(model))
    return model if rewritten is None else partial(rewritten, model)


def _pooled(model: DFMModel | FREModel, images: Tensor) -> Tensor:
    features = model.feature_extractor(images)[model.layer]
    return functional.avg_pool2d(features, model.pooling_kernel_size) if model.pooling_kernel_size > 1 else features


def _error_map(errors: Tensor, features: Tensor, images: Tensor) -> Tensor:
    maps = errors.reshape(-1, *features.shape[1:]).sum(dim=1, keepdim=True)
    return functional.interpolate(maps, size=images.shape[-2:], mode="bilinear", align_corners=False)
