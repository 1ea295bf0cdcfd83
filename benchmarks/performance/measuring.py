# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What the performance scripts share: interleaved rounds, facts of the machine, a table in Markdown."""

from __future__ import annotations

import platform
import statistics
import sys
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING

from anomalib_patchgan.data.preparation import available_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


@dataclass
class Timing:
    """What a contender took in each round.

    Attributes:
        seconds: By the clock on the wall, which runs on while other work has the processor.
        processor_seconds: That all threads of this process were computing, in and out of the system.
    """

    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)


def interleaved(rounds: int, *contenders: Callable[[], object]) -> list[Timing]:
    """Time contenders in turn, so that what else the machine does falls on all of them.

    Args:
        rounds: How often each is timed, after one round that is not counted.
        contenders: What to time.

    Returns:
        The timing of each.
    """
    timings = [Timing() for _ in contenders]
    for number in range(rounds + 1):
        for own, contender in zip(timings, contenders, strict=True):
            start, processor_start = perf_counter(), process_time()
            contender()
            if number:
                own.seconds.append(perf_counter() - start)
                own.processor_seconds.append(process_time() - processor_start)
    return timings


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, float, float]:
    """Smallest, median and largest ratio of the rounds."""
    found = [upper / lower for upper, lower in zip(numerators, denominators, strict=True)]
    return min(found), statistics.median(found), max(found)


def machine_facts() -> str:
    """A line that says what the numbers were measured on."""
    return (
        f"{processor()}, {available_cores()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"numpy {version('numpy')}, nibabel {version('nibabel')}, isal {isal_version()}"
    )


def processor() -> str:
    """Name of the processor."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def isal_version() -> str:
    """Version of the optional decompressor."""
    try:
        return version("isal")
    except PackageNotFoundError:
        return "not installed"


def publish(title: str, header: Sequence[str], rows: Iterable[Sequence[str]], notes: str, out: Path | None) -> None:
    """Print a table and write it to a file, if one is named.

    Args:
        title: Heading.
        header: Names of the columns.
        rows: Cells.
        notes: Paragraph below the table.
        out: Markdown file, or None.
    """
    lines = [f"### {title}", "", "| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    text = "\n".join([*lines, "", notes, "", f"Measured on: {machine_facts()}.", ""])
    sys.stdout.write(text)
    if out is not None:
        out.write_text(text, encoding="utf-8")
