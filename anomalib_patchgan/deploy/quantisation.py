# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Post-training quantisation of the network, and of nothing that comes after it.

Statistics, distances and calibration subtract numbers of like size, and in eight bits little is left of a difference;
so everything that is no layer of the network stays as it is.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable
from typing import Any

import nncf
import numpy as np
import openvino
from numpy.typing import NDArray
from torch import nn

from anomalib_patchgan.deploy.core import compile_in_float32, foreign_cores
from anomalib_patchgan.deploy.identity import RAW_SCORE
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.quiet import quiet

_CONVOLUTIONS = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData")
_LAYERS = (*_CONVOLUTIONS, "MatMul")
_QUANTISER = "FakeQuantize"
# Images that the ranges of activations are read from; more change little.
_CALIBRATION_IMAGES = 300
# Layers are taken out of the quantisation again where the raw scores of normal images move further than this on
# average, as a share of their interquartile range, since labels follow a threshold,
TOLERATED_DIFFERENCE = 0.1
# or where more than this share of the pairs of normal images change places. An AUROC changes by no more than the share
# of the pairs of a normal and an abnormal image that do, and those change places about as often; most of it cancels
# (benchmarks/performance/quantisation_ranks.py), so this is twice what the gate of `parity` allows. It needs no label.
TOLERATED_DISCORDANCE = 0.01
# Layers with less than this share of the multiplications stay in 32 bits: eight would save no time, and such layers (a
# vector for the whole image, the last sum of a patch) reach every pixel with their error.
WORTHWHILE_SHARE = 0.01
# A CPU without VNNI adds two products of eight bits in sixteen, which full weights overflow: a graph would decide in
# another way there than on the machine that made it. Weights of seven bits cannot overflow.
_EVERYWHERE_ALIKE = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE)


def network_layers(model: openvino.Model, network: nn.Module) -> list[str]:
    """Names of the operations that are layers of the network: convolutions, and products with a learned matrix.

    A product with a statistic, such as a whitening matrix, is none, though it is the same operation; nor is a
    convolution with a kernel that is not learned, such as the one that blurs a map: the map of an abnormal image goes
    beyond all that the ranges of eight bits were read from.

    Args:
        model: The converted graph.
        network: The torch module that it was converted from.
    """
    matrices = [
        parameter.detach().cpu().flatten(start_dim=1).numpy()
        for parameter in network.parameters()
        if parameter.ndim > 1
    ]
    learned = {_content(matrix) for matrix in (*matrices, *(matrix.T for matrix in matrices))}
    # The graph may give a kernel another shape, but no other order.
    fixed = {_content(buffer.detach().cpu().flatten().numpy()) for buffer in network.buffers() if buffer.ndim > 1}

    def is_layer(operation: openvino.Node) -> bool:
        if operation.get_type_name() != "MatMul":
            kernel = operation.input_value(1).get_node() if operation.get_type_name() in _CONVOLUTIONS else None
            if kernel is not None and kernel.get_type_name() == "Constant":
                return _content(kernel.data.ravel()) not in fixed
            return kernel is not None
        factors = [operation.input_value(index).get_node() for index in range(2)]
        return any(factor.get_type_name() == "Constant" and _content(factor.data) in learned for factor in factors)

    return [operation.get_friendly_name() for operation in model.get_ordered_ops() if is_layer(operation)]


def worthwhile_layers(model: openvino.Model, layers: Iterable[str]) -> list[str]:
    """Those of some layers whose multiplications are a hundredth or more of all of theirs.

    Args:
        model: The graph.
        layers: Names of its layers.
    """
    chosen = set(layers)
    cost = {
        operation.get_friendly_name(): multiplications(operation)
        for operation in model.get_ordered_ops()
        if operation.get_friendly_name() in chosen
    }
    least = WORTHWHILE_SHARE * sum(cost.values())
    return [name for name, count in cost.items() if count >= least]


def multiplications(layer: openvino.Node) -> int:
    """Multiplications of a layer for one image: its weights times the places at which each is used."""
    if layer.get_type_name().endswith("BackpropData"):
        places = list(layer.get_input_partial_shape(0))[2:]
    elif layer.get_type_name() == "MatMul":
        places = list(layer.get_output_partial_shape(0))[1:-1]
    else:
        places = list(layer.get_output_partial_shape(0))[2:]
    # The weights are the input whose shape is known: of the other the batch is free.
    sizes = [layer.get_input_partial_shape(index) for index in range(2)]
    weights = next(size.to_shape() for size in reversed(sizes) if size.is_static)
    return int(np.prod(weights)) * math.prod(place.get_length() for place in places if place.is_static)


