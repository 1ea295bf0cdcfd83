# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The commands ``export``, ``predict``, ``parity``, ``latency`` and ``serve``; heavy imports happen inside them."""

# ruff: noqa: ARG001 - every command is called alike
# ruff: noqa: T201 - this is where printing is done

from __future__ import annotations

import sys
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

_FAILED_STATUS = 1


def fill_predict(parser: ArgumentParser) -> None:
    """Add the arguments of ``predict``."""
    parser.description = (
        "Score images, NIfTI volumes or DICOM series with an exported model, and write scores.csv, maps, masks and "
        "overlays. Needs neither torch nor anomalib. Files that cannot be read are listed, and the exit status is 1."
    )
    parser.add_argument("model", type=Path, help="the .xml file that `anomalib-patchgan export` wrote")
    parser.add_argument("inputs", type=Path, nargs="+", help="files and folders")
    parser.add_argument("--output", type=Path, required=True, help="folder of the results")
    parser.add_argument(
        "--write",
        type=str,
        default="maps,overlays",
        help="of maps,masks,overlays; or none",
    )
    parser.add_argument("--device", type=str, default="CPU", help="CPU, GPU, NPU or AUTO")
    parser.add_argument("--hint", type=str, default="throughput", help="throughput or latency")
    parser.add_argument("--batch_size", type=int | None, help="images run together; 8, or 1 with the hint latency")
    parser.add_argument("--threads", type=int | None, help="threads of inference on a CPU; as OpenVINO decides")
    parser.add_argument("--resume", action="store_true", help="go on with the results that are in the folder")


def predict(options: Namespace, typed: list[str]) -> int:
    """Run ``predict``."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from anomalib_patchgan.deploy.predictor import Predictor

    predictor = Predictor(options.model, options.device, options.hint, options.batch_size, options.threads)
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Predicting", total=None, rate="")

        def show(done: int, total: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total, rate="" if speed is None else f"{speed:.1f} inputs/s")

        written = [] if options.write == "none" else [name.strip() for name in options.write.split(",")]
        summary = predictor.predict(options.inputs, options.output, written, options.resume, show)
    for name, message in summary.failures.items():
        print(f"{name}: {message}", file=sys.stderr)
    first = "" if summary.first_seconds is None else f", the first result after {summary.first_seconds:.2f} s"
    print(
        f"{summary.done} of {summary.inputs} inputs done, {len(summary.failures)} failed, {summary.resumed} before; "
        f"{summary.images} images in {summary.seconds:.2f} s, {summary.images_per_second:.1f} images/s{first}"
    )
    print(options.output / "scores.csv")
    return _FAILED_STATUS if summary.failures else 0
