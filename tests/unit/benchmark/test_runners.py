# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pretended_jobs
import pytest
from pretended_jobs import Listener, make_job, pretend

from anomalib_patchgan.benchmark.runners import InProcessRunner, ProcessRunner, make_runner, processes
from anomalib_patchgan.errors import InputError


@pytest.fixture
def cores(monkeypatch):
    """Two cores, however many there are."""
    monkeypatch.setattr(processes, "usable_cores", lambda: 2)


def run_all(runner, jobs):
    listener = Listener()
    runs = {run.key: run for run in runner.run(pretend, jobs, listener)}
    return runs, listener


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_processes_give_the_scores_that_this_process_gives_and_a_crash_fails_its_own_job_alone(cores):
    jobs = [make_job(number) for number in range(5)]
    jobs.insert(1, make_job(10, signal="SIGKILL"))
    jobs.insert(2, make_job(11, segmentation_fault=True))
    jobs.insert(3, make_job(12, status=3))
    runs, listener = run_all(ProcessRunner(2), jobs)
    here, _ = run_all(InProcessRunner(), [job for job in jobs if job.seed < 10])
    for key, run in here.items():
        assert runs[key].scores["raw_score"].tolist() == run.scores["raw_score"].tolist()
        assert runs[key].maps.tobytes() == run.maps.tobytes()
    crashed = {key: run for key, run in runs.items() if key not in here}
    errors = {run.seed: (run.status, run.error) for run in crashed.values()}
    assert {status for status, _ in errors.values()} == {"failed"}
    assert "was killed by SIGKILL, as the system does when memory runs out, after" in errors[10][1]
    assert "was killed by SIGSEGV after" in errors[11][1]
    assert "ended with status 3 after" in errors[12][1]
    assert all("last seen at: epoch 1 of 3" in error for _, error in errors.values())
    assert "pretended_jobs.py" in crashed[make_job(11).key].traceback
    assert ("Model 0 on brain, seed 0", "epoch", 1, 3) in listener.stages


def test_child_that_is_killed_while_it_hands_its_run_over_fails_its_own_job_alone(cores):
    runs, _ = run_all(ProcessRunner(1), [make_job(0, half_an_answer=True), make_job(1)])
    status = {run.seed: run.status for run in runs.values()}
    assert status == {0: "failed", 1: "finished"}
    assert "was killed by SIGKILL" in runs[make_job(0).key].error


def test_jobs_that_the_cores_do_not_carry_side_by_side_run_one_after_the_other(cores):
    jobs = [make_job(number, seconds=0.3) for number in range(2)]
    for job in jobs:
        object.__setattr__(job, "threads", 2)
    runs, listener = run_all(ProcessRunner(2), jobs)
    first, second = sorted((run.timings["started"], run.timings["ended"]) for run in runs.values())
    assert first[1] <= second[0]
    assert listener.said == [
        "2 jobs of 2 threads need 4 cores and there are 2, so 1 at a time; --threads 1 fits, as another plan"
    ]


def test_jobs_run_side_by_side_and_end_when_the_generator_is_closed(cores, tmp_path):
    jobs = [make_job(0), *(make_job(number, seconds=600.0, process=str(tmp_path)) for number in (1, 2))]
    started = time.monotonic()
    with closing(ProcessRunner(2).run(pretend, jobs, Listener())) as runs:
        assert next(runs).seed == 0
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    assert time.monotonic() - started < 300
    assert not any(alive(int(path.read_text())) for path in tmp_path.iterdir())


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_children_end_with_a_suite_that_is_stopped_or_killed(tmp_path, sent):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    suite = subprocess.Popen(
        [sys.executable, pretended_jobs.__file__, str(tmp_path)],
        env=environment,
        stderr=subprocess.PIPE,
        # What is started in the background of a shell does not see Ctrl-C.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        expected = min(2, processes.usable_cores())
        wait_for(lambda: len([path for path in tmp_path.iterdir() if path.read_text()]) == expected)
        suite.send_signal(sent)
        assert suite.wait(timeout=30) != 0
        # Ends with the last process that could write to it.
        assert b"leaked" not in suite.communicate(timeout=30)[1]
    finally:
        suite.kill()
    wait_for(lambda: not any(alive(int(path.read_text())) for path in tmp_path.iterdir()), seconds=30)


def test_progress_of_a_job_here_is_told(cores):
    _, listener = run_all(InProcessRunner(), [make_job(4)])
    assert listener.stages == [("Model 4 on brain, seed 4", "epoch", 1, 3)]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("in_process", {"jobs": 2}, "--jobs does not go with --runner in_process; expected --runner processes."),
        (
            "processes",
            {"ray_address": "auto"},
            "--ray-address does not go with --runner processes; expected --runner ray",
        ),
        ("processes", {"jobs": 0}, "--jobs is 0; expected a positive number."),
    ],
)
def test_option_that_does_not_fit_a_runner_is_a_sentence(name, options, message):
    with pytest.raises(InputError, match=message):
        make_runner(name, **options)


def test_options_that_are_not_given_fit_every_runner():
    assert isinstance(make_runner("in_process", jobs=None, ray_address=None), InProcessRunner)
