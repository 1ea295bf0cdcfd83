# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Compares first-time preparation of FLAIR and segmentation with mere decompression of the same files.

The baseline is ``gzip.decompress(path.read_bytes())`` of each file, in a pool of as many threads as preparation uses.
Both run in turn; the files are brain phantoms of 240 x 240 x 155 voxels, int16, as BraTS has them.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from measuring import interleaved, publish, ratios

from anomalib_patchgan.data.brats_layout import LESION_LABELS
from anomalib_patchgan.data.phantoms import BrainPhantoms
from anomalib_patchgan.data.preparation import available_cores, prepare_all
from anomalib_patchgan.data.volumes import prepare_intensities, prepare_lesions


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, help="phantoms that are there already, or where to keep them")
    parser.add_argument("--subjects", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, help="Markdown file to write the table to")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = options.root or Path(scratch) / "phantoms"
        BrainPhantoms(subjects=options.subjects, spacing=1.0).write(root)
        pairs = {
            path.parent.name: (path, path.with_name(path.name.replace("_flair", "_seg")))
            for path in sorted(root.rglob("*_flair.nii.gz"))
        }
        cache_dir = Path(scratch) / "cache"

        def decompress() -> None:
            with ThreadPoolExecutor(available_cores()) as pool:
                # As in a preparation nothing is kept: a volume is given up before the next is read.
                list(pool.map(lambda path: len(gzip.decompress(path.read_bytes())), sum(pairs.values(), ())))

        def prepare() -> None:
            prepare_all(pairs, lambda pair: prepare_pair(pair, cache_dir), "Preparing")

        def forget() -> None:
            shutil.rmtree(cache_dir, ignore_errors=True)

        decompression, preparation, _ = interleaved(options.rounds, decompress, prepare, forget)
    rows = []
    for clock, ours, theirs in (
        ("wall", preparation.seconds, decompression.seconds),
        ("processor", preparation.processor_seconds, decompression.processor_seconds),
    ):
        least, median, most = ratios(theirs, ours)
        rows.append([clock, *(f"{ratio:.2f}" for ratio in (median, least, most, min(theirs) / min(ours)))])
    publish(
        "Rate of preparation relative to mere decompression",
        ["clock", "median of the rounds", "least", "most", "ratio of the fastest rounds"],
        rows,
        f"{len(pairs)} subjects, FLAIR and segmentation, 240 x 240 x 155; {options.rounds} interleaved rounds. "
        "1.00 would be the rate of `gzip.decompress` of the same files in as many threads. Processor time is what both "
        "cost on a machine that other work keeps busy.",
        options.out,
    )


def prepare_pair(pair: tuple[Path, Path], cache_dir: Path) -> None:
    """Prepare the FLAIR volume and the segmentation of a subject."""
    prepare_intensities(pair[0], cache_dir)
    prepare_lesions(pair[1], cache_dir, LESION_LABELS)


if __name__ == "__main__":
    main()
