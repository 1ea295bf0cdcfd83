# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Telling on the error stream how far a benchmark is: bars on a terminal, a line for each job elsewhere."""

import sys
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class ProgressDisplay(Protocol):
    """What the runner tells."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def say(self, text: str) -> None:
        """Print a line that stays."""

    def begin(self, jobs: int, done: int) -> None:
        """Say how many jobs there are and how many of them were done before."""

    def start(self, title: str) -> None:
        """A job, or the preparation of a data set, starts."""

    def step(self, stage: str, done: int, total: int) -> None:
        """What was started is in a stage, with some of its steps done."""

    def finish_job(self) -> None:
        """One more job is done."""


class BarDisplay:
    """A bar for the whole and one for the current job."""

    def __init__(self) -> None:
        # The stream is fixed here, since jobs redirect what is printed while they run.
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(file=sys.stderr),
        )
        self._whole = self._progress.add_task("jobs", total=None, visible=False)
        self._current = self._progress.add_task("", total=None, visible=False)
        self._title = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.update(self._current, visible=False)
        self._progress.stop()

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text, markup=False, highlight=False)

    def begin(self, jobs: int, done: int) -> None:
        """Show the bar of the whole."""
        self._progress.update(self._whole, total=jobs, completed=done, visible=True)

    def start(self, title: str) -> None:
        """Show the bar of the current job."""
        self._title = title
        # A new bar, since the old one cannot forget its total.
        self._progress.remove_task(self._current)
        self._current = self._progress.add_task(title, total=None)

    def step(self, stage: str, done: int, total: int) -> None:
        """Move the bar of the current job."""
        description = f"{self._title}: {stage}"
        self._progress.update(self._current, description=description, completed=done, total=total or None)

    def finish_job(self) -> None:
        """Move the bar of the whole."""
        self._progress.advance(self._whole)


class LineDisplay:
    """Plain lines, for logs."""

    def __init__(self) -> None:
        self._jobs = 0
        self._done = 0
        self._stream = sys.stderr

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def say(self, text: str) -> None:
        """Print a line, with the number of the current job where there is one."""
        number = f"[{self._done + 1}/{self._jobs}] " if self._done < self._jobs else ""
        print(f"{number}{text}", file=self._stream, flush=True)

    def begin(self, jobs: int, done: int) -> None:
        """Remember the numbers."""
        self._jobs, self._done = jobs, done

    def start(self, title: str) -> None:
        """Nothing: a line is printed when a job ends."""

    def step(self, stage: str, done: int, total: int) -> None:
        """Nothing: a line is printed when a job ends."""

    def finish_job(self) -> None:
        """Count."""
        self._done += 1


def make_display() -> ProgressDisplay:
    """Bars where the error stream is a terminal, lines where it is not."""
    return BarDisplay() if sys.stderr.isatty() else LineDisplay()
