# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""One job after the other in this process."""

from collections.abc import Generator, Sequence

from anomalib_patchgan.benchmark.attempt import Attempt
from anomalib_patchgan.benchmark.plan import Job
from anomalib_patchgan.benchmark.progress import ProgressDisplay
from anomalib_patchgan.store import Run


class InProcessRunner:
    """Runs jobs here; a job that takes the process down takes the suite down, which then goes on from there."""

    def run(self, attempt: Attempt, jobs: Sequence[Job], display: ProgressDisplay) -> Generator[Run]:
        """Run jobs, see :class:`~anomalib_patchgan.benchmark.runners.protocol.Runner`."""
        for job in jobs:
            yield attempt(job, display.start(job.title))
