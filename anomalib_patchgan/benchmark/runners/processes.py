# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Several jobs at a time, each in a child process of its own."""

import faulthandler
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from time import perf_counter

from anomalib_patchgan.benchmark.attempt import Attempt, failed_run
from anomalib_patchgan.benchmark.environment import usable_cores
from anomalib_patchgan.benchmark.plan import Job
from anomalib_patchgan.benchmark.progress import ProgressDisplay, Track
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.store import Run

_SPAWN = multiprocessing.get_context("spawn")
# A child that crashed has ended when its pipe closes; it only has to be waited for.
_GRACE_SECONDS = 10


class ProcessRunner:
    """Runs jobs in spawned processes, each of which takes the next job when it is done with one.

    Threads of a job belong to the plan. So there are never more processes than the cores can give that many threads, as
    two jobs that fight for the same cores are slower than one after the other.

    Args:
        jobs: Jobs at a time; as many as the cores carry when not given.

    Raises:
        InputError: The number of jobs is not positive.
    """

    def __init__(self, jobs: int | None = None) -> None:
        if jobs is not None and jobs < 1:
            raise InputError(f"--jobs is {jobs}; expected a positive number.")
        self._jobs = jobs

    def run(self, attempt: Attempt, jobs: Sequence[Job], display: ProgressDisplay) -> Generator[Run]:
        """Run jobs, see :class:`~anomalib_patchgan.benchmark.runners.protocol.Runner`.

        A child that crashes fails its job with what is known; another child takes its place.
        """
        count = self._processes(max(job.threads for job in jobs), display)
        waiting = list(reversed(jobs))
        workers: list[_Worker] = []
        with tempfile.TemporaryDirectory(prefix="anomalib-patchgan-") as folder:
            try:
                while waiting or workers:
                    while waiting and len(workers) < count:
                        worker = _Worker(attempt, Path(folder) / f"worker-{len(waiting)}")
                        workers.append(worker)
                        worker.start(waiting.pop(), display)
                    ready = wait([worker.connection for worker in workers])
                    for worker in [worker for worker in workers if worker.connection in ready]:
                        run = worker.receive()
                        if run is None:
                            continue
                        goes_on = worker.alive and bool(waiting)
                        if goes_on:
                            worker.start(waiting.pop(), display)
                        yield run
                        if not goes_on:
                            worker.end()
                            workers.remove(worker)
            finally:
                for worker in workers:
                    worker.kill()

    def _processes(self, threads: int, display: ProgressDisplay) -> int:
        fitting = max(1, usable_cores() // threads)
        asked = self._jobs or fitting
        if asked > fitting:
            display.say(
                f"{asked} jobs of {threads} threads need {asked * threads} cores and there are {usable_cores()}, so "
                f"{fitting} at a time; --threads {max(1, usable_cores() // asked)} fits, as another plan"
            )
        return min(asked, fitting)


@dataclass
class _Task:
    """What a worker is doing."""

    job: Job
    track: Track
    started: float
    stage: str = "starting"


class _Worker:
    """A child process, seen from the parent."""

    def __init__(self, attempt: Attempt, folder: Path) -> None:
        folder.mkdir()
        self._crash_log = folder / "crash.log"
        self.connection, remote = _SPAWN.Pipe()
        self._process: SpawnProcess = _SPAWN.Process(target=_work, args=(remote, attempt, folder, self._crash_log))
        self._process.start()
        # Only the child holds its end now, so that its death closes the pipe.
        remote.close()
        self._task: _Task | None = None
        self.alive = True

    def start(self, job: Job, display: ProgressDisplay) -> None:
        """Hand a job to the child."""
        self._task = _Task(job, display.start(job.title), perf_counter())
        # A child that has died meanwhile is seen when its answer is read.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(job)

    def receive(self) -> Run | None:
        """Read what the child says: the run when the job has ended, else None."""
        task = self._task
        assert task is not None  # noqa: S101 - only workers with a job are read
        try:
            message = self.connection.recv()
        # A child that is killed in the middle of a message leaves a bare OSError.
        except (EOFError, OSError):
            self.alive = False
            return self._crashed(task)
        if isinstance(message, Run):
            return message
        task.track(*message)
        task.stage = "{} {} of {}".format(*message)
        return None

    def end(self) -> None:
        """Let the child go; it has nothing to do."""
        self.connection.close()
        self._process.join(_GRACE_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the child at once, whatever it is doing."""
        self.connection.close()
        self._process.kill()
        self._process.join()

    def _crashed(self, task: _Task) -> Run:
        self._process.join(_GRACE_SECONDS)
        seconds = perf_counter() - task.started
        how = _describe_exit(self._process.exitcode)
        trace = self._crash_log.read_text(encoding="utf-8", errors="replace") if self._crash_log.exists() else ""
        error = f"The job's process {how} after {seconds:.0f} s, last seen at: {task.stage}."
        return failed_run(task.job, error, trace or None, seconds)


def _describe_exit(code: int | None) -> str:
    if code is None or code >= 0:
        return f"ended with status {code}"
    name = signal.Signals(-code).name
    reason = ", as the system does when memory runs out," if name == "SIGKILL" else ""
    return f"was killed by {name}{reason}"


def _work(connection: Connection, attempt: Attempt, folder: Path, crash_log: Path) -> None:
    """What a child does: a job, its run, the next job, until the parent closes the pipe."""
    # Ctrl-C reaches every process of a terminal; the parent alone decides what becomes of its children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _keep_no_semaphore()
    # What a killed child leaves behind lies where the parent cleans up.
    tempfile.tempdir = str(folder)
    with crash_log.open("w", encoding="utf-8") as log:
        faulthandler.enable(log)
        with suppress(EOFError, BrokenPipeError, ConnectionResetError):
            while True:
                job = connection.recv()
                connection.send(attempt(job, lambda *step: connection.send(step)))


def _keep_no_semaphore() -> None:
    # tqdm's bars, shown or not, share one among processes. A child that is killed leaves it, and Python warns of that.
    with suppress(ImportError):
        from tqdm import tqdm

        tqdm.set_lock(threading.RLock())


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
