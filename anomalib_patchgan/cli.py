# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The console script: ``anomalib-patchgan benchmark | report | prepare | ...``.

Only the parser of the command that was asked for is built, and heavy packages are imported inside the commands, so that
``--help`` answers at once.
"""

# ruff: noqa: ARG001 - every command is called alike
# ruff: noqa: T201 - this is where printing is done

import errno
import os
import shlex
import signal
import sys
import threading
from argparse import ArgumentError
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse import ArgumentParser, Namespace

from anomalib_patchgan import __version__
from anomalib_patchgan.construction import build_datamodule
from anomalib_patchgan.deploy import commands as deployment
from anomalib_patchgan.errors import InputError, sentence
from anomalib_patchgan.outputs import check_folder, make_room, write_text
from anomalib_patchgan.quiet import without_warnings

if TYPE_CHECKING:
    from anomalib_patchgan.store import Store

PROGRAM = "anomalib-patchgan"
INPUT_ERROR_STATUS = 2
INTERRUPTED_STATUS = 130
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
# What the operating system says of a path that the user can change; anything else is a defect and keeps its traceback.
_OF_THE_PATH = (
    errno.EACCES,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
)


@dataclass(frozen=True)
class Command:
    """A sub-command.

    Attributes:
        summary: What it does, for ``--help``.
        fill_parser: Adds its arguments.
        run: Runs it, given what was parsed and the arguments as they were typed, and returns the exit status.
        prepare: Rewrites its arguments before they are parsed.
        goes_on: What goes on where it was stopped, if anything does.
    """

    summary: str
    fill_parser: Callable[[ArgumentParser], None]
    run: Callable[[Namespace, list[str]], int]
    prepare: Callable[[list[str]], list[str]] = list
    goes_on: str = ""


def _set_environment() -> None:
    # Set before anything heavy is imported, since OpenMP reads it when it is loaded. Its spinning default makes threads
    # many times slower beside other work; on a quiet machine, waiting costs small models some speed instead.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # Nothing is fetched at run time, unless the user asks for it.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    # The progress display is ours alone; anomalib draws bars of its own for some models, whoever asks.
    os.environ.setdefault("TQDM_DISABLE", "1")


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let `kill` end a command as Ctrl-C does; set before a training starts, Lightning leaves it alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the console script.

    Args:
        argv: Arguments without the program's name; those of the process when not given.

    Returns:
        Exit status: 0, 1 when a job failed, 2 for what the user can correct, 130 when stopped by the user or by `kill`.
    """
    _set_environment()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        with _terminated_as_interrupted():
            return _dispatch(arguments)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return INPUT_ERROR_STATUS
    except ArgumentError as error:
        print(f"error: {sentence(error)}", file=sys.stderr)
        return INPUT_ERROR_STATUS
    except OSError as error:
        if error.errno not in _NO_ROOM + _OF_THE_PATH:
            raise
        use = "written" if error.errno in _NO_ROOM else "read or written"
        # What is moved names two files, and the second is where it cannot go.
        place = error.filename2 or error.filename or "a file"
        print(f"error: {place} cannot be {use} ({error.strerror})", file=sys.stderr)
        return INPUT_ERROR_STATUS
    except ModuleNotFoundError as error:
        if find_spec("anomalib") is not None:
            raise
        print(
            f"error: {_command_name(arguments)} needs {error.name}, which the base install leaves out; "
            "install the train extra (pip install 'anomalib-patchgan[train]')",
            file=sys.stderr,
        )
        return INPUT_ERROR_STATUS
    except KeyboardInterrupt:
        goes_on = COMMANDS[name].goes_on if (name := _command_name(arguments)) in COMMANDS else ""
        print(f"stopped; {goes_on} goes on where this one ended" if goes_on else "stopped", file=sys.stderr)
        return INTERRUPTED_STATUS
    except SystemExit as error:
        # --help and --version end this way.
        return error.code if isinstance(error.code, int) else int(error.code is not None)


def _command_name(arguments: list[str]) -> str | None:
    return next((argument for argument in arguments if not argument.startswith("-")), None)


