# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Compares an epoch over slices in random order: from the cache, and by ``nibabel.load(path).dataobj[..., k]``.

Both read the same slices in the same order and bring them to float32. The epoch from the cache is timed with as many
repetitions as make its time worth measuring, and counted once. That of nibabel decompresses the volume for each slice.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel
import numpy as np
from measuring import interleaved, publish, ratios

from anomalib_patchgan.data.phantoms import BrainPhantoms
from anomalib_patchgan.data.volumes import Window, prepare_intensities

if TYPE_CHECKING:
    from anomalib_patchgan.data.volumes import PreparedStack

_REPETITIONS = 20


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, help="phantoms that are there already, or where to keep them")
    parser.add_argument("--subjects", type=int, default=8)
    parser.add_argument("--slices", type=int, default=64, help="slices of an epoch, drawn from all subjects")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="Markdown file to write the table to")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = options.root or Path(scratch) / "phantoms"
        BrainPhantoms(subjects=options.subjects, spacing=1.0).write(root)
        paths = sorted(root.rglob("*_flair.nii.gz"))
        stacks = [prepare_intensities(path, Path(scratch) / "cache") for path in paths]
        generator = np.random.default_rng(0)
        epoch = [
            (int(generator.integers(len(paths))), int(generator.integers(stacks[0].shape[0])))
            for _ in range(options.slices)
        ]

        def from_cache() -> None:
            for _ in range(_REPETITIONS):
                for subject, index in epoch:
                    read_prepared(stacks[subject], index)

        def by_nibabel() -> None:
            for subject, index in epoch:
                np.asarray(nibabel.load(paths[subject]).dataobj[..., index], dtype=np.float32)

        nibabels, repeated = interleaved(options.rounds, by_nibabel, from_cache)
    cached = [seconds / _REPETITIONS for seconds in repeated.seconds]
    least, median, most = ratios(nibabels.seconds, cached)
    publish(
        "An epoch over slices: how many times faster than nibabel a slice",
        ["median of the rounds", "least", "most"],
        [[f"{median:.0f}", f"{least:.0f}", f"{most:.0f}"]],
        f"{options.slices} slices of {len(paths)} FLAIR volumes of 240 x 240 x 155, in random order, whole slices in "
        f"float32; {options.rounds} interleaved rounds. The files of both are in the system's page cache.",
        options.out,
    )


def read_prepared(stack: PreparedStack, index: int) -> None:
    """Read a whole slice as a dataset does."""
    stack.read_intensities(index, Window(0, 0, stack.shape[1], stack.shape[2]))


if __name__ == "__main__":
    main()
