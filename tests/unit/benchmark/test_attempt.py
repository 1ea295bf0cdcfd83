# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import sys
from types import ModuleType

import pytest
from pretended_jobs import make_job, pretend

from anomalib_patchgan.benchmark.attempt import attempt_job
from anomalib_patchgan.errors import InputError


@pytest.fixture
def attempt_with(monkeypatch):
    """Attempt a job whose work is a function, without importing torch."""

    def attempt(work):
        module = ModuleType("job")
        module.run_job = work
        monkeypatch.setitem(sys.modules, "anomalib_patchgan.benchmark.job", module)
        return attempt_job(make_job(0), lambda *_: None)

    return attempt


def raising(error):
    def work(*_args):
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "MemoryError"),
        (ValueError("a\n b"), "ValueError: a b"),
        (InputError("models.A is x; expected y."), "models.A is x; expected y."),
        (SystemExit(3), "RuntimeError: the job called exit(3)"),
    ],
)
def test_whatever_a_job_raises_is_a_failed_run_with_its_traceback(attempt_with, error, message):
    run = attempt_with(raising(error))
    assert (run.status, run.error) == ("failed", message)
    assert "test_attempt.py" in run.traceback
    assert run.timings["total"] >= 0.0


def test_run_that_the_store_would_refuse_is_a_failed_run(attempt_with):
    def work(job, track):
        run = pretend(job, track)
        run.maps = run.maps[1:]
        return run

    assert "has 49 maps for 50 scores" in attempt_with(work).error


def test_interruption_ends_the_suite(attempt_with):
    with pytest.raises(KeyboardInterrupt):
        attempt_with(raising(KeyboardInterrupt()))


def test_interruption_that_lightning_turned_into_an_exit_ends_the_suite(attempt_with):
    def work(*_args):
        try:
            raise KeyboardInterrupt  # noqa: TRY301 - as Lightning meets it
        except KeyboardInterrupt:
            sys.exit(1)

    with pytest.raises(KeyboardInterrupt):
        attempt_with(work)


@pytest.mark.parametrize("work", [pretend, raising(ValueError("a"))])
def test_run_of_weights_and_biases_ends_with_its_job(attempt_with, monkeypatch, work):
    ended = []
    wandb = ModuleType("wandb")
    wandb.run = "that of this job"
    wandb.finish = lambda: ended.append(wandb.run)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    attempt_with(work)
    assert ended == ["that of this job"]


def test_log_that_cannot_be_ended_takes_no_result(attempt_with, monkeypatch):
    wandb = ModuleType("wandb")
    wandb.run = "that of this job"
    wandb.finish = raising(OSError("no space left"))
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    assert attempt_with(pretend).status == "finished"
