# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""How fast a model is in every way to run it: one process per way, all of them measured in turn, round by round."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anomalib.data import AnomalibDataModule
from anomalib.models import AnomalibModule
from torch import nn
from torch.nn.utils import parametrize

from anomalib_patchgan.deploy.device import check_threads
from anomalib_patchgan.deploy.export import PRECISIONS, Exporter
from anomalib_patchgan.deploy.identity import read_model
from anomalib_patchgan.deploy.latency_child import (
    ANOMALIB_EXPORT,
    CONTENDERS,
    FILES,
    GRAPH,
    IMAGES,
    ONNX,
    STARTED_AT,
)
from anomalib_patchgan.deploy.preparation import RasterPreparation
from anomalib_patchgan.deploy.runtimes import BATCH, batch_of, exported_bytes
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import write_png
from anomalib_patchgan.quiet import quiet

ROUNDS = 5
# Calls and seconds of each way, over all rounds, after a round that is not counted.
CALLS, SECONDS = 200, 3.0
REFERENCE = "pytorch_fp32"
_OPSET = {"opset_version": 18}
_BENCHMARK_APP = "benchmark_app"
# Of the name of a picture in the workspace.
_DIGITS = 5


@dataclass(kw_only=True)
class LatencyRow:
    """What was measured of one way to run a model.

    Attributes:
        name: Name of the way.
        status: ``ok``; ``unsupported``, where it does not run here; or ``failed``, where its process died.
        note: Why it is not ``ok``.
        threads: Threads of inference.
        seconds: Time of each call of one image, or file.
        rates: Images per second of each round, many at a time.
        cold_start_s: Seconds from the start of the process to the first result.
        peak_mib: Most memory that the process held.
        size_bytes: What is needed on disk beside the libraries; None where nothing is exported.
        benchmark_app: Images per second that OpenVINO's own tool finds of the same file; None where it was not asked.
    """

    name: str
    status: str
    note: str = ""
    threads: int = 0
    seconds: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    cold_start_s: float | None = None
    peak_mib: float | None = None
    size_bytes: int | None = None
    benchmark_app: float | None = None

    def percentile_ms(self, percent: float) -> float:
        """Percentile of the latency of one image, in ms."""
        return 1000 * float(np.percentile(self.seconds, percent))


def write_workspace(
    model: AnomalibModule, datamodule: AnomalibDataModule, workspace: Path, ways: Sequence[str] = tuple(CONTENDERS)
) -> None:
    """Write all that the measuring processes need.

    Args:
        model: A trained model.
        datamodule: Its data, set up; test images are what is timed.
        workspace: Folder to write.
        ways: Names in ``CONTENDERS``.

    Raises:
        InputError: If a name is unknown.
    """
    _check_ways(ways)
    exporter = Exporter(model, datamodule)
    # What is timed are pictures of the test images as the model takes them, whatever they came from.
    exporter.preparation = RasterPreparation(exporter.input_size)
    needed = {needs for name in ways for needs in CONTENDERS[name].needs}
    for precision in sorted(needed & PRECISIONS.keys()):
        exporter.write(workspace / precision, precision)
    if ONNX in needed:
        exporter.write_onnx(workspace / ONNX)
    if ANOMALIB_EXPORT in needed:
        with quiet():
            model.to_openvino(workspace / ANOMALIB_EXPORT, input_size=exporter.input_size, onnx_kwargs=dict(_OPSET))
    if GRAPH in needed:
        torch.save(_plain_copy(exporter.graph), workspace / GRAPH)
    images = exporter.images_of(datamodule.test_data)
    # What a process would hold beside the batch that it runs would count as memory and start-up of its way.
    np.save(workspace / IMAGES, batch_of(images))
    for stale in (workspace / FILES).glob("[0-9]" * _DIGITS + ".png"):
        stale.unlink()
    for index, image in enumerate(images):
        picture = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
        write_png(workspace / FILES / f"{index:0{_DIGITS}d}.png", picture)


