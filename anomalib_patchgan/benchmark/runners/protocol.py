# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What every runner does."""

from collections.abc import Generator, Sequence
from typing import Protocol

from anomalib_patchgan.benchmark.attempt import Attempt
from anomalib_patchgan.benchmark.plan import Job
from anomalib_patchgan.benchmark.progress import ProgressDisplay
from anomalib_patchgan.store import Run


class Runner(Protocol):
    """Runs jobs somewhere."""

    def run(self, attempt: Attempt, jobs: Sequence[Job], display: ProgressDisplay) -> Generator[Run]:
        """Run jobs.

        Args:
            attempt: Runs one job and returns its run, finished or failed; an importable function.
            jobs: The jobs, at least one.
            display: Is told of each job that starts, and of its stages where they are known.

        Yields:
            One run for each job, as they end. Closing the generator stops the jobs that are running.
        """
