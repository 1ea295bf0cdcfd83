# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Compares first-time preparation of FLAIR and segmentation with mere decompression of the same files.

The baseline is ``gzip.decompress(path.read_bytes())`` of each file, in a pool of as many threads as preparation uses.
The files are brain phantoms of 240 x 240 x 155 voxels, int16, as BraTS has them. Each pass runs in a process of its own
that has imported what it needs, in turn: what a preparation frees leaves the C library's allocator in a state in which
mere decompression takes half as long as it does alone. A second pass of the same process is shown beside the first.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from operator import attrgetter
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING

from measuring import Timing, publish, ratios

from anomalib_patchgan.data.brats_layout import LESION_LABELS
from anomalib_patchgan.data.phantoms import BrainPhantoms
from anomalib_patchgan.data.preparation import available_cores, prepare_all
from anomalib_patchgan.data.volumes import prepare_intensities, prepare_lesions

if TYPE_CHECKING:
    from collections.abc import Callable

_PASSES = ("first pass of a process", "second pass")
_CLOCKS = {"wall": attrgetter("seconds"), "processor": attrgetter("processor_seconds")}


def main() -> None:
    """Measure and publish, or run one contender and print its times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, help="phantoms that are there already, or where to keep them")
    parser.add_argument("--subjects", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, help="Markdown file to write the table to")
    parser.add_argument("--contender", choices=sorted(CONTENDERS), help="what to run in this process alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = options.root or Path(scratch) / "phantoms"
        if options.contender:
            json.dump(asdict(times(CONTENDERS[options.contender], root, Path(scratch) / "cache")), sys.stdout)
            return
        BrainPhantoms(subjects=options.subjects, spacing=1.0).write(root)
        found: dict[str, list[Timing]] = {name: [] for name in CONTENDERS}
        for number in range(options.rounds + 1):
            for name, rounds in found.items():
                command = [sys.executable, __file__, "--root", str(root), "--contender", name]
                printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                if number:
                    rounds.append(Timing(**json.loads(printed)))
    rows = []
    for which, name_of_pass in enumerate(_PASSES):
        for clock, passes_of in _CLOCKS.items():
            theirs, ours = ([passes_of(own)[which] for own in found[name]] for name in ("decompression", "preparation"))
            least, median, most = ratios(theirs, ours)
            numbers = (median, least, most, min(theirs) / min(ours))
            rows.append([name_of_pass, clock, *(f"{ratio:.2f}" for ratio in numbers)])
    publish(
        "Rate of preparation relative to mere decompression",
        ["", "clock", "median of the rounds", "least", "most", "ratio of the fastest rounds"],
        rows,
        f"{options.subjects} subjects, FLAIR and segmentation, 240 x 240 x 155; {options.rounds} rounds, each of a "
        "process that decompresses and one that prepares. 1.00 would be the rate of `gzip.decompress` of these files "
        "in as many threads. Processor time is what both cost on a machine that other work keeps busy.",
        options.out,
    )


def times(contender: Callable[[Pairs, Path], None], root: Path, cache_dir: Path) -> Timing:
    """What each pass of a contender takes."""
    pairs = {
        path.parent.name: (path, path.with_name(path.name.replace("_flair", "_seg")))
        for path in sorted(root.rglob("*_flair.nii.gz"))
    }
    timing = Timing()
    for _ in _PASSES:
        start, processor_start = perf_counter(), process_time()
        contender(pairs, cache_dir)
        timing.seconds.append(perf_counter() - start)
        timing.processor_seconds.append(process_time() - processor_start)
        shutil.rmtree(cache_dir, ignore_errors=True)
    return timing


def decompress(pairs: Pairs, _: Path) -> None:
    """Decompress every file, and keep nothing, as a preparation does."""
    with ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(lambda path: len(gzip.decompress(path.read_bytes())), sum(pairs.values(), ())))


def prepare(pairs: Pairs, cache_dir: Path) -> None:
    """Prepare the FLAIR volume and the segmentation of every subject."""
    prepare_all(pairs, lambda pair: prepare_pair(pair, cache_dir), "Preparing")


def prepare_pair(pair: tuple[Path, Path], cache_dir: Path) -> None:
    """Prepare the FLAIR volume and the segmentation of a subject."""
    prepare_intensities(pair[0], cache_dir)
    prepare_lesions(pair[1], cache_dir, LESION_LABELS)


Pairs = dict[str, tuple[Path, Path]]
CONTENDERS: dict[str, Callable[[Pairs, Path], None]] = {"decompression": decompress, "preparation": prepare}

if __name__ == "__main__":
    main()