def quantise(model: openvino.Model, network: nn.Module, images: NDArray[np.float32]) -> openvino.Model:
    """Quantise the layers of the network to eight bits; take out again those that change the scores too much.

    Args:
        model: The converted graph, in 32 bits.
        network: The torch module that it was converted from.
        images: Normal images ``[N, 3, H, W]`` in [0, 1] that nothing was trained on and that are not in the test.

    Returns:
        A new graph.

    Raises:
        InputError: If nothing of the model can be quantised without changing its scores too much.
    """
    layers = set(worthwhile_layers(model, network_layers(model, network)))
    if not layers:
        raise InputError(
            f"{type(network).__name__}: found nothing to quantise, expected convolutions or linear layers."
        )
    others = [name.get_friendly_name() for name in model.get_ops() if name.get_friendly_name() not in layers]
    scope = nncf.IgnoredScope(names=others, validate=False)
    reference = raw_scores(compile_in_float32(model), images)
    items = list(zip(images[:_CALIBRATION_IMAGES], reference[:_CALIBRATION_IMAGES], strict=True))
    calibration = nncf.Dataset(items, lambda item: item[0][None])
    spread = interquartile_range(reference)

    def agreement(compiled: Any, chosen: Iterable[Any]) -> tuple[float, list[float]]:
        """What is left of the tolerance, as a share of it, and minus how far each image moved."""
        batch, expected = zip(*chosen, strict=True)
        before, found = np.array(expected), raw_scores(compiled, np.stack(batch))
        moved = np.abs(found - before) / spread
        used = max(moved.mean() / TOLERATED_DIFFERENCE, discordance(before, found) / TOLERATED_DISCORDANCE)
        return 1 - float(used), (-moved).tolist()

    with quiet(), foreign_cores():
        quantised = nncf.quantize(
            model,
            calibration,
            ignored_scope=scope,
            subset_size=len(items),
            advanced_parameters=_EVERYWHERE_ALIKE,
        )
        compiled = compile_in_float32(quantised)
        if agreement(compiled, items)[0] < 0:
            quantised = nncf.quantize_with_accuracy_control(
                model,
                calibration,
                nncf.Dataset(items),
                agreement,
                max_drop=1,
                drop_type=nncf.DropType.ABSOLUTE,
                ignored_scope=scope,
                subset_size=len(items),
                advanced_quantization_parameters=_EVERYWHERE_ALIKE,
            )
    if not quantised_operations(quantised):
        raise InputError(
            f"{type(network).__name__}: found no layer that can be quantised without moving the scores of normal "
            f"images by more than {TOLERATED_DIFFERENCE:g} of their interquartile range, or making more than "
            f"{TOLERATED_DISCORDANCE:.1%} of their pairs change places; expected some."
        )
    return quantised


def quantised_operations(model: openvino.Model) -> list[str]:
    """Names of the layers that compute in eight bits: those that read what a quantiser gives.

    Args:
        model: A graph.
    """
    return [
        operation.get_friendly_name()
        for operation in model.get_ordered_ops()
        if operation.get_type_name() in _LAYERS and operation.input_value(0).get_node().get_type_name() == _QUANTISER
    ]


def raw_scores(run: Callable[[Any], Any], images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Raw scores ``[N]`` of images, one at a time.

    Args:
        run: A compiled model.
        images: ``[N, 3, H, W]``.
    """
    return np.array([float(run(image[None])[RAW_SCORE].item()) for image in images])


def interquartile_range(scores: NDArray[np.float64]) -> float:
    """Distance of the quartiles of scores; the smallest positive number where they are all alike."""
    low, high = np.percentile(scores, [25, 75])
    return max(float(high - low), float(np.finfo(np.float32).tiny))


def discordance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Share of the pairs of images, in [0, 1], that two ways of scoring put in opposite orders.

    A pair that only one of them orders counts half, as in an AUROC. Without ties it is (1 - tau) / 2 of Kendall's tau.

    Args:
        first: Scores ``[N]`` of the one.
        second: Scores ``[N]`` of the other, of the same images.
    """
    orders = [np.sign(scores[:, None] - scores) for scores in (first, second)]
    return float(np.abs(orders[0] - orders[1]).sum() / 2 / max(len(first) * (len(first) - 1), 1))


def _content(matrix: NDArray[Any]) -> tuple[tuple[int, ...], str]:
    values = np.ascontiguousarray(matrix, dtype=np.float32)
    return values.shape, hashlib.sha256(values.tobytes()).hexdigest()
