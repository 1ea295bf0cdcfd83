# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Running a suite: prepare the data, write the plan, have a runner run what has not run, store what comes back."""

import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from anomalib_patchgan.benchmark.attempt import attempt_job, interruptible
from anomalib_patchgan.benchmark.budget import Speed
from anomalib_patchgan.benchmark.datasets import prepare_data, summarise_data, write_phantoms
from anomalib_patchgan.benchmark.overhead import Overhead
from anomalib_patchgan.benchmark.plan import DataSummary, Job, describe_plan, make_jobs, unmeasured_jobs
from anomalib_patchgan.benchmark.progress import ProgressDisplay, make_display
from anomalib_patchgan.benchmark.runners import Runner
from anomalib_patchgan.benchmark.suite import Suite
from anomalib_patchgan.errors import InputError, sentence
from anomalib_patchgan.store import CannotWriteError, Run, Store

TO_RUN = "to run"
"""State of a job of the plan that has no result yet and is to get one."""
SKIPPED = "skipped"
"""State of a job that has no result, whose row says why it does not run here."""


@dataclass
class Outcome:
    """What came of a start.

    Attributes:
        failed: Jobs of the plan that failed, now or before.
        ran: Jobs that ran now.
        overhead: What the time was spent on.
    """

    failed: int = 0
    ran: int = 0
    overhead: Overhead = field(default_factory=Overhead)


def run_suite(
    suite: Suite, command: str, runner: Runner, *, retry_failed: bool = False, fail_fast: bool = False
) -> Outcome:
    """Prepare the data, write the plan, run what has not run.

    Args:
        suite: The suite.
        command: The command line that regenerates the result, for the report.
        runner: Where the jobs run.
        retry_failed: Whether jobs that failed before run again.
        fail_fast: Whether the first job that fails is the last one that runs.

    Returns:
        What came of it.

    Raises:
        InputError: Something in the suite or its data cannot be used and no job has run, or the store cannot be
            written; what finished before is stored.
        KeyboardInterrupt: The user stopped it; what finished before is stored.
    """
    outcome = Outcome()
    store = Store(suite.store_folder)
    with make_display() as display:
        checking = "checking the suite"
        display.start(checking)
        with outcome.overhead.part("importing and checking"):
            _check_classes_unless_done(suite, store, retry_failed)
        display.end(checking)
        with store.locked():
            with outcome.overhead.part("phantoms"):
                store.clean()
                _write_phantoms(suite, display)
            with outcome.overhead.part("preparing"):
                prepared = _prepare(suite, store, display)
                speeds = _speeds(suite, store, prepared, display)
                jobs = make_jobs(suite, prepared, speeds)
                store.save_plan(describe_plan(suite, jobs, prepared, speeds, command))
            states = [_state(job, store, retry_failed) for job in jobs]
            pending = [job for job, state in zip(jobs, states, strict=True) if state == TO_RUN]
            for name, row in suite.models.items():
                if row.skip:
                    display.say(f"{name} is skipped: {row.skip}")
            counted = len(jobs) - states.count(SKIPPED)
            display.begin(counted, counted - len(pending))
            if pending:
                _run(runner, pending, store, display, outcome, fail_fast)
            outcome.failed = sum(_state(job, store) == "failed" for job in jobs)
    return outcome


@dataclass(frozen=True)
class PlannedJobs:
    """What a run would do.

    Attributes:
        states: Every job that has a key, with what would become of it.
        unprepared: Names of data sets that have to be prepared before their jobs have keys.
        unmeasured: One job of each row whose speed has to be measured before its jobs have keys.
        known: Runs in the store, without their tables, of this plan or another.
    """

    states: list[tuple[Job, str]]
    unprepared: list[str]
    unmeasured: list[Job]
    known: list[Run]


def planned_jobs(suite: Suite, retry_failed: bool = False) -> PlannedJobs:
    """Say what a run would do, without writing anything.

    Raises:
        InputError: A model of a job that would run cannot be used.
    """
    store = Store(suite.store_folder)
    _check_classes_unless_done(suite, store, retry_failed)
    prepared = _known_data(suite, store)
    speeds = _known_speeds(store)
    return PlannedJobs(
        states=[(job, _state(job, store, retry_failed)) for job in make_jobs(suite, prepared, speeds)],
        unprepared=[name for name in suite.data if name not in prepared],
        unmeasured=list(unmeasured_jobs(suite, prepared, speeds).values()),
        known=list(store.summaries()),
    )


