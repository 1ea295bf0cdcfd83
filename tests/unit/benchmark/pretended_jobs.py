# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Jobs that need no model: what they do is in their model's arguments. Importable in child processes and on Ray."""

import ctypes
import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from anomalib_patchgan.benchmark.plan import Job
from anomalib_patchgan.benchmark.progress import LineDisplay
from anomalib_patchgan.store import Run


def make_job(number: int, **arguments) -> Job:
    return Job(
        key=f"{number:016x}",
        model=f"Model {number}",
        role="comparator",
        note="",
        model_class="package.Model",
        model_arguments=arguments,
        trainer={"max_epochs": 1},
        backends=[],
        data="brain",
        data_class="package.Data",
        data_arguments={"root": "absent"},
        data_key="d",
        protocol="slice",
        seed=number,
        threads=1,
    )


def pretend(job: Job, track) -> Run:
    """Draw scores from the seed, after a while, unless the job is one that takes its process down."""
    started = time.monotonic()
    track("epoch", 1, 3)
    arguments = job.model_arguments
    if "bar" in arguments:
        list(tqdm(range(3), disable=True))
    if "process" in arguments:
        (Path(arguments["process"]) / f"{job.seed}").write_text(str(os.getpid()))
    if "signal" in arguments:
        os.kill(os.getpid(), getattr(signal, arguments["signal"]))
    if "segmentation_fault" in arguments:
        ctypes.string_at(0)
    if "status" in arguments:
        sys.exit(arguments["status"])
    if "half_an_answer" in arguments:
        Connection._send = send_half
    time.sleep(arguments.get("seconds", 0.0))
    scores = np.random.default_rng(job.seed).normal(size=50).cumsum()
    return Run(
        key=job.key,
        model=job.model,
        role=job.role,
        note=job.note,
        model_class=job.model_class,
        model_arguments=arguments,
        data=job.data,
        data_key=job.data_key,
        protocol=job.protocol,
        seed=job.seed,
        status="finished",
        threads=job.threads,
        timings={"started": started, "ended": time.monotonic()},
        scores=pd.DataFrame({"sample_id": [str(index) for index in range(50)], "raw_score": scores}),
        maps=np.random.default_rng(job.seed).normal(size=(50, 4, 4)).astype(np.float16),
    )


def send_half(connection: Connection, message: bytes) -> None:
    """Be killed in the middle of a message, as where memory runs out while it is made."""
    os.write(connection.fileno(), message[: len(message) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


class Listener(LineDisplay):
    """Remembers what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.stages: list[tuple[str, str, int, int]] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def start(self, title: str):
        return lambda *stage: self.stages.append((title, *stage))


if __name__ == "__main__":
    # A suite of long jobs in children, for tests that kill it from outside.
    from pretended_jobs import pretend as importable

    from anomalib_patchgan.benchmark.runners import ProcessRunner

    jobs = [make_job(number, seconds=600.0, bar=True, process=sys.argv[1]) for number in range(2)]
    list(ProcessRunner(2).run(importable, jobs, LineDisplay()))
