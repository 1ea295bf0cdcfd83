# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Time to rebuild the report of fifty jobs, and the size of its page.

The store is synthetic: two data sets, five models, five seeds, with maps for all models but one and training curves
for two. Each report runs in a process of its own, so that starting Python and importing libraries counts too.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from measuring import machine_facts

from anomalib_patchgan.store import DataRecord, Run, Store

MODELS = {"Patch-GAN": "method", "PaDiM": "comparator", "CFA": "comparator", "ALOCC": "comparator", "Mean": "trivial"}
SEEDS = range(5)
SLICES = 10


def data_record(name: str, subjects: int, side: int) -> DataRecord:
    """Disc-shaped lesions in half of the images of every subject."""
    generator = np.random.default_rng(len(name))
    count = subjects * SLICES
    labels = np.arange(count) % 2
    rows, columns = np.mgrid[:side, :side]
    centres = generator.integers(side // 4, 3 * side // 4, (count, 2))
    radii = generator.uniform(1.5, side / 8, count)
    distances = np.hypot(rows - centres[:, 0, None, None], columns - centres[:, 1, None, None])
    masks = (distances < radii[:, None, None]) & (labels[:, None, None] == 1)
    gray = 90 + 12 * generator.normal(size=(count, side, side)) + generator.uniform(10, 90, (count, 1, 1)) * masks
    samples = pd.DataFrame(
        {
            "sample_id": [f"{name}-{index}" for index in range(count)],
            "subject_id": [f"subject{index // SLICES:03d}" for index in range(count)],
            "label": labels,
            "lesion_fraction": masks.mean(axis=(1, 2)),
            "slice_index": np.arange(count) % SLICES,
        }
    )
    return DataRecord(
        key=name,
        name=name,
        data_class="anomalib_patchgan.data.BraTS2019",
        data_arguments={},
        card={"name": name, "protocol": "slice", "split_sha256": "5f" * 32, "phantom": True, "image_size": [side] * 2},
        samples=samples,
        images=np.repeat(np.clip(gray, 0, 255).astype(np.uint8)[..., None], 3, axis=3),
        masks=masks,
    )


def finished_run(model: str, record: DataRecord, seed: int, strength: float) -> Run:
    """Scores and maps that part lesion from the rest by a multiple of the noise."""
    generator = np.random.default_rng([seed, len(record.name), ord(model[-1])])
    assert record.masks is not None
    scores = generator.normal(strength * record.samples["label"], 1.0)
    maps = (generator.normal(size=record.masks.shape) + strength * record.masks).astype(np.float16)
    steps = np.arange(30)
    curves = pd.DataFrame({"step": steps, "name": "train_loss", "value": 1.0 / (1.0 + steps)})
    return Run(
        key=f"{record.name}-{model}-{seed}",
        model=model,
        role=MODELS[model],
        note="",
        model_class=f"anomalib_patchgan.models.{model}",
        model_arguments={},
        data=record.name,
        data_key=record.key,
        protocol="slice",
        seed=seed,
        status="finished",
        threads=2,
        parameters=100_000 * len(model),
        timings={"fit": 60.0, "test": len(model) / 4},
        scores=pd.DataFrame(
            {"sample_id": record.samples["sample_id"], "raw_score": scores, "predicted_label": scores > 2.0}
        ),
        calibration=pd.DataFrame(
            {
                "sample_id": [f"normal-{index}" for index in range(200)],
                "subject_id": [f"normal-{index // 10}" for index in range(200)],
                "raw_score": generator.normal(size=200),
            }
        ),
        maps=None if MODELS[model] == "trivial" else maps,
        curves=curves if model in ("Patch-GAN", "ALOCC") else None,
    )


def write_store(root: Path, subjects: int, side: int) -> int:
    """Write the synthetic store and return its number of jobs."""
    store, jobs = Store(root), []
    for name in ("brain", "skin"):
        record = data_record(name, subjects, side)
        store.save_data(record)
        for number, model in enumerate(MODELS):
            for seed in SEEDS:
                run = finished_run(model, record, seed, 2.0 - 0.3 * number)
                store.save_run(run)
                shared = ("key", "model", "role", "note", "data", "data_key", "seed")
                jobs.append({field: getattr(run, field) for field in shared})
    store.save_plan(
        {"suite": "fifty", "method": "Patch-GAN", "jobs": jobs, "data": {"brain": {}, "skin": {}}, "command": "none"}
    )
    return len(jobs)


def processor_seconds() -> float:
    """What the child processes so far have used of the processor; on a shared machine the clock says little."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Write the store, build its report a few times and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=40, help=f"test subjects of a data set, {SLICES} images each")
    parser.add_argument("--side", type=int, default=64, help="height and width of images and maps")
    parser.add_argument("--rounds", type=int, default=3, help="rebuilds after the first report")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store, output = Path(folder) / "store", Path(folder) / "report"
        jobs = write_store(store, options.subjects, options.side)
        command = [sys.executable, "-m", "anomalib_patchgan.cli", "report", str(store), "--output", str(output)]
        seconds, processor = [], []
        for _ in range(options.rounds + 1):
            start, before = perf_counter(), processor_seconds()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds.append(perf_counter() - start)
            processor.append(processor_seconds() - before)
        size = (output / "index.html").stat().st_size / 1e6
    images = options.subjects * SLICES
    print(f"{machine_facts()}\n")
    print(f"{jobs} jobs, two data sets of {images} test images at {options.side} x {options.side}.\n")
    print("| what | seconds | of them on the processor |\n| --- | ---: | ---: |")
    print(f"| first report | {seconds[0]:.1f} | {processor[0]:.1f} |")
    shown = (", ".join(f"{value:.1f}" for value in values[1:]) for values in (seconds, processor))
    print(f"| rebuilt, scores kept in the store | {' | '.join(shown)} |")
    print(f"\nThe page has {size:.2f} MB.")


if __name__ == "__main__":
    main()
