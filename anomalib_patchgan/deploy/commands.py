# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The commands ``export``, ``predict``, ``parity``, ``latency`` and ``serve``; heavy imports happen inside them."""

# ruff: noqa: ARG001 - every command is called alike
# ruff: noqa: T201 - this is where printing is done

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from anomalib_patchgan.construction import build_datamodule
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.outputs import make_folder, make_room, write_text
from anomalib_patchgan.quiet import without_warnings

_FAILED_STATUS = 1


def fill_predict(parser: ArgumentParser) -> None:
    """Add the arguments of ``predict``."""
    parser.description = (
        "Score images, NIfTI volumes or DICOM series with an exported model, and write scores.csv, maps, masks and "
        "overlays. Needs neither torch nor anomalib. Files that cannot be read are listed, and the exit status is 1; "
        "it is 2 if nothing could be begun, as with a damaged model or an argument that cannot be used."
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
    parser.add_argument("--batch_size", type=int | None, help="images run together; 16, or 1 with the hint latency")
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


def fill_export(parser: ArgumentParser) -> None:
    """Add the arguments of ``export``."""
    _fill_trained(parser)
    parser.description = (
        "Export a trained model to OpenVINO, for any batch size, with the raw score among its outputs and with what a "
        "device needs to know in its metadata. Prints the .xml file of each precision."
    )
    parser.add_argument("--output", type=Path, required=True, help="folder; each precision gets one below it")
    parser.add_argument(
        "--precision",
        type=str,
        default="fp32",
        help="of fp32,fp16,bf16,int8,int8_bf16; the last two need --data for normal images",
    )


def export(options: Namespace, typed: list[str]) -> int:
    """Run ``export``."""
    _import_quietly()
    from anomalib_patchgan.deploy.export import export_model

    model, datamodule = _trained(options)
    precisions = [name.strip() for name in options.precision.split(",")]
    for path in export_model(model, options.output, precisions, datamodule).values():
        print(path)
    return 0


def fill_parity(parser: ArgumentParser) -> None:
    """Add the arguments of ``parity``."""
    _fill_trained(parser, needs_data=True)
    parser.description = (
        "Compare exported models with the trained one on the whole test set: scores, maps, labels and AUROC. The exit "
        "status is 1 if one does not keep what its precision has to keep, or cannot be read, or if none can run here."
    )
    parser.add_argument("exports", type=Path, nargs="+", help=".xml files, or folders that hold them")
    parser.add_argument("--threads", type=int, default=1, help="threads of inference")
    parser.add_argument("--output", type=Path, help="Markdown file to write the table to as well")


def parity(options: Namespace, typed: list[str]) -> int:
    """Run ``parity``."""
    _import_quietly()
    from anomalib_patchgan.deploy.device import check_threads
    from anomalib_patchgan.deploy.parity import FAILED, PASSED, ParityBench, ParityRow, failed_row, parity_table

    paths = _exports_in(options.exports)
    check_threads(options.threads)
    if options.output:
        make_room(options.output)
    model, datamodule = _trained(options)
    bench = ParityBench(model, datamodule, options.threads)

    def compare(path: Path) -> ParityRow:
        try:
            return bench.compare_export(path)
        except InputError as error:
            return failed_row(path, error)

    rows = [compare(path) for path in paths]
    text = parity_table(rows)
    print(text, flush=True)
    if options.output:
        write_text(options.output, text)
    statuses = {row.status for row in rows}
    return 0 if PASSED in statuses and FAILED not in statuses else _FAILED_STATUS


def _exports_in(given: list[Path]) -> list[Path]:
    """The .xml files that were named, and those in the folders that were."""
    found = {path: _xml_files(path) for path in given}
    empty = [str(path) for path, files in found.items() if not files]
    if empty:
        raise InputError(f"{', '.join(empty)}: found no .xml file, expected an exported model.")
    return [file for files in found.values() for file in files]


def _xml_files(path: Path) -> list[Path]:
    try:
        if path.is_dir():
            return sorted(path.rglob("*.xml"))
        return [path] if path.is_file() and path.suffix == ".xml" else []
    except OSError as error:
        raise InputError(f"{path}: found that it cannot be read ({error.strerror}), expected an export.") from error


def fill_serve(parser: ArgumentParser) -> None:
    """Add the arguments of ``serve``."""
    parser.description = (
        "Add an exported model to a repository of OpenVINO Model Server: a versioned folder, config.json and a client. "
        "Prints the folder of the version."
    )
    parser.add_argument("model", type=Path, help="the .xml file that `anomalib-patchgan export` wrote")
    parser.add_argument("--repository", type=Path, required=True, help="folder of the repository")
    parser.add_argument("--name", type=str, required=True, help="what clients call the model")
    parser.add_argument("--hint", type=str, default="throughput", help="throughput or latency")
    parser.add_argument("--mounted", type=str, default="/models", help="where the server finds the repository")


def serve(options: Namespace, typed: list[str]) -> int:
    """Run ``serve``."""
    from anomalib_patchgan.deploy.serving import write_model_repository

    print(write_model_repository(options.model, options.repository, options.name, options.hint, options.mounted))
    return 0


def _import_quietly() -> None:
    """Import anomalib before our modules do, and keep its warnings of its own deprecated parts from the user."""
    with without_warnings():
        import anomalib.models  # noqa: F401


def _fill_trained(parser: ArgumentParser, needs_data: bool = False) -> None:
    """Add what names a trained model and its data."""
    with without_warnings():
        from anomalib.data import AnomalibDataModule

    parser.add_argument("--ckpt_path", type=Path, required=True, help="checkpoint, as weights/lightning/model.ckpt")
    parser.add_argument("--model", type=str, default="anomalib_patchgan.PatchGan", help="dotted path of its class")
    text = "the data that it was trained on" + (", required" if needs_data else "")
    parser.add_subclass_arguments(AnomalibDataModule, "data", required=needs_data, help=text)


def _trained(options: Namespace) -> tuple[Any, Any]:
    """The trained model and its data, set up, or None where none are named."""
    from anomalib_patchgan.deploy.checkpoint import load_trained

    model = load_trained(options.model, options.ckpt_path)
    if options.data is None:
        return model, None
    parser = ArgumentParser(exit_on_error=False)
    _fill_trained(parser)
    chosen = {key: options[key] for key in ("ckpt_path", "model", "data")}
    datamodule = build_datamodule(parser, Namespace(**chosen))
    datamodule.setup()
    return model, datamodule


def fill_latency(parser: ArgumentParser) -> None:
    """Add the arguments of ``latency``."""
    from anomalib_patchgan.deploy.latency_child import CONTENDERS

    _fill_trained(parser, needs_data=True)
    parser.description = (
        "Measure the speed of a trained model in every way to run it: PyTorch, ONNX Runtime, OpenVINO in each "
        "precision, the predictor from files to results, anomalib's inferencer. One process each, in turn, by rounds. "
        "The exit status is 1 if none of them could be measured."
    )
    parser.add_argument("--workspace", type=Path, required=True, help="folder for the exports and what is timed")
    parser.add_argument("--ways", type=str, default="", help=f"of {','.join(CONTENDERS)}; else all")
    parser.add_argument("--threads", type=int, default=2, help="threads of inference")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of each way at least, over all rounds")
    parser.add_argument("--output", type=Path, help="Markdown file of the table; all numbers go beside it")


def latency(options: Namespace, typed: list[str]) -> int:
    """Run ``latency``."""
    import json

    _import_quietly()
    from anomalib_patchgan.deploy.latency import (
        check_request,
        latency_record,
        latency_table,
        measure_latency,
        write_workspace,
    )
    from anomalib_patchgan.deploy.latency_child import CONTENDERS

    # A name that is given twice is measured once.
    ways = list(dict.fromkeys(name.strip() for name in options.ways.split(",") if name.strip())) or list(CONTENDERS)
    check_request(ways, options.threads, options.rounds, options.seconds)
    if options.output:
        make_room(options.output)
        record = options.output.with_suffix(".json")
        if record == options.output:
            raise InputError(f"{record}: found the name that all numbers get, expected another for the table, as .md.")
        make_room(record)
    make_folder(options.workspace)
    model, datamodule = _trained(options)
    write_workspace(model, datamodule, options.workspace, ways)

    def tell(text: str) -> None:
        print(text, file=sys.stderr)

    rows = measure_latency(options.workspace, options.threads, ways, options.rounds, options.seconds, tell)
    text = latency_table(rows)
    print(text, flush=True)
    if options.output:
        write_text(options.output, text)
        write_text(record, json.dumps(latency_record(rows), indent=1))
    return 0 if any(row.status == "ok" for row in rows) else _FAILED_STATUS
