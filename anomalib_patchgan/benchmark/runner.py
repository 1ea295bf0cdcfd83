# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Running a suite in this process, one job after the other."""

import signal
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from anomalib_patchgan.benchmark.classes import Blueprint
from anomalib_patchgan.benchmark.datasets import prepare_data, summarise_data, write_phantoms
from anomalib_patchgan.benchmark.environment import describe_environment
from anomalib_patchgan.benchmark.plan import DataSummary, Job, describe_plan, make_jobs
from anomalib_patchgan.benchmark.progress import ProgressDisplay, make_display
from anomalib_patchgan.benchmark.suite import Suite, sentence
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.store import Run, Store

TO_RUN = "to run"
"""State of a job of the plan that has no result yet and is to get one."""


def run_suite(suite: Suite, command: str, retry_failed: bool = False) -> int:
    """Prepare the data, write the plan, run what has not run.

    Args:
        suite: The suite.
        command: The command line that regenerates the result, for the report.
        retry_failed: Whether jobs that failed before run again.

    Returns:
        The number of jobs of the plan that failed, now or before.

    Raises:
        InputError: Something in the suite or its data cannot be used; no job has run.
        KeyboardInterrupt: The user stopped it; what finished before is stored.
    """
    store = Store(suite.store_folder)
    store.clean()
    with make_display() as display:
        display.start("checking the suite")
        _check_classes_unless_done(suite, store, retry_failed)
        prepared = _prepare(suite, store, display)
        jobs = make_jobs(suite, prepared)
        pending = [job for job in jobs if _state(job, store, retry_failed) == TO_RUN]
        store.save_plan(describe_plan(suite, jobs, prepared, command))
        display.begin(len(jobs), len(jobs) - len(pending))
        for job in pending:
            _run_and_store(job, store, display)
    return sum(_state(job, store) == "failed" for job in jobs)


def planned_jobs(suite: Suite, retry_failed: bool = False) -> tuple[list[tuple[Job, str]], list[str]]:
    """Say what a run would do, without writing anything.

    Returns:
        Every job with what would become of it, and the names of data sets that have to be prepared before their jobs
        have keys.

    Raises:
        InputError: A model of a job that would run cannot be used.
    """
    store = Store(suite.store_folder)
    _check_classes_unless_done(suite, store, retry_failed)
    prepared = _known_data(suite, store)
    jobs = make_jobs(suite, prepared)
    table = [(job, _state(job, store, retry_failed)) for job in jobs]
    return table, [name for name in suite.data if name not in prepared]


def _prepare(suite: Suite, store: Store, display: ProgressDisplay) -> dict[str, DataSummary]:
    prepared = {}
    for name, entry in suite.data.items():
        display.start(f"preparing {name}")
        write_phantoms(name, entry, lambda done, total: display.step("writing phantoms", done, total))
        prepared[name] = prepare_data(
            name, entry, store, lambda done, total: display.step("reading the test set", done, total)
        )
    return prepared


def _state(job: Job, store: Store, retry_failed: bool = False) -> str:
    """``finished``, ``failed``, ``skipped`` or ``to run``; a result from where a skipped job could run counts."""
    status = store.run_status(job.key)
    if job.skip and status != "finished":
        return "skipped"
    return TO_RUN if status is None or (status == "failed" and retry_failed) else status


def _known_data(suite: Suite, store: Store) -> dict[str, DataSummary]:
    found = {name: summarise_data(name, entry, store) for name, entry in suite.data.items()}
    return {name: summary for name, summary in found.items() if summary}


def _check_classes_unless_done(suite: Suite, store: Store, retry_failed: bool) -> None:
    """Check every class and its arguments before anything is written, unless nothing is left to run.

    The check imports torch and anomalib, which takes longer than everything else that a second start does.
    """
    prepared = _known_data(suite, store)
    states = [_state(job, store, retry_failed) for job in make_jobs(suite, prepared)]
    if len(prepared) == len(suite.data) and TO_RUN not in states:
        return
    with warnings.catch_warnings():
        # Importing anomalib warns of its own deprecated parts.
        warnings.simplefilter("ignore")
        from anomalib_patchgan.benchmark.job import model_blueprint

        for name, entry in suite.data.items():
            Blueprint(entry.class_path, entry.init_args, f"data.{name}")
            if entry.phantoms:
                Blueprint(entry.phantoms.class_path, entry.phantoms.init_args, f"data.{name}.phantoms")
        for name, row in suite.models.items():
            # What a skipped row needs may not be installed here.
            for data in filter(row.runs_on, suite.data if not row.skip else ()):
                model_blueprint(name, row.class_path, row.arguments_for(data))


def _run_and_store(job: Job, store: Store, display: ProgressDisplay) -> None:
    from anomalib_patchgan.benchmark.job import run_job  # imports torch and anomalib

    display.start(job.title)
    started = perf_counter()
    try:
        with _interruptible():
            run = run_job(job, display.step)
    except Exception as error:  # noqa: BLE001 - whatever a model raises is its row in the report, not the suite's end
        run = _failed_run(job, error)
    store.save_run(run)
    seconds = perf_counter() - started
    outcome = run.status if run.error is None else f"{run.status}: {run.error}"
    display.say(f"{job.title}: {outcome} ({seconds:.1f} s)")
    display.finish_job()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C and `kill` end the suite: Lightning turns the one into an exit and would swallow the other."""
    handler: Any = signal.getsignal(signal.SIGINT)
    terminate: Any = None
    if threading.current_thread() is threading.main_thread():
        terminate = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            signal.signal(signal.SIGINT, handler)
            raise KeyboardInterrupt from error
        raise RuntimeError(f"the job called exit({error.code})") from error
    finally:
        if terminate is not None:
            signal.signal(signal.SIGTERM, terminate)


def _failed_run(job: Job, error: Exception) -> Run:
    message = sentence(error)
    return Run(
        key=job.key,
        model=job.model,
        role=job.role,
        note=job.note,
        model_class=job.model_class,
        model_arguments=job.model_arguments,
        data=job.data,
        data_key=job.data_key,
        protocol=job.protocol,
        seed=job.seed,
        status="failed",
        error=message if isinstance(error, InputError) else f"{type(error).__name__}: {message}".rstrip(": "),
        traceback="".join(traceback.format_exception(error)),
        threads=job.threads,
        budget=job.trainer,
        environment=describe_environment(),
    )
