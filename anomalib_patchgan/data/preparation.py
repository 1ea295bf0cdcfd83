# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Preparing a whole collection: in parallel, with a bar, and without ending at the first damaged file."""

from __future__ import annotations

import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from anomalib_patchgan.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")

logger = logging.getLogger(__name__)

# In seconds; a thread that comes back from work without the interpreter lock would else wait 5 ms for it.
_SWITCH_INTERVAL = 1e-3
# One damaged file of a hundred is an accident; more than that is another kind of collection than was expected.
_TOLERATED_SHARE = 0.01


@dataclass(frozen=True)
class Preparation(Generic[Outcome]):
    """What came of preparing a collection.

    Attributes:
        prepared: The outcome of each job that went well, by name, in the order of the jobs.
        findings: What was wrong with each of the others, by name: a sentence that names the file.
    """

    prepared: dict[str, Outcome]
    findings: dict[str, str]

    def check(self, strict: bool) -> None:
        """Refuse a collection of which too much is damaged.

        Args:
            strict: Whether one damaged file is too much; else one in a hundred subjects is borne.

        Raises:
            InputError: If too many jobs failed; the message is the first finding.
        """
        if not self.findings:
            return
        count, total = len(self.findings), len(self.findings) + len(self.prepared)
        if not strict and count <= _TOLERATED_SHARE * total:
            return
        borne = "none, as `strict` asks" if strict else f"at most {_TOLERATED_SHARE:.0%}"
        first = next(iter(self.findings.values()))
        raise InputError(
            f"{first} {count} of {total} could not be used ({', '.join(list(self.findings)[:10])}"
            f"{', ...' if count > 10 else ''}), expected {borne}; mend them or name them in `exclude`."
        )


def prepare_all(jobs: Mapping[str, Job], prepare: Callable[[Job], Outcome], description: str) -> Preparation[Outcome]:
    """Run ``prepare`` on every job, on all cores, and keep the order; show a bar on a terminal.

    Decompression and most of numpy release the interpreter lock, so threads are enough. Each finding is logged as a
    warning.

    Args:
        jobs: What there is to do, by name.
        prepare: Does one job; an ``InputError`` becomes a finding, any other exception ends the preparation.
        description: Text before the bar.
    """
    if not jobs:
        return Preparation({}, {})
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    prepared: dict[str, Outcome] = {}
    findings: dict[str, str] = {}
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
        _frequent_switches(),
        ThreadPoolExecutor(max_workers=available_cores()) as pool,
    ):
        futures = {name: pool.submit(prepare, job) for name, job in jobs.items()}
        try:
            for name, future in progress.track(futures.items(), description=description):
                try:
                    prepared[name] = future.result()
                except InputError as error:
                    findings[name] = str(error)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    for finding in findings.values():
        logger.warning("%s", finding)
    return Preparation(prepared, findings)


@contextmanager
def _frequent_switches() -> Iterator[None]:
    """Let threads take turns more often than by default."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_INTERVAL)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def available_cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
