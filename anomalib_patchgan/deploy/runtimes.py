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


class OpenVinoRuntime:
    """Runs an exported model on the CPU, compiled for each number of images that it is given.

    OpenVINO computes graphs of fixed shapes faster than those for any batch size: it joins more operations.

    Args:
        path: The ``.xml`` file.
        threads: Threads of inference.

    Raises:
        UnsupportedError: If the model is quantised but the CPU runs none of its layers in eight bits.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self._model, self._identity = read_model(path)
        self._threads = threads
        self._has_map = any(MAP in output.get_names() for output in self._model.outputs)
        compiled = self._compiled(1, "latency")
        if self._identity.quantised and not eight_bit_executions(compiled):
            raise UnsupportedError("CPU: found no layer run in eight bits, expected some of a quantised model.")
        self._requests = {1: compiled.create_infer_request()}
        self._queues: dict[int, openvino.AsyncInferQueue] = {}

    def __call__(self, images: NDArray[np.float32]) -> Outputs:
        """Run images [N, 3, H, W] in one request."""
        count = len(images)
        if count not in self._requests:
            self._requests[count] = self._compiled(count, "latency").create_infer_request()
        request = self._requests[count]
        request.infer({0: images})
        raw, score, label = (request.get_tensor(name).data.copy() for name in (RAW_SCORE, SCORE, LABEL))
        return Outputs(raw, score, label, request.get_tensor(MAP).data.copy() if self._has_map else None)

    def many(self, images: NDArray[np.float32]) -> int:
        """Run a batch again and again, asynchronously; returns how many images were run."""
        batch = len(images)
        if batch not in self._queues:
            self._queues[batch] = openvino.AsyncInferQueue(self._compiled(batch, "throughput"))
        queue = self._queues[batch]
        # Two batches a request, so that none waits for the others at the end for long.
        count = 2 * len(queue)
        for _ in range(count):
            queue.start_async({0: images})
        queue.wait_all()
        return count * batch

    def _compiled(self, batch: int, hint: str) -> openvino.CompiledModel:
        model = self._model.clone()
        _, *size = model.input(0).get_partial_shape()
        model.reshape([batch, *size])
        return compile_for(model, self._identity.inference_precision, "CPU", hint, self._threads)


def batch_of(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """A batch of 16 of some images, again from the first where there are fewer."""
    return np.ascontiguousarray(images[np.arange(BATCH) % len(images)])


def run_many(predict: Predict, images: NDArray[np.float32]) -> int:
    """Run a batch as fast as a backend can, asynchronously where it can; returns how many images were run.

    Args:
        predict: The backend.
        images: [N, 3, H, W] in [0, 1].
    """
    if isinstance(predict, OpenVinoRuntime):
        return predict.many(images)
    predict(images)
    return len(images)


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
