# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The graph that is exported: pre-processing, network and calibration, with the raw score among the outputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openvino
import torch
from anomalib.data import InferenceBatch
from anomalib.data.transforms import ExportableCenterCrop
from anomalib.models import AnomalibModule
from torch import Tensor, nn
from torchvision.transforms.v2 import CenterCrop

from anomalib_patchgan.deploy.heads import forward_of
from anomalib_patchgan.deploy.identity import INPUT, LABEL, MAP, MASK, RAW_SCORE, SCORE
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.quiet import quiet

# What the exporter makes; asking for less only starts a conversion that fails.
_OPSET = 18
# What rounding may make of a score in a batch and alone, as a share of the larger score.
_ROUNDING = 1e-4
# One batch size would be taken for a constant; of two that differ from 1, neither is.
_EXAMPLE_BATCH = 2


class DeployedGraph(nn.Module):
    """A trained model as a function of images, with named outputs.

    The outputs are ``raw_score`` [N], ``pred_score`` [N] (calibrated), ``pred_label`` [N], and where the model gives a
    map, ``anomaly_map`` [N, 1, H, W] (calibrated) and ``pred_mask`` [N, 1, H, W].

    Args:
        model: A trained model; it is put on the CPU and set to evaluation.

    Raises:
        InputError: If it has no post-processor, or one that was never calibrated, so that a label would mean nothing,
            or if it looks at a part of an image only, over which its map would be enlarged to the whole.
    """

    def __init__(self, model: AnomalibModule) -> None:
        super().__init__()
        check_calibrated(model)
        _check_uncropped(model)
        model = model.cpu().eval()
        self.pre_processor = model.pre_processor if isinstance(model.pre_processor, nn.Module) else nn.Identity()
        self.network = model.model
        self.post_processor = model.post_processor
        self._predict: Callable[[Tensor], InferenceBatch] = forward_of(model.model)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Score images [N, 3, H, W] in [0, 1]."""
        raw = self._predict(self.pre_processor(images))
        maps = raw.anomaly_map
        if maps is not None and maps.ndim == 3:
            maps = maps.unsqueeze(1)
        score = raw.pred_score if raw.pred_score is not None else torch.amax(maps, dim=(-2, -1))
        raw = InferenceBatch(pred_score=score.flatten(), anomaly_map=maps)
        calibrated = self.post_processor(raw)
        outputs = (raw.pred_score, calibrated.pred_score, calibrated.pred_label)
        if maps is None:
            return outputs
        size = images.shape[-2:]
        if maps.shape[-2:] != size:
            # A model may look at images at another size than they are given in; its map is of that size.
            return (*outputs, *self._resized(calibrated, size))
        return (*outputs, calibrated.anomaly_map, calibrated.pred_mask)

    @staticmethod
    def _resized(calibrated: InferenceBatch, size: Any) -> tuple[Tensor, Tensor]:
        maps = nn.functional.interpolate(calibrated.anomaly_map, size=tuple(size), mode="bilinear")
        masks = nn.functional.interpolate(calibrated.pred_mask.float(), size=tuple(size), mode="nearest") > 0.5
        return maps, masks


def check_calibrated(model: AnomalibModule) -> None:
    """Refuse a model whose scores and labels would mean nothing.

    Args:
        model: The model.

    Raises:
        InputError: If it has no post-processor, or its thresholds were never set.
    """
    name = type(model).__name__
    post_processor = model.post_processor
    if not isinstance(post_processor, nn.Module) or not hasattr(post_processor, "image_threshold"):
        raise InputError(f"{name}: found no post-processor, expected one that calibrates scores.")
    if math.isnan(float(post_processor.image_threshold)):  # type: ignore[arg-type]
        raise InputError(f"{name}: found no thresholds, expected a model that was validated; train it first.")


def steps_of(model: AnomalibModule) -> list[Any]:
    """Steps of a model's pre-processing, in order; those of a step that has steps itself, in its place.

    Args:
        model: The model.
    """

    def flat(step: Any) -> list[Any]:
        parts = getattr(step, "transforms", None)
        return [step] if parts is None else [each for part in parts for each in flat(part)]

    return flat(getattr(model.pre_processor, "transform", None))


def _check_uncropped(model: AnomalibModule) -> None:
    if any(isinstance(step, CenterCrop | ExportableCenterCrop) for step in steps_of(model)):
        raise InputError(
            f"{type(model).__name__}: found CenterCrop in its pre-processing, expected none, since a map of the centre "
            "would be laid over the whole image."
        )


def output_names(graph: DeployedGraph, images: Tensor) -> list[str]:
    """Names of the outputs that a graph has.

    Args:
        graph: The graph.
        images: Any images of its size.
    """
    with torch.inference_mode():
        count = len(graph(images))
    return [RAW_SCORE, SCORE, LABEL, MAP, MASK][:count]


def _check_scores(graph: DeployedGraph, images: Tensor) -> None:
    with torch.inference_mode():
        together = graph(images)[0]
        if together.shape != images.shape[:1]:
            raise InputError(
                f"{type(graph.network).__name__}: found {together.numel()} scores of {len(images)} images, expected "
                "one of each; what it scores is no image."
            )
        alone = torch.cat([graph(image[None])[0] for image in images])
    if (together - alone).abs().max() > _ROUNDING * alone.abs().max():
        raise InputError(
            f"{type(graph.network).__name__}: found scores that depend on the other images of a batch, expected each "
            "image's own."
        )


def write_onnx(graph: DeployedGraph, image_size: tuple[int, int], path: Path) -> None:
    """Export a graph to ONNX, for any batch size.

    Args:
        graph: The graph.
        image_size: Height and width of the images.
        path: Where to; the weights go into a file of the same name with ``.data`` after it.

    Raises:
        InputError: If there is not one score of each image, or it depends on the batch that the image is in.
    """
    images = torch.rand(_EXAMPLE_BATCH, 3, *image_size, generator=torch.Generator().manual_seed(0))
    # Unlike each other, or what one does to the other could not be told from rounding.
    images[1:] *= 0.25
    _check_scores(graph, images)
    with quiet():
        torch.onnx.export(
            graph,
            (images,),
            str(path),
            opset_version=_OPSET,
            input_names=[INPUT],
            output_names=output_names(graph, images),
            dynamo=True,
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        )


def convert(graph: DeployedGraph, path: Path) -> openvino.Model:
    """Convert a graph to OpenVINO, for any batch size, in 32 bits.

    Args:
        graph: The graph.
        path: Its ONNX file, see :func:`write_onnx`.

    Raises:
        InputError: If the model can only be exported for one batch size.
    """
    model = openvino.convert_model(path)
    frozen = [output.get_any_name() for output in model.outputs if output.get_partial_shape()[0].is_static]
    if frozen:
        raise InputError(
            f"{type(graph.network).__name__}: found the output {frozen[0]!r} with a fixed batch size, expected any; "
            "the model loops over the batch."
        )
    return model
