# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Ways to run a trained model on images, all with the same call."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from anomalib_patchgan.deploy.device import computes_bfloat16
from anomalib_patchgan.deploy.export import PRECISIONS, Exporter
from anomalib_patchgan.deploy.runtimes import BATCH, OpenVinoRuntime, Outputs, Predict, UnsupportedError, run_onnx
from anomalib_patchgan.quiet import quiet

# Opens a backend on a model, in a folder of its own, with so many threads.
Open = Callable[[Exporter, Path, int], Predict]


@dataclass(frozen=True)
class Backend:
    """A way to run a model.

    Attributes:
        precision: What it computes in: a name in ``PRECISIONS``.
        open: Opens it.
    """

    precision: str
    open: Open


def check_arithmetic(precision: str) -> None:
    """Ask whether this CPU computes in a precision.

    Args:
        precision: Name of a precision of the export.

    Raises:
        UnsupportedError: If it does not.
    """
    if PRECISIONS[precision].inference == "bf16" and not computes_bfloat16("CPU"):
        raise UnsupportedError("CPU: found no bfloat16 among what it computes in, expected it for this backend.")


def open_pytorch(exporter: Exporter, folder: Path, threads: int) -> Predict:
    """Run the module's own forward, eager, in 32 bits, on the CPU, with as many of the threads as serve it best.

    Args:
        exporter: The model.
        folder: Unused; nothing is written.
        threads: Threads of torch at most, for the whole process.

    Returns:
        The backend.
    """
    del folder
    return with_best_threads(partial(run_torch, exporter.graph), exporter.input_size, threads)


def with_best_threads(predict: Predict, size: tuple[int, int], threads: int) -> Predict:
    """Let PyTorch run one image, and several, each with as many threads as serve it best.

    Args:
        predict: Runs images in PyTorch.
        size: Height and width of the images.
        threads: Threads at most.
    """
    one, several = (best_threads(predict, np.zeros((count, 3, *size), np.float32), threads) for count in (1, BATCH))

    def run(images: NDArray[np.float32]) -> Outputs:
        torch.set_num_threads(one if len(images) == 1 else several)
        return predict(images)

    return run


def best_threads(predict: Predict, images: NDArray[np.float32], threads: int) -> int:
    """Find with how many threads PyTorch runs some images faster: one, or all.

    On small images several threads can cost eager PyTorch more than they bring; a speed-up against that would flatter
    the other backends.

    Args:
        predict: Runs them in PyTorch.
        images: What it is to run.
        threads: Threads at most.
    """

    def seconds(count: int) -> float:
        torch.set_num_threads(count)
        return min(timeit.repeat(lambda: predict(images), repeat=10, number=3))

    return threads if threads == 1 else min({1, threads}, key=seconds)


def open_compiled(exporter: Exporter, folder: Path, threads: int) -> Predict:
    """Run the module through ``torch.compile``, in 32 bits, on the CPU, with as many of the threads as serve it best.

    Args:
        exporter: The model.
        folder: Unused.
        threads: Threads of torch at most, for the whole process.

    Raises:
        UnsupportedError: If the compiler cannot be used here, for instance where there is no C++ compiler.
    """
    del folder
    predict = partial(run_torch, torch.compile(exporter.graph))
    try:
        with quiet():
            predict(np.zeros((1, 3, *exporter.input_size), dtype=np.float32))
    except Exception as error:
        raise UnsupportedError(f"torch.compile: found {_first_line(error)}, expected it to run here.") from error
    return with_best_threads(predict, exporter.input_size, threads)


def open_onnxruntime(exporter: Exporter, folder: Path, threads: int) -> Predict:
    """Run the exported graph by ONNX Runtime, in 32 bits, on the CPU.

    Args:
        exporter: The model.
        folder: Where the graph is written.
        threads: Threads of one inference.

    Raises:
        UnsupportedError: If ONNX Runtime is not installed.
    """
    if find_spec("onnxruntime") is None:
        raise UnsupportedError("onnxruntime: found it not installed, expected the package of this name.")
    return run_onnx(exporter.write_onnx(folder), threads)


def open_openvino(precision: str, exporter: Exporter, folder: Path, threads: int) -> Predict:
    """Export to OpenVINO in a precision, compile, and run on the CPU.

    Args:
        precision: Name of a precision of the export.
        exporter: The model.
        folder: Where the representation is written.
        threads: Threads of one inference.

    Raises:
        UnsupportedError: If this CPU does not compute in that precision.
    """
    check_arithmetic(precision)
    return OpenVinoRuntime(exporter.write(folder, precision), threads)


def run_torch(graph: Callable[[torch.Tensor], Any], images: NDArray[np.float32]) -> Outputs:
    """Run a graph by PyTorch.

    Args:
        graph: A :class:`~anomalib_patchgan.deploy.graph.DeployedGraph`, or its compiled form.
        images: [N, 3, H, W] in [0, 1].
    """
    with torch.inference_mode():
        raw, score, label, *rest = (output.numpy() for output in graph(torch.from_numpy(images)))
    return Outputs(raw, score, label, rest[0] if rest else None)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__} ({lines[0]})" if lines else type(error).__name__


# Every backend by the name a suite calls it.
BACKENDS: dict[str, Backend] = {
    "pytorch_fp32": Backend("fp32", open_pytorch),
    "pytorch_compiled": Backend("fp32", open_compiled),
    "onnxruntime_fp32": Backend("fp32", open_onnxruntime),
    **{f"openvino_{precision}": Backend(precision, partial(open_openvino, precision)) for precision in PRECISIONS},
}
# The one that the others are compared with.
REFERENCE = "pytorch_fp32"
