# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""How much of a start's time is the suite's own, and not training, testing or timing."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from anomalib_patchgan.store import Run

# Stages among a run's timings that are what the suite is started for.
_WORK = ("fit", "calibration", "test", "artefacts", "deployment")
_IN_JOBS = "in jobs"


class Overhead:
    """Adds up seconds of work and, by part, of what is the suite's own.

    Jobs that run side by side count one by one, as if each had been waited for.
    """

    def __init__(self) -> None:
        self.work = 0.0
        self.own: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the time of a block as the suite's own."""
        started = perf_counter()
        try:
            yield
        finally:
            self._add(name, perf_counter() - started)

    def add_run(self, run: Run) -> None:
        """Count the stages of a run as work and the rest of it as the suite's own.

        One that failed counts as neither, since it is not known in which stage.
        """
        if run.status != "finished":
            return
        work = sum(run.timings.get(stage, 0.0) for stage in _WORK)
        self.work += work
        self._add(_IN_JOBS, run.timings.get("total", work) - work)

    @property
    def share(self) -> float:
        """Share of the suite's own time in the whole."""
        own = sum(self.own.values())
        return own / (self.work + own) if own else 0.0

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.own.items())
        return (
            f"overhead: {100 * self.share:.1f} % of {self.work + sum(self.own.values()):.0f} s is neither training, "
            f"testing nor timing ({parts})"
        )

    def _add(self, name: str, seconds: float) -> None:
        self.own[name] = self.own.get(name, 0.0) + seconds