def _run(
    runner: Runner, pending: Sequence[Job], store: Store, display: ProgressDisplay, outcome: Outcome, fail_fast: bool
) -> None:
    titles = {job.key: job.title for job in pending}
    with closing(runner.run(attempt_job, pending, display)) as runs:
        for run in runs:
            with outcome.overhead.part("storing"):
                _save(run, store)
            outcome.overhead.add_run(run)
            outcome.ran += 1
            title = titles[run.key]
            display.end(title)
            took = f" ({run.timings['total']:.1f} s)" if "total" in run.timings else ""
            display.finish_job(f"{title}: {run.status}{f': {run.error}' if run.error else ''}{took}")
            if fail_fast and run.status == "failed":
                return


def _save(run: Run, store: Store) -> None:
    try:
        store.save_run(run)
    except CannotWriteError as error:
        raise InputError(
            f"{error} {_rescue(run)} What finished before is stored, and the same command goes on once it can write."
        ) from error


def _rescue(run: Run) -> str:
    """Keep a result that the store does not take where temporary files go, rather than lose it."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="anomalib-patchgan-rescued-"))
        Store(folder).save_run(run)
    except (CannotWriteError, OSError):
        return "The result is lost, since there is no room for it elsewhere either."
    return f"The result is in {folder / 'jobs' / run.key}, to be moved there."


def _write_phantoms(suite: Suite, display: ProgressDisplay) -> None:
    for name, entry in suite.data.items():
        title = f"preparing {name}"
        write_phantoms(name, entry, partial(display.start(title), "writing phantoms"))
        display.end(title)


def _prepare(suite: Suite, store: Store, display: ProgressDisplay) -> dict[str, DataSummary]:
    prepared = {}
    for name, entry in suite.data.items():
        title = f"preparing {name}"
        prepared[name] = prepare_data(name, entry, store, partial(display.start(title), "reading the test set"))
        display.end(title)
    return prepared


def _state(job: Job, store: Store, retry_failed: bool = False) -> str:
    """``finished``, ``failed``, ``skipped`` or ``to run``; a result from where a skipped job could run counts."""
    status = store.run_status(job.key)
    if job.skip and status != "finished":
        return SKIPPED
    return TO_RUN if status is None or (status == "failed" and retry_failed) else status


def _known_data(suite: Suite, store: Store) -> dict[str, DataSummary]:
    found = {name: summarise_data(name, entry, store) for name, entry in suite.data.items()}
    return {name: summary for name, summary in found.items() if summary}


def _known_speeds(store: Store) -> dict[str, Speed]:
    """Speeds that an earlier plan was made with."""
    speeds = store.load_plan().get("speeds", {}) if store.has_plan() else {}
    return {key: Speed(**speed) for key, speed in speeds.items()}


def _speeds(suite: Suite, store: Store, prepared: dict[str, DataSummary], display: ProgressDisplay) -> dict[str, Speed]:
    """Speeds of every row with a budget in minutes, measured where no earlier plan has them."""
    speeds = _known_speeds(store)
    for key, job in unmeasured_jobs(suite, prepared, speeds).items():
        from anomalib_patchgan.benchmark.speed import measure_speed  # imports torch and anomalib

        title = f"{job.model} on {job.data}"
        try:
            with interruptible():
                speeds[key] = measure_speed(job, display.start(title))
        except InputError:
            raise
        except Exception as error:
            message = f"{title}: its speed cannot be measured ({type(error).__name__}: {sentence(error)})"
            raise InputError(f"{message}; expected a training that runs, or max_epochs or max_steps.") from error
        display.end(title)
        display.say(
            f"{title}: {speeds[key].steps_per_second:.3g} steps a second, by which minutes are turned into steps"
        )
    return speeds


def _check_classes_unless_done(suite: Suite, store: Store, retry_failed: bool) -> None:
    """Check every class and its arguments before anything is written, unless nothing is left to run.

    The check imports torch and anomalib, which takes longer than everything else that a second start does.
    """
    prepared, speeds = _known_data(suite, store), _known_speeds(store)
    states = [_state(job, store, retry_failed) for job in make_jobs(suite, prepared, speeds)]
    measured = not unmeasured_jobs(suite, prepared, speeds)
    if len(prepared) == len(suite.data) and measured and TO_RUN not in states:
        return
    from anomalib_patchgan.benchmark.checks import check_classes

    check_classes(suite)