def _dispatch(arguments: list[str]) -> int:
    name = _command_name(arguments)
    parser = ArgumentParser(prog=PROGRAM, description=_DESCRIPTION, exit_on_error=False)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    subcommands = parser.add_subcommands(dest="command")
    for known, command in COMMANDS.items():
        subparser = ArgumentParser(exit_on_error=False)
        subcommands.add_subcommand(known, subparser, help=command.summary)
        if known == name:
            # Filled after it was added: jsonargparse takes sub-commands of sub-commands in this order only.
            command.fill_parser(subparser)
    position = arguments.index(name) + 1 if name in COMMANDS else len(arguments)
    before, typed = arguments[:position], arguments[position:]
    prepared = COMMANDS[name].prepare(typed) if name in COMMANDS else []
    namespace = parser.parse_args([*before, *prepared])
    return COMMANDS[namespace.command].run(namespace[namespace.command], typed)


def _fill_benchmark(parser: ArgumentParser) -> None:
    from anomalib_patchgan.benchmark.suite import Settings, describe_keys

    parser.usage = f"{PROGRAM} benchmark SUITE.yaml [options] [--data.NAME.KEY VALUE ...] [--models.NAME.KEY VALUE ...]"
    parser.description = (
        "Run every model of a suite on every data set with every seed, and write the report. Jobs that are done are "
        "not run again. Any leaf of the suite can be overridden, as in --seeds '[0, 1, 2]' or "
        "--models.PaDiM.init_args.backbone resnet18; --print_config prints what comes of it and exits. The last line "
        "printed is the path of the report's page."
    )
    for option, text in _BENCHMARK_SWITCHES.items():
        parser.add_argument(option, action="store_true", help=text)
    parser.add_argument(
        "--runner",
        type=Literal["in_process", "processes", "ray"],
        default="in_process",
        help="where jobs run: here, in child processes, or on a Ray cluster; the scores are the same",
    )
    parser.add_argument(
        "--only",
        type=list[str],
        help="names of data sets and models: run no others but the method, as a part of the same suite",
    )
    for option, (kind, text) in _RUNNER_OPTIONS.items():
        parser.add_argument(option, type=kind, help=text)
    parser.add_class_arguments(Settings)
    for option, keys in describe_keys().items():
        parser.add_argument_group(f"{option} VALUE", keys)


def _benchmark_arguments(typed: list[str]) -> list[str]:
    from anomalib_patchgan.benchmark.suite import load_suite, settings_arguments

    if {"-h", "--help"} & set(typed):
        return ["--help"]
    if not typed or typed[0].startswith("-"):
        raise InputError("benchmark has no suite; expected `benchmark SUITE.yaml`, options after it.")
    content, remaining = load_suite(Path(typed[0]), typed[1:])
    # jsonargparse knows an option of this name, which prints only what it has parsed itself.
    return [*settings_arguments(content), *(option for option in remaining if option != _PRINT_CONFIG)]


def _benchmark(options: Namespace, typed: list[str]) -> int:
    from anomalib_patchgan.benchmark.suite import dump_suite, load_suite, make_suite, restrict_suite

    path = Path(typed[0])
    content, _ = load_suite(path, typed[1:])
    suite = restrict_suite(make_suite(options, content, path), options.only or [])
    if _PRINT_CONFIG in typed:
        print(dump_suite(suite), end="")
        return 0
    check_folder(suite.store_folder, "--store", written=not options.dry_run)
    check_folder(suite.report_folder, "--report", written=not options.dry_run)
    from anomalib_patchgan.benchmark.runners import make_runner

    runner = make_runner(options.runner, jobs=options.jobs, ray_address=options.ray_address)
    if options.dry_run:
        from anomalib_patchgan.benchmark.dry_run import print_plan

        print_plan(suite, retry_failed=options.retry_failed)
        return 0
    from anomalib_patchgan.benchmark.runner import run_suite
    from anomalib_patchgan.report import write_report

    command = shlex.join([PROGRAM, "benchmark", *typed])
    outcome = run_suite(suite, command, runner, retry_failed=options.retry_failed, fail_fast=options.fail_fast)
    with outcome.overhead.part("report"):
        page = write_report(suite.store_folder, suite.report_folder, command)
    if outcome.ran:
        print(outcome.overhead, file=sys.stderr)
    if outcome.failed:
        print(f"{outcome.failed} jobs failed; the report has them, --retry-failed runs them again", file=sys.stderr)
    print(page)
    return int(outcome.failed > 0)