def _plain_copy(graph: nn.Module) -> nn.Module:
    """A copy whose weights are no longer computed from others at each call, as under spectral normalisation.

    Such modules cannot be written to a file; and what is computed once here would slow the first way down.
    """
    copied = copy.deepcopy(graph)
    for module in copied.modules():
        if parametrize.is_parametrized(module):
            # What computes them is removed from the class, which the copy shares with the original.
            shared = type(module)
            module.__class__ = type(shared.__name__, shared.__bases__, dict(vars(shared)))
            for name in list(module.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    return copied


def check_request(ways: Sequence[str], threads: int, rounds: int, seconds: float) -> None:
    """Refuse what cannot be measured, before anything is exported.

    Args:
        ways: Names in ``CONTENDERS``.
        threads: Threads of inference.
        rounds: Rounds that count.
        seconds: Seconds of each way at least, over all rounds.

    Raises:
        InputError: If a name is unknown or a number is not positive.
    """
    _check_ways(ways)
    check_threads(threads)
    if rounds < 1:
        raise InputError(f"rounds: found {rounds}, expected 1 or more.")
    if not (seconds > 0 and math.isfinite(seconds)):
        raise InputError(f"seconds: found {seconds:g}, expected more than 0.")


def _check_ways(ways: Sequence[str]) -> None:
    unknown = [name for name in ways if name not in CONTENDERS]
    if unknown:
        raise InputError(f"ways: found {unknown[0]!r}, expected some of {', '.join(CONTENDERS)}.")


def measure_latency(
    workspace: Path,
    threads: int,
    ways: Sequence[str] = tuple(CONTENDERS),
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
    progress: Callable[[str], None] = lambda _: None,
) -> list[LatencyRow]:
    """Measure every way in a process of its own, in turn, round by round.

    Args:
        workspace: What :func:`write_workspace` wrote.
        threads: Threads of inference.
        ways: Names in ``CONTENDERS``, of those that the workspace was written for.
        rounds: Rounds that count.
        seconds: Seconds of each way at least, over all rounds, single images and many apart.
        progress: Told what is being done.

    Returns:
        A row for each. What this machine cannot run is a row that says so, as is what died while it was measured.

    Raises:
        InputError: If a name is unknown or a number is not positive.
    """
    check_request(ways, threads, rounds, seconds)
    children = {}
    rows = []
    try:
        for name in ways:
            progress(f"starting {name}")
            child = _Child(name, workspace, threads)
            first = child.hear()
            rows.append(LatencyRow(name=name, threads=threads, size_bytes=_size(workspace, name), **first))
            if rows[-1].status == "ok":
                children[name] = child
        for number in range(rounds + 1):
            for row in rows:
                if row.status == "ok":
                    progress(f"round {number} of {rounds}: {row.name}")
                    _measure(row, children[row.name], rounds, seconds, counts=number > 0)
    finally:
        for child in children.values():
            child.stop()
    for row in rows:
        if row.status == "ok" and row.name.startswith("openvino_"):
            progress(f"benchmark_app: {row.name}")
            row.benchmark_app = benchmark_app(workspace / row.name.removeprefix("openvino_") / "model.xml", threads)
    return rows


class _Child:
    """A measuring process."""

    def __init__(self, name: str, workspace: Path, threads: int) -> None:
        environment = os.environ | {
            "OMP_NUM_THREADS": str(threads),
            "OMP_WAIT_POLICY": "passive",
            STARTED_AT: repr(time.time()),
        }
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "anomalib_patchgan.deploy.latency_child",
                name,
                str(workspace.resolve()),
                str(threads),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            cwd=workspace,
        )
        self._name = name

    def ask(self, **asked: Any) -> dict[str, Any]:
        """Tell it what to do and wait for the answer."""
        # What has died takes no question; that it gives no answer is heard.
        with contextlib.suppress(BrokenPipeError):
            if self._process.stdin is not None:
                self._process.stdin.write(json.dumps(asked) + "\n")
                self._process.stdin.flush()
        return self.hear()

    def hear(self) -> dict[str, Any]:
        """Wait for an answer; of a process that has died, it says so."""
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line.endswith("\n"):
            return {"status": "failed", "note": f"its process ended with status {self._process.wait()}"}
        return json.loads(line)

    def stop(self) -> None:
        """End the process."""
        # A question that it did not live to read is still in the pipe's buffer.
        with contextlib.suppress(BrokenPipeError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _measure(row: LatencyRow, child: _Child, rounds: int, seconds: float, counts: bool) -> None:
    once = child.ask(do="once", count=-(-CALLS // rounds), seconds=seconds / rounds)
    many = child.ask(do="many", count=1, seconds=seconds / rounds)
    if "status" in many:
        row.status, row.note = many["status"], many["note"]
        return
    if counts:
        row.seconds += once["seconds"]
        row.rates.append(many["rate"])
    row.peak_mib = many["peak_mib"]


def benchmark_app(path: Path, threads: int, seconds: int = 5) -> float | None:
    """Ask OpenVINO's own tool for the throughput of a file.

    Args:
        path: The ``.xml`` file.
        threads: Threads of inference.
        seconds: How long it measures.

    Returns:
        Images per second, or None where the tool is not there or fails.
    """
    tool = shutil.which(_BENCHMARK_APP, path=str(Path(sys.executable).parent)) or shutil.which(_BENCHMARK_APP)
    if tool is None:
        return None
    graph, identity = read_model(path)
    _, channels, height, width = (length.to_string() for length in graph.input(0).get_partial_shape())
    command = [tool, "-m", str(path.resolve()), "-d", "CPU", "-hint", "throughput", "-t", str(seconds)]
    command += ["-infer_precision", identity.inference_precision, "-shape", f"[{BATCH},{channels},{height},{width}]"]
    with tempfile.TemporaryDirectory() as folder:
        # Its option for threads cannot be given together with a hint.
        settings = Path(folder) / "settings.json"
        settings.write_text(json.dumps({"CPU": {"INFERENCE_NUM_THREADS": threads}}), encoding="utf-8")
        command += ["-load_config", str(settings)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    found = re.search(r"Throughput:\s*([0-9.]+)", done.stdout)
    return float(found[1]) if found else None


def _size(workspace: Path, name: str) -> int | None:
    sizes = [exported_bytes(workspace / needed) for needed in CONTENDERS[name].needs]
    return next((size for size in sizes if size is not None), None)


def speedup(row: LatencyRow, reference: LatencyRow) -> tuple[float, float, float]:
    """Least, median and largest ratio of the throughputs of the rounds."""
    found = [own / other for own, other in zip(row.rates, reference.rates, strict=True)]
    return min(found), statistics.median(found), max(found)


def latency_table(rows: list[LatencyRow]) -> str:
    """Write rows as a table in Markdown, with throughputs as ratios to the first way that was measured."""
    header = (
        "way",
        "one image, p50 / p90 / p99 ms",
        "images/s, median of rounds",
        "times the first (least to most)",
        "benchmark_app, images/s",
        "cold start s",
        "peak MiB",
        "size MB",
    )
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |"]
    reference = next((row for row in rows if row.status == "ok"), None)
    for row in rows:
        if row.status != "ok" or reference is None:
            note = row.note.replace("|", "\\|")
            lines.append(f"| {row.name} | {row.status}: {note} |" + " |" * (len(header) - 2))
            continue
        least, median, most = speedup(row, reference)
        cells = (
            row.name,
            " / ".join(f"{row.percentile_ms(percent):.2f}" for percent in (50, 90, 99)),
            f"{statistics.median(row.rates):.1f}",
            f"{median:.2f} ({least:.2f} to {most:.2f})",
            "" if row.benchmark_app is None else f"{row.benchmark_app:.1f}",
            f"{row.cold_start_s:.2f}",
            "" if row.peak_mib is None else f"{row.peak_mib:.0f}",
            "" if row.size_bytes is None else f"{row.size_bytes / 1e6:.2f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def latency_record(rows: list[LatencyRow]) -> list[dict[str, Any]]:
    """All that was measured; JSON-able."""
    return [asdict(row) for row in rows]
