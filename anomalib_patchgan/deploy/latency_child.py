# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""One measurement of speed in a process of its own, told by its parent over standard input what to do next.

Imports only what the measured way needs, so that its start-up and its memory are those of a device.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from anomalib_patchgan.deploy.runtimes import Predict

# What a workspace holds beside the exports.
IMAGES, FILES, GRAPH, ONNX, ANOMALIB_EXPORT = "images.npy", "files", "graph.pt", "onnx", "anomalib"
# Set by the parent: seconds since the epoch at which it started this process.
STARTED_AT = "ANOMALIB_PATCHGAN_STARTED_AT"


class Contender(Protocol):
    """A way to run a model."""

    def once(self) -> None:
        """Run one image, synchronously; or one file."""

    def many(self) -> int:
        """Run many images as fast as it goes, and return how many."""


class ModelOnly:
    """Runs images in memory.

    Args:
        predict: Runs a batch.
        batch: The images of a batch [16, 3, H, W] in [0, 1].
    """

    def __init__(self, predict: Predict, batch: NDArray[np.float32]) -> None:
        from anomalib_patchgan.deploy.runtimes import run_many

        self._predict = predict
        self._single = np.ascontiguousarray(batch[:1])
        self._many = partial(run_many, predict, batch)

    def once(self) -> None:
        """Run one image."""
        self._predict(self._single)

    def many(self) -> int:
        """Run batches of 16, asynchronously where the runtime can."""
        return self._many()


class PyTorchOnly(ModelOnly):
    """Runs images in memory by PyTorch, with all threads until it is known how many serve it best.

    Args:
        predict: Runs a batch.
        batch: The images of a batch [16, 3, H, W] in [0, 1].
        threads: Threads at most.
    """

    def __init__(self, predict: Predict, batch: NDArray[np.float32], threads: int) -> None:
        super().__init__(predict, batch)
        self._arguments = predict, batch, threads

    def settled(self) -> ModelOnly:
        """The same with as many threads as serve it best, for which it is run many times."""
        from anomalib_patchgan.deploy.backends import with_best_threads

        predict, batch, threads = self._arguments
        height, width = batch.shape[2:]
        return ModelOnly(with_best_threads(predict, (height, width), threads), batch)


class PredictorOnFiles:
    """From files to written results, by the predictor.

    Args:
        path: The ``.xml`` file.
        files: Folder of the files.
        threads: Threads of inference.
    """

    def __init__(self, path: Path, files: Path, threads: int) -> None:
        from anomalib_patchgan.deploy.predictor import Predictor

        self._predictor = Predictor(path, threads=threads)
        self._files = files

    def once(self) -> None:
        """Predict one file."""
        self._predict([min(self._files.iterdir())])

    def many(self) -> int:
        """Predict all files."""
        return self._predict([self._files])

    def _predict(self, inputs: list[Path]) -> int:
        with tempfile.TemporaryDirectory() as folder:
            return self._predictor.predict(inputs, folder, write=("maps",)).images


class DecodingOnly:
    """Reads and prepares files as the predictor does, in as many threads, and does nothing with them.

    Args:
        path: The ``.xml`` file.
        files: Folder of the files.
        threads: Threads.
    """

    def __init__(self, path: Path, files: Path, threads: int) -> None:
        from concurrent.futures import ThreadPoolExecutor

        from anomalib_patchgan.deploy.identity import read_model
        from anomalib_patchgan.deploy.preparation import preparation_from_plain

        self._preparation = preparation_from_plain(read_model(path)[1].preparation)
        self._files = sorted(files.iterdir())
        self._pool = ThreadPoolExecutor(threads)

    def once(self) -> None:
        """Read one file."""
        self._read(self._files[0])

    def many(self) -> int:
        """Read all files."""
        return sum(self._pool.map(self._read, self._files))

    def _read(self, path: Path) -> int:
        return len(list(self._preparation.open([path]).images(self._preparation.image_size)))


class InferencerOnFiles:
    """anomalib's own inferencer, file by file, as its documentation shows.

    Args:
        workspace: Holds anomalib's own export.
        files: Folder of the files.
        threads: Threads of inference.
    """

    def __init__(self, workspace: Path, files: Path, threads: int) -> None:
        from anomalib.deploy import OpenVINOInferencer

        (path,) = (workspace / ANOMALIB_EXPORT).rglob("*.xml")
        # Told what to compute in, since it would else use bfloat16 where it can.
        config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
        self._inferencer = OpenVINOInferencer(path, "CPU", config)
        self._files = sorted(files.iterdir())

    def once(self) -> None:
        """Predict one file."""
        self._inferencer.predict(self._files[0])

    def many(self) -> int:
        """Predict all files."""
        for path in self._files:
            self._inferencer.predict(path)
        return len(self._files)


