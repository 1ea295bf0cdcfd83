# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The plan as a table, without running anything."""

from rich.console import Console
from rich.table import Table

from anomalib_patchgan.benchmark.runner import planned_jobs
from anomalib_patchgan.benchmark.suite import Suite


def print_plan(suite: Suite, retry_failed: bool) -> None:
    """Print every job of a suite and what would become of it.

    Args:
        suite: The suite.
        retry_failed: Whether jobs that failed before would run again.

    Raises:
        InputError: A model of a job that would run cannot be used.
    """
    jobs, unprepared = planned_jobs(suite, retry_failed)
    console = Console()
    table = Table("key", "data", "model", "role", "seed", "state", title=f"{suite.name}: {len(jobs)} jobs with a key")
    for job, state in jobs:
        table.add_row(job.key, job.data, job.model, job.role, str(job.seed), state)
    console.print(table)
    for name in unprepared:
        count = sum(row.runs_on(name) for row in suite.models.values()) * len(suite.seeds)
        console.print(f"{name}: {count} jobs get their keys when its data are prepared", highlight=False)
