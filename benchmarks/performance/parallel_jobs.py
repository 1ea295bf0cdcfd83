# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Compares two jobs at a time with one after the other: the same suite, each time into a store of its own.

    OMP_WAIT_POLICY=passive python benchmarks/performance/parallel_jobs.py benchmarks/quickstart.yaml --seeds "[0]"

What follows the suite's file goes to the command, so that a suite can be cut down. Whole commands are timed, report
included; the phantoms and the cache of prepared data are there after a first round that is not counted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from measuring import interleaved, publish, ratios

_WAYS = (["--runner", "in_process"], ["--runner", "processes", "--jobs", "2"])


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, help="Markdown file to write the table to")
    options, overrides = parser.parse_known_args()
    ways = [partial(run, options.suite, [*way, *overrides]) for way in _WAYS]
    one_after_the_other, two_at_a_time = interleaved(options.rounds, *ways)
    least, median, most = ratios(one_after_the_other.seconds, two_at_a_time.seconds)
    publish(
        "One job after the other, relative to two at a time",
        ["median", "least", "most"],
        [[f"{ratio:.2f}" for ratio in (median, least, most)]],
        f"{options.suite.name} {' '.join(overrides)}: whole commands, {options.rounds} rounds. Above 1, two jobs "
        "at a time are faster.",
        options.out,
    )


def run(suite: Path, arguments: list[str]) -> None:
    """Run a suite from nothing."""
    command = Path(sys.executable).with_name("anomalib-patchgan")
    with tempfile.TemporaryDirectory() as folder:
        places = ["--store", str(Path(folder) / "store"), "--report", str(Path(folder) / "report")]
        subprocess.run([command, "benchmark", suite, *places, *arguments], check=True, capture_output=True)


if __name__ == "__main__":
    main()