def _fill_report(parser: ArgumentParser) -> None:
    parser.usage = f"{PROGRAM} report STORE [--method ROW] | --compare A B | --leaderboard DIR [--output FOLDER]"
    parser.description = "Rebuild the report from the results in a store, without torch, or set several side by side."
    parser.add_argument("store", type=Path, nargs="?", help="folder of the results, as stores/quickstart")
    parser.add_argument("--compare", type=Path, nargs=2, help="two stores: what moved from the first to the second")
    parser.add_argument("--leaderboard", type=Path, help="folder of many stores: one page for all of them")
    parser.add_argument("--output", type=Path, help="folder of the report; one in reports/ when not given")
    parser.add_argument("--pdf", action="store_true", help="write each figure of a report as PDF, too")
    parser.add_argument("--method", help="row that a report compares all others with, in place of the suite's method")


def _report(options: Namespace, typed: list[str]) -> int:
    from anomalib_patchgan.report import write_comparison, write_leaderboard, write_report
    from anomalib_patchgan.report.files import slug
    from anomalib_patchgan.store import Store

    if sum(bool(given) for given in (options.store, options.compare, options.leaderboard)) != 1:
        raise InputError("report takes one of STORE, --compare A B and --leaderboard DIR.")
    if options.method and not options.store:
        raise InputError("--method goes with STORE alone.")
    reports = Path("reports")
    if options.compare:
        first, second = options.compare
        output = options.output or reports / f"{first.name}-to-{second.name}"
        print(write_comparison(first, second, output))
    elif options.leaderboard:
        print(write_leaderboard(options.leaderboard, options.output or reports / "leaderboard"))
    else:
        store = Store(options.store)
        plan = store.load_plan()
        # A page about another row does not take the place of the suite's own.
        name = plan["suite"] if options.method is None else slug(f"{plan['suite']} {options.method}")
        output = options.output or reports / name
        print(write_report(options.store, output, pdf=options.pdf, method=options.method))
        if not any(_has_result(store, job["key"]) for job in plan["jobs"]):
            print(f"no job of {options.store} has a result; the report says why", file=sys.stderr)
    return 0


def _has_result(store: "Store", key: str) -> bool:
    try:
        return store.run_status(key) == "finished"
    except InputError:  # The report names the file that cannot be read.
        return False


def _fill_prepare(parser: ArgumentParser) -> None:
    with without_warnings():
        from anomalib_patchgan.data.base import MedicalDataModule

    parser.description = (
        "Read a collection once, so that training starts at once later; check it, and print what it holds: the groups, "
        "what the protocol leaves out and why, and which files cannot be used."
    )
    parser.add_subclass_arguments(MedicalDataModule, "data", required=True)
    parser.add_argument("--strict", action="store_true", help="refuse the collection if a single file is damaged")
    parser.add_argument("--split", type=Path, help="JSON file to write the split to, for data.split_file")


def _prepare(options: Namespace, typed: list[str]) -> int:
    from anomalib_patchgan.data.summary import describe_card

    parser = ArgumentParser(exit_on_error=False)
    _fill_prepare(parser)
    datamodule = build_datamodule(parser, options)
    datamodule.strict = datamodule.strict or options.strict
    datamodule.setup()
    print(describe_card(datamodule.card()), flush=True)
    if options.split:
        datamodule.write_split(options.split)
    return 0


def _fill_leak_meter(parser: ArgumentParser) -> None:
    parser.description = (
        "Train one model of a suite twice and test it on the same images: once on subjects who are not in the test, "
        "once with samples of test subjects among the training samples, as a split that ignores subjects deals them. "
        "Prints both results and the inflation with its 95 % interval."
    )
    parser.add_argument("suite", type=Path, help="suite in YAML, as benchmarks/quickstart.yaml")
    parser.add_argument("--model", type=str, required=True, help="name of the model's row in the suite")
    parser.add_argument("--data", type=str, required=True, help="name of the data set in the suite")
    parser.add_argument("--output", type=Path, help="Markdown file to write the finding to as well")


def _leak_meter(options: Namespace, typed: list[str]) -> int:
    from anomalib_patchgan.benchmark.leak_meter import describe_leak, measure_leak
    from anomalib_patchgan.benchmark.progress import make_display
    from anomalib_patchgan.benchmark.suite import read_suite

    suite = read_suite(options.suite)
    if options.output:
        make_room(options.output)
    with make_display() as display:
        leak = measure_leak(suite, options.model, options.data, display)
    text = describe_leak(leak)
    # Before it is written, since hours of training are in it.
    print(text, flush=True)
    if options.output:
        write_text(options.output, text)
    return 0