def _open_openvino(precision: str, workspace: Path, threads: int) -> Contender:
    from anomalib_patchgan.deploy.runtimes import OpenVinoRuntime

    return ModelOnly(OpenVinoRuntime(workspace / precision / "model.xml", threads), np.load(workspace / IMAGES))


def _open_onnxruntime(workspace: Path, threads: int) -> Contender:
    from anomalib_patchgan.deploy.runtimes import run_onnx

    return ModelOnly(run_onnx(workspace / ONNX / "model.onnx", threads), np.load(workspace / IMAGES))


def _open_torch(compile_it: bool, workspace: Path, threads: int) -> Contender:
    import torch

    from anomalib_patchgan.deploy.backends import run_torch

    # A file that the parent wrote a moment ago.
    graph = torch.load(workspace / GRAPH, weights_only=False)
    predict = partial(run_torch, torch.compile(graph) if compile_it else graph)
    return PyTorchOnly(predict, np.load(workspace / IMAGES), threads)


def _open_predictor(precision: str, workspace: Path, threads: int) -> Contender:
    return PredictorOnFiles(workspace / precision / "model.xml", workspace / FILES, threads)


def _open_decoding(workspace: Path, threads: int) -> Contender:
    return DecodingOnly(workspace / "fp32" / "model.xml", workspace / FILES, threads)


def _open_inferencer(workspace: Path, threads: int) -> Contender:
    return InferencerOnFiles(workspace, workspace / FILES, threads)


@dataclass(frozen=True)
class Way:
    """A way to run a model, and what it needs.

    Attributes:
        open: Opens it, given the workspace and the number of threads.
        needs: Names in the workspace beside the images and the files.
    """

    open: Callable[[Path, int], Contender]
    needs: tuple[str, ...]


_PRECISIONS = ("fp32", "bf16", "int8", "int8_bf16")
CONTENDERS = {
    "pytorch_fp32": Way(partial(_open_torch, False), (GRAPH,)),
    "pytorch_compiled": Way(partial(_open_torch, True), (GRAPH,)),
    "onnxruntime_fp32": Way(_open_onnxruntime, (ONNX,)),
    **{f"openvino_{precision}": Way(partial(_open_openvino, precision), (precision,)) for precision in _PRECISIONS},
    "decoding": Way(_open_decoding, ("fp32",)),
    "anomalib_inferencer": Way(_open_inferencer, (ANOMALIB_EXPORT,)),
    **{f"predictor_{precision}": Way(partial(_open_predictor, precision), (precision,)) for precision in _PRECISIONS},
}
"""Every way by its name."""


def timed(run: Callable[[], Any], count: int, seconds: float) -> list[tuple[float, Any]]:
    """Run at least so often and at least so long; gives the seconds and the result of each run."""
    found: list[tuple[float, Any]] = []
    end = perf_counter() + seconds
    while len(found) < count or perf_counter() < end:
        started = perf_counter()
        result = run()
        found.append((perf_counter() - started, result))
    return found


def main() -> None:
    """Open a contender, and do what is asked until the parent closes the pipe."""
    name, workspace, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer

    def answer(**content: Any) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    try:
        contender = CONTENDERS[name].open(workspace, threads)
        contender.once()
        cold_start_s = time.time() - float(os.environ[STARTED_AT])
        if isinstance(contender, PyTorchOnly):
            contender = contender.settled()
    except Exception as error:  # noqa: BLE001 - whatever keeps it from running is what the row says
        lines = str(error).strip().splitlines() or [""]
        answer(status="unsupported", note=f"{type(error).__name__}: {lines[0]}")
        return
    answer(status="ok", cold_start_s=cold_start_s)
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "once":
            answer(seconds=[took for took, _ in timed(contender.once, asked["count"], asked["seconds"])])
        else:
            runs = timed(contender.many, asked["count"], asked["seconds"])
            answer(rate=sum(images for _, images in runs) / sum(took for took, _ in runs), peak_mib=peak_mib())


def peak_mib() -> float | None:
    """Most memory that this process has held, in MiB; None where the system does not tell."""
    status = Path("/proc/self/status")
    if status.is_file():
        # What getrusage says on Linux may be what the parent held when it started this process.
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text(encoding="utf-8"))
        return int(found[1]) / 1024 if found else None
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


if __name__ == "__main__":
    main()
