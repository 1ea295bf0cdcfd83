# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Measures the memory of preparing and reading more and more subjects (FLAIR), each number in a process of its own.

A process sets up ``BraTS2019`` with a fresh cache and reads an epoch of its training data. What counts is anonymous
memory (``RssAnon``), which the system cannot take back; mapped pages of the cache (``RssFile``) it can. Linux only.

The volumes are ellipsoids of blocks with intensities of their own, 240 x 240 x 155 voxels by default: quick to make,
and unlike enough not to be refused as duplicates. They are no brain phantoms, and are for this measurement only.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
from measuring import publish

# Size in mm of every volume, along the axes of the file.
_FIELD = (240.0, 240.0, 155.0)
# Blocks of one intensity along these axes.
_BLOCKS = (40, 40, 25)
_MEBI = 1024


def main() -> None:
    """Write volumes, measure each number of subjects in a process of its own, and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, nargs="+", default=[10, 100, 400])
    parser.add_argument("--shape", type=int, nargs=3, default=[240, 240, 155])
    parser.add_argument("--out", type=Path, help="Markdown file to write the table to")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        sys.stdout.write(json.dumps(measure(options.measure)))
        return
    shape = tuple(options.shape)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        numbers = sorted(options.subjects)
        volumes = Path(scratch) / "volumes"
        with ThreadPoolExecutor() as pool:
            list(pool.map(partial(write_subject, volumes, shape), range(numbers[-1])))
        for count in numbers:
            root = Path(scratch) / str(count) / "tree"
            for folder in sorted(volumes.iterdir())[:count]:
                place = root / ("LGG" if int(folder.name.split("_")[2]) % 3 == 2 else "HGG")
                place.mkdir(parents=True, exist_ok=True)
                (place / folder.name).symlink_to(folder, target_is_directory=True)
            rows.append([str(count), *measured(root)])
    publish(
        "Memory by the number of subjects",
        ["subjects", "start, anonymous (MiB)", "peak, anonymous (MiB)", "peak, mapped files (MiB)", "samples read"],
        rows,
        f"BraTS2019 (FLAIR, protocol slice), set up with a fresh cache, then one epoch of training data; volumes of "
        f"{' x '.join(map(str, shape))}. `start` is after the imports. Mapped pages can be taken back at any time.",
        options.out,
    )


def write_subject(volumes: Path, shape: tuple[int, int, int], number: int) -> None:
    """Write FLAIR and segmentation of an ellipsoid of blocks, each of its own intensity, with a ball in it."""
    generator = np.random.default_rng(number)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, size, dtype=np.float32) for size in shape), indexing="ij", sparse=True)
    brain = (x / 0.65) ** 2 + (y / 0.8) ** 2 + (z / 0.85) ** 2 < 1
    blocks = generator.integers(300, 900, _BLOCKS, dtype=np.int16)
    texture = blocks[np.ix_(*(np.arange(size) * count // size for size, count in zip(shape, _BLOCKS, strict=True)))]
    lesion = ((x - 0.3) ** 2 + y**2 + (z - generator.uniform(-0.4, 0.4)) ** 2 < 0.25**2) & brain
    affine = np.diag([*(np.divide(_FIELD, shape) * (-1, -1, 1)), 1.0])
    name = f"BraTS19_X_{number:03d}_1"
    folder = volumes / name
    folder.mkdir(parents=True)
    for what, voxels in (("flair", (texture + np.int16(300) * lesion) * brain), ("seg", 2 * lesion)):
        image = nibabel.Nifti1Image(voxels.astype(np.int16), affine)
        content = gzip.compress(image.to_bytes(), compresslevel=1)
        (folder / f"{name}_{what}.nii.gz").write_bytes(content)


def measured(root: Path) -> list[str]:
    """Measure in a fresh process; what one process took must not be counted for the next."""
    command = [sys.executable, __file__, "--measure", str(root)]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return [
        f"{found['start'] / _MEBI:.0f}",
        f"{found['anon'] / _MEBI:.0f}",
        f"{found['file'] / _MEBI:.0f}",
        str(found["samples"]),
    ]


def measure(root: Path) -> dict[str, int]:
    """Set up and read an epoch, watching the memory.

    Returns:
        Anonymous memory at the start, largest anonymous and largest mapped memory, in KiB, and the samples read.
    """
    from anomalib_patchgan.data import BraTS2019

    start = resident()[0]
    peaks = [0, 0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peaks[:] = [max(pair) for pair in zip(peaks, resident(), strict=True)]

    watcher = threading.Thread(target=watch)
    watcher.start()
    data = BraTS2019(root=root, cache_dir=root.parent / "cache")
    data.setup()
    samples = sum(len(batch.image) for batch in data.train_dataloader())
    done.set()
    watcher.join()
    return {"start": start, "anon": peaks[0], "file": peaks[1], "samples": samples}


def resident() -> tuple[int, int]:
    """Anonymous and mapped memory of this process in KiB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    anonymous, mapped = (int(re.search(rf"{name}:\s+(\d+)", status)[1]) for name in ("RssAnon", "RssFile"))
    return anonymous, mapped


if __name__ == "__main__":
    main()
