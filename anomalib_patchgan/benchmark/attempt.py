# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""One attempt at a job: whatever a model raises becomes a failed run, which is a row of the report."""

import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import perf_counter
from typing import Any

from anomalib_patchgan.benchmark.environment import describe_environment
from anomalib_patchgan.benchmark.plan import Job
from anomalib_patchgan.benchmark.progress import Track
from anomalib_patchgan.errors import InputError, sentence
from anomalib_patchgan.quiet import without_warnings
from anomalib_patchgan.store import Run

Attempt = Callable[[Job, Track], Run]


def attempt_job(job: Job, track: Track) -> Run:
    """Run a job.

    Args:
        job: What to run.
        track: Called with a stage, the steps of it that are done, and all of them.

    Returns:
        The finished run, or the failed one with its traceback.

    Raises:
        KeyboardInterrupt: The user stopped it.
    """
    started = perf_counter()
    try:
        with without_warnings():
            from anomalib_patchgan.benchmark.job import run_job  # imports torch and anomalib

        with interruptible():
            run = run_job(job, track)
        # What the store would refuse has to be this job's failure and not the suite's.
        run.check()
        # Counted from here and not in the job, since the libraries' import belongs to the first job of a process.
        run.timings["total"] = perf_counter() - started
    except Exception as error:  # noqa: BLE001 - whatever a model raises is its row in the report, not the suite's end
        message = sentence(error)
        run = failed_run(
            job,
            message if isinstance(error, InputError) else f"{type(error).__name__}: {message}".rstrip(": "),
            "".join(traceback.format_exception(error)),
            perf_counter() - started,
        )
    _end_logged_run()
    return run


def failed_run(job: Job, error: str, trace: str | None, seconds: float | None = None) -> Run:
    """The row of a job that gave no result.

    Args:
        job: The job.
        error: What happened, in a sentence.
        trace: The traceback, where there is one.
        seconds: How long it had run, where that is known.
    """
    return Run(
        **job.identity(),
        status="failed",
        error=error,
        traceback=trace,
        budget=job.trainer,
        timings={} if seconds is None else {"total": seconds},
        environment=describe_environment(),
    )


def _end_logged_run() -> None:
    """End what a Weights & Biases logger began, or that of the next job in this process would go on with it."""
    wandb = sys.modules.get("wandb")
    # Whatever becomes of the log, the result stands.
    with suppress(Exception):
        if wandb is not None and wandb.run is not None:
            wandb.finish()


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end the suite, which Lightning turns into an exit, and no other exit of a model do so."""
    handler: Any = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            signal.signal(signal.SIGINT, handler)
            raise KeyboardInterrupt from error
        raise RuntimeError(f"the job called exit({error.code})") from error
