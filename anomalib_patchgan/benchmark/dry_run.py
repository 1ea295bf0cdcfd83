# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The plan as a table with an estimate of its time, without running anything."""

import json
from collections.abc import Iterable

import numpy as np
from rich.console import Console
from rich.table import Table

from anomalib_patchgan.benchmark.plan import Job
from anomalib_patchgan.benchmark.runner import TO_RUN, planned_jobs
from anomalib_patchgan.benchmark.suite import Suite
from anomalib_patchgan.store import Run


def print_plan(suite: Suite, retry_failed: bool) -> None:
    """Print every job of a suite, what would become of it, and how long those would take that run.

    Args:
        suite: The suite.
        retry_failed: Whether jobs that failed before would run again.

    Raises:
        InputError: A model of a job that would run cannot be used.
    """
    planned = planned_jobs(suite, retry_failed)
    console = Console()
    title = f"{suite.name}: {len(planned.states)} jobs with a key"
    table = Table("key", "data", "model", "role", "seed", "state", "estimate", title=title)
    estimates = {job.key: estimate_seconds(job, planned.known) for job, _ in planned.states}
    for job, state in planned.states:
        estimate = estimates[job.key]
        shown = "" if state != TO_RUN else "not known" if estimate is None else _duration(estimate)
        table.add_row(job.key, job.data, job.model, job.role, str(job.seed), state, shown)
    console.print(table)
    for name, row in suite.models.items():
        if row.skip:
            console.print(f"{name} is skipped: {row.skip}", highlight=False, markup=False)
    for name in planned.unprepared:
        count = sum(row.runs_on(name) for row in suite.models.values()) * len(suite.seeds_on(name))
        console.print(f"{name}: {count} jobs get their keys when its data are prepared", highlight=False)
    for job in planned.unmeasured:
        minutes = suite.trainer_of(job.model, job.data)["max_minutes"]
        seeds = len(suite.seeds_on(job.data))
        text = f"{job.model} on {job.data}: {seeds} jobs of {minutes:g} minutes of training each"
        console.print(f"{text} get their keys when its speed is measured", highlight=False)
    to_run = [estimates[job.key] for job, state in planned.states if state == TO_RUN]
    if to_run or not (planned.unprepared or planned.unmeasured):
        console.print(_total(to_run), highlight=False)


def estimate_seconds(job: Job, known: Iterable[Run]) -> float | None:
    """Mean time of finished runs that differ from a job in nothing but the seed and the software, or None.

    Args:
        job: The job.
        known: Runs with their timings.
    """
    kind = _kind(job.model_class, job.model_arguments, job.data, job.protocol, job.trainer, job.threads)
    seconds = [
        run.timings["total"]
        for run in known
        if run.status == "finished" and "total" in run.timings and _kind_of(run, job) == kind
    ]
    return float(np.mean(seconds)) if seconds else None


def _kind_of(run: Run, job: Job) -> str:
    # Beside what a training was allowed, a run keeps what it used.
    allowed = {key: value for key, value in run.budget.items() if key in job.trainer}
    return _kind(run.model_class, run.model_arguments, run.data, run.protocol, allowed, run.threads)


def _kind(*values: object) -> str:
    return json.dumps(values, sort_keys=True, default=str)


def _total(estimates: list[float | None]) -> str:
    known = [seconds for seconds in estimates if seconds is not None]
    if not estimates:
        return "estimate: nothing is left to run"
    if not known:
        return (
            f"estimate: nothing is known of the {len(estimates)} jobs to run, since none of their kind is in the store"
        )
    text = f"estimate: {_duration(sum(known))} of jobs, one after the other"
    missing = len(estimates) - len(known)
    return text + (f", and {missing} more of which nothing is known" if missing else "")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