def _fill_phantoms(parser: ArgumentParser) -> None:
    parser.description = "Write synthetic data in the layout of a real collection. They have no clinical value."
    from anomalib_patchgan.data.phantoms.frozen import frozen_names

    collections = parser.add_subcommands(dest="collection")
    for name, phantoms in _phantom_classes().items():
        collection = ArgumentParser(exit_on_error=False)
        collection.add_argument("--root", type=Path, required=True, help="folder to write")
        collection.add_class_arguments(phantoms)
        collections.add_subcommand(name, collection, help=f"phantoms in the layout of {name}")
    frozen = ArgumentParser(exit_on_error=False)
    frozen.add_argument("--name", required=True, help=f"one of {', '.join(frozen_names())}")
    frozen.add_argument("--root", type=Path, required=True, help="folder to write")
    frozen.add_argument("--verify", action="store_true", help="compare the folder's content with the frozen hash")
    collections.add_subcommand("frozen", frozen, help="a set whose parameters and content are fixed")


def _phantoms(options: Namespace, typed: list[str]) -> int:
    from anomalib_patchgan.benchmark.progress import make_display

    values = options[options.collection]
    if options.collection == "frozen":
        return _frozen_phantoms(values)
    phantoms_class = _phantom_classes()[options.collection]
    phantoms = phantoms_class(**{field.name: values[field.name] for field in fields(phantoms_class)})
    with make_display() as display:
        track = display.start(f"writing phantoms to {values.root}")
        phantoms.write(values.root, lambda done, total: track("files", done, total))
    print(values.root)
    return 0


def _frozen_phantoms(values: Namespace) -> int:
    from anomalib_patchgan.benchmark.progress import make_display
    from anomalib_patchgan.data.phantoms.frozen import load_frozen

    frozen = load_frozen(values.name)
    with make_display() as display:
        writing = display.start(f"writing phantoms to {values.root}")
        frozen.write(values.root, lambda done, total: writing("files", done, total))
        if values.verify:
            verifying = display.start(f"verifying {values.root}")
            frozen.verify(values.root, lambda done, total: verifying("files", done, total))
    print(values.root)
    return 0


def _phantom_classes() -> dict[str, Any]:
    from anomalib_patchgan.data.phantoms import BrainPhantoms, ManifestPhantoms, SkinPhantoms

    return {"brats2019": BrainPhantoms, "isic2016": SkinPhantoms, "manifest": ManifestPhantoms}


_DESCRIPTION = "Patch-GAN for anomalib and a benchmark of unsupervised anomaly detection in medical images."

_PRINT_CONFIG = "--print_config"
_BENCHMARK_SWITCHES = {
    "--dry-run": "print the plan and write nothing",
    "--retry-failed": "run the jobs again that failed before",
    "--fail-fast": "stop at the first job that fails",
}
_RUNNER_OPTIONS = {
    "--jobs": (int, "jobs at a time, for --runner processes; as many as the cores carry when not given"),
    "--ray-address": (str, "address of a Ray cluster, for --runner ray; one on this machine when not given"),
}

COMMANDS = {
    "benchmark": Command(
        summary="run a suite and write its report",
        fill_parser=_fill_benchmark,
        run=_benchmark,
        prepare=_benchmark_arguments,
        goes_on="the same command",
    ),
    "report": Command(
        summary="rebuild the report of a suite that has run, compare two, or list many",
        fill_parser=_fill_report,
        run=_report,
    ),
    "prepare": Command(
        summary="read and check a collection, and say what it holds",
        fill_parser=_fill_prepare,
        run=_prepare,
    ),
    "leak-meter": Command(
        summary="measure how much a split that ignores subjects inflates a result",
        fill_parser=_fill_leak_meter,
        run=_leak_meter,
    ),
    "phantoms": Command(
        summary="write synthetic data in the layout of a real collection",
        fill_parser=_fill_phantoms,
        run=_phantoms,
    ),
    "export": Command(
        summary="export a trained model to OpenVINO",
        fill_parser=deployment.fill_export,
        run=deployment.export,
    ),
    "parity": Command(
        summary="check that exported models decide as the trained one does",
        fill_parser=deployment.fill_parity,
        run=deployment.parity,
    ),
    "latency": Command(
        summary="measure the speed of a trained model in every way to run it",
        fill_parser=deployment.fill_latency,
        run=deployment.latency,
    ),
    "serve": Command(
        summary="write a repository for OpenVINO Model Server",
        fill_parser=deployment.fill_serve,
        run=deployment.serve,
    ),
    "predict": Command(
        summary="score files with an exported model",
        fill_parser=deployment.fill_predict,
        run=deployment.predict,
        goes_on="the same command with --resume",
    ),
}

if __name__ == "__main__":
    sys.exit(main())
