# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Running exported graphs by OpenVINO and ONNX Runtime with the same call. Needs neither torch nor anomalib."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from anomalib_patchgan.deploy.device import compile_for
from anomalib_patchgan.deploy.identity import LABEL, MAP, RAW_SCORE, SCORE, read_model
from anomalib_patchgan.errors import InputError

# What the CPU calls the layers of a network in its own graph.
_EXECUTED_LAYERS = ("Convolution", "Deconvolution", "FullyConnected", "MatMul")


class UnsupportedError(InputError):
    """This machine cannot run a backend, or lacks a package for it; the model is not to blame."""


@dataclass(frozen=True)
class Outputs:
    """What a backend says of N images.

    Attributes:
        raw_score: Raw scores [N].
        score: Calibrated scores [N].
        label: Labels [N].
        map: Calibrated maps [N, 1, H, W], or None.
    """

    raw_score: NDArray[Any]
    score: NDArray[Any]
    label: NDArray[Any]
    map: NDArray[Any] | None


# Images per call where there are many.
BATCH = 16
Predict = Callable[[NDArray[np.float32]], Outputs]


def run_onnx(path: Path, threads: int) -> Predict:
    """Run an ONNX file by ONNX Runtime on the CPU.

    Args:
        path: The file.
        threads: Threads of one inference.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    source = session.get_inputs()[0].name

    def predict(images: NDArray[np.float32]) -> Outputs:
        found = dict(zip(names, session.run(names, {source: images}), strict=True))
        return Outputs(found[RAW_SCORE], found[SCORE], found[LABEL], found.get(MAP))

    return predict


def run_openvino(path: Path, threads: int) -> Predict:
    """Run an exported model on the CPU, one request at a time.

    Args:
        path: The ``.xml`` file.
        threads: Threads of one inference.

    Raises:
        InputError: If the model is quantised but the CPU runs none of its layers in eight bits.
    """
    model, identity = read_model(path)
    compiled = compile_for(model, identity.inference_precision, "CPU", "latency", threads)
    if identity.quantised and not eight_bit_executions(compiled):
        raise UnsupportedError("CPU: found no layer run in eight bits, expected some of a quantised model.")
    request = compiled.create_infer_request()
    has_map = any(MAP in output.get_names() for output in compiled.outputs)

    def predict(images: NDArray[np.float32]) -> Outputs:
        request.infer({0: images})
        raw, score, label = (request.get_tensor(name).data.copy() for name in (RAW_SCORE, SCORE, LABEL))
        return Outputs(raw, score, label, request.get_tensor(MAP).data.copy() if has_map else None)

    return predict


def predict_all(predict: Predict, images: NDArray[np.float32]) -> Outputs:
    """Run a backend on images, in batches of 16.

    Args:
        predict: The backend.
        images: [N, 3, H, W] in [0, 1].
    """
    parts = [predict(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    maps = [part.map for part in parts if part.map is not None]
    return Outputs(
        np.concatenate([part.raw_score for part in parts]),
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.label for part in parts]),
        np.concatenate(maps) if maps else None,
    )


def eight_bit_executions(compiled: openvino.CompiledModel) -> int:
    """Number of layers that a device really runs in eight bits, by what it says of its own graph.

    Args:
        compiled: A compiled model.
    """
    count = 0
    for operation in compiled.get_runtime_model().get_ops():
        facts = operation.get_rt_info()
        kind, primitive = (str(facts[key].value) if key in facts else "" for key in ("layerType", "primitiveType"))
        count += kind in _EXECUTED_LAYERS and primitive.lower().endswith("i8")
    return count


def exported_bytes(folder: Path) -> int | None:
    """Size of what an export wrote into a folder, or of a file; None where nothing was written."""
    if folder.is_file():
        return folder.stat().st_size
    files = folder.rglob("*")
    sizes = [file.stat().st_size for file in files if file.suffix in {".xml", ".bin", ".onnx", ".data"}]
    return sum(sizes) if sizes else None
