# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A volume from file to written map, against running its slices only and decompressing it once.

    python benchmarks/performance/deployment_volume.py exported/int8/model.xml

The volume is a phantom of 240 x 240 x 155 voxels. The aim is less than twice the two together.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from measuring import interleaved, publish, ratios

from anomalib_patchgan.deploy.predictor import Predictor
from anomalib_patchgan.deploy.runtimes import BATCH

_SHAPE = (240, 240, 155)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="A volume from file to map, against its inference and decompression.")
    parser.add_argument("model", type=Path, help="an exported model of volumes of one modality")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="Markdown file to write the table to as well")
    options = parser.parse_args()
    predictor = Predictor(options.model, batch_size=BATCH, threads=options.threads)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "phantom_flair.nii.gz"
        write_phantom(path)
        prepared = predictor.preparation.open([path])
        images = np.stack(list(prepared.images(predictor.preparation.image_size, predictor.image_size)))
        count = 0

        def whole() -> None:
            nonlocal count
            count += 1
            predictor.predict([path], Path(folder) / f"out{count}", write=("maps",))

        timings = interleaved(
            options.rounds, whole, lambda: run_all(predictor, images), lambda: gzip.decompress(path.read_bytes())
        )
    rows = []
    for clock in ("seconds", "processor_seconds"):
        own, inference, decompression = (getattr(timing, clock) for timing in timings)
        least = [first + second for first, second in zip(inference, decompression, strict=True)]
        found = (*ratios(own, least), ratios(inference, least)[1])
        name = clock.replace("_", " ")
        rows.append((predictor.identity.precision, str(len(images)), name, *(f"{ratio:.2f}" for ratio in found)))
    publish(
        "A volume of 240 x 240 x 155, from file to written map, over its inference and one gunzip",
        ("precision", "slices", "clock", "least", "median", "most", "share of inference in the divisor"),
        rows,
        f"{options.rounds} interleaved rounds, {options.threads} threads, batches of {BATCH}; the aim is below 2.",
        options.out,
    )


def run_all(predictor: Predictor, images: np.ndarray) -> None:
    """Run images in memory as fast as the predictor's compiled model goes."""
    import openvino

    queue = openvino.AsyncInferQueue(predictor.compiled)
    batch = np.zeros((BATCH, *images.shape[1:]), dtype=np.float32)
    for start in range(0, len(images), BATCH):
        part = images[start : start + BATCH]
        batch[: len(part)] = part
        queue.start_async({0: batch})
    queue.wait_all()


def write_phantom(path: Path) -> None:
    """Write a noisy ellipsoid that compresses about as well as a scan does."""
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in _SHAPE), indexing="ij", sparse=True)
    inside = sum((axis / 0.75) ** 2 for axis in axes) < 1
    noise = np.random.default_rng(0).normal(400, 60, _SHAPE)
    voxels = np.where(inside, np.maximum(noise, 1), 0).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-1.0, -1.0, 1.0, 1.0])), path)


if __name__ == "__main__":
    main()
