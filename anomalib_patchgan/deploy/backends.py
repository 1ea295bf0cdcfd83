# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Ways to run a trained model on images, all with the same call."""

import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from anomalib.models import AnomalibModule
from numpy.typing import NDArray

# What a backend gives for images [N, 3, H, W]: calibrated scores [N], labels [N], and maps [N, 1, H, W] or None.
Outputs = tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]
Predict = Callable[[NDArray[np.float32]], Outputs]


def open_pytorch(model: AnomalibModule, folder: Path, input_size: tuple[int, int], threads: int) -> Predict:
    """Run the module's own forward, eager, in 32 bits, on the CPU, with as many of the threads as serve it best.

    On one small image several threads can cost eager PyTorch more than they bring; a speed-up against that would
    flatter the other backends.

    Args:
        model: A trained model; it is set to evaluation.
        folder: Unused; nothing is written.
        input_size: Height and width of the images.
        threads: Threads of torch at most, for the whole process.

    Returns:
        The backend.
    """
    del folder
    model = model.cpu().eval()

    def predict(images: NDArray[np.float32]) -> Outputs:
        with torch.inference_mode():
            output = model(torch.from_numpy(images))
        maps = None if output.anomaly_map is None else output.anomaly_map.numpy()
        return output.pred_score.numpy().reshape(-1), output.pred_label.numpy().reshape(-1), maps

    image = np.zeros((1, 3, *input_size), dtype=np.float32)

    def seconds(count: int) -> float:
        torch.set_num_threads(count)
        return min(timeit.repeat(lambda: predict(image), repeat=10, number=3))

    torch.set_num_threads(min({1, threads}, key=seconds))
    return predict


def open_openvino(model: AnomalibModule, folder: Path, input_size: tuple[int, int], threads: int) -> Predict:
    """Export by anomalib's own route, compile, and run in 32 bits on the CPU.

    Args:
        model: A trained model.
        folder: Where the representation is written.
        input_size: Height and width of the images.
        threads: Threads of one inference.

    Returns:
        The backend.
    """
    # Opset 18 is what the exporter makes; asking for less only starts a conversion that fails.
    path = model.cpu().eval().to_openvino(folder, input_size=input_size, onnx_kwargs={"opset_version": 18})
    compiled = openvino.Core().compile_model(
        path,
        "CPU",
        # On CPUs with bfloat16 OpenVINO would silently run in it, with other scores.
        {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads},
    )
    request = compiled.create_infer_request()
    names = {name for output in compiled.outputs for name in output.get_names()}

    def predict(images: NDArray[np.float32]) -> Outputs:
        request.infer({0: images})
        maps = request.get_tensor("anomaly_map").data.copy() if "anomaly_map" in names else None
        scores, labels = (request.get_tensor(name).data.copy().reshape(-1) for name in ("pred_score", "pred_label"))
        return scores, labels, maps

    return predict


def exported_bytes(folder: Path) -> int | None:
    """Size of what an export wrote into a folder, or None where it wrote nothing."""
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.suffix in {".xml", ".bin"}]
    return sum(sizes) if sizes else None


# Every backend by the name a suite calls it.
BACKENDS: dict[str, Callable[[AnomalibModule, Path, tuple[int, int], int], Predict]] = {
    "pytorch_fp32": open_pytorch,
    "openvino_fp32": open_openvino,
}
# The one that the others are compared with.
REFERENCE = "pytorch_fp32"
