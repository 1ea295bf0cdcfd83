# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Telling on the error stream how far a benchmark is: bars on a terminal, a line for each job elsewhere."""

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

Track = Callable[[str, int, int], None]
"""Called with a stage, the steps of it that are done, and all of them; 0 or less where that is not known."""


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

    def start(self, title: str) -> Track:
        """A job, or the preparation of a data set, starts; what is returned tells of its stages."""
        ...

    def end(self, title: str) -> None:
        """What was started under a title has ended."""

    def finish_job(self, text: str) -> None:
        """One more job is done, with an outcome."""


class BarDisplay:
    """A bar for the whole and one for everything that goes on."""

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
        self._current: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for title in list(self._current):
            self.end(title)
        self._progress.stop()

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text, markup=False, highlight=False)

    def begin(self, jobs: int, done: int) -> None:
        """Show the bar of the whole."""
        self._progress.update(self._whole, total=jobs, completed=done, visible=True)

    def start(self, title: str) -> Track:
        """Show a bar."""
        task = self._current[title] = self._progress.add_task(title, total=None)

        def track(stage: str, done: int, total: int) -> None:
            known = total if total > 0 else None
            self._progress.update(task, description=f"{title}: {stage}", completed=done, total=known)

        return track

    def end(self, title: str) -> None:
        """Remove its bar."""
        task = self._current.pop(title, None)
        if task is not None:
            self._progress.remove_task(task)

    def finish_job(self, text: str) -> None:
        """Print a line and move the bar of the whole."""
        self.say(text)
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
        """Print a line."""
        print(text, file=self._stream, flush=True)

    def begin(self, jobs: int, done: int) -> None:
        """Print the numbers, since the first job can take long, and remember them."""
        self._jobs, self._done = jobs, done
        self.say(f"{jobs - done} jobs to run, {done} done before")

    def start(self, title: str) -> Track:  # noqa: ARG002 - a line does without
        """Nothing: a line is printed when a job ends."""
        return lambda *_: None

    def end(self, title: str) -> None:
        """Nothing."""

    def finish_job(self, text: str) -> None:
        """Print a line with the number of the job."""
        self._done += 1
        self.say(f"[{self._done}/{self._jobs}] {text}")


def make_display() -> ProgressDisplay:
    """Bars where the error stream is a terminal, lines where it is not."""
    return BarDisplay() if sys.stderr.isatty() else LineDisplay()
