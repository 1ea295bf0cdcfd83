# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A folder of images from files to written maps, against running the model only and against decoding only.

    python benchmarks/performance/deployment_folder.py exported/int8/model.xml IMAGES

The aim is 80 % of the throughput of the slower of the two, so at most 1.25 times its time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from deployment_volume import run_all
from measuring import interleaved, publish, ratios

from anomalib_patchgan.deploy.predictor import Predictor
from anomalib_patchgan.deploy.runtimes import BATCH


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="A folder from files to maps, against inference and decoding alone.")
    parser.add_argument("model", type=Path, help="an exported model of images")
    parser.add_argument("folder", type=Path, help="images")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=10, help="how often each image is in the folder that is timed")
    parser.add_argument("--out", type=Path, help="Markdown file to write the table to as well")
    options = parser.parse_args()
    predictor = Predictor(options.model, batch_size=BATCH, threads=options.threads)

    def prepare(path: Path) -> np.ndarray:
        return next(iter(predictor.preparation.open([path]).images(predictor.preparation.image_size)))

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.threads) as pool:
        timed = Path(folder) / "in"
        timed.mkdir()
        for number in range(options.repeat):
            for path in options.folder.iterdir():
                (timed / f"{number}_{path.name}").write_bytes(path.read_bytes())
        files = sorted(timed.iterdir())
        images = np.stack(list(pool.map(prepare, files)))
        count = 0

        def whole() -> None:
            nonlocal count
            count += 1
            predictor.predict([timed], Path(folder) / f"out{count}", write=("maps",))

        timings = interleaved(
            options.rounds, whole, lambda: run_all(predictor, images), lambda: list(pool.map(prepare, files))
        )
    rows = []
    for clock in ("seconds", "processor_seconds"):
        own, *others = (getattr(timing, clock) for timing in timings)
        for name, other in zip(("inference only", "decoding only"), others, strict=True):
            found = [f"{ratio:.2f}" for ratio in ratios(own, other)]
            rows.append((predictor.identity.precision, name, clock.replace("_", " "), *found))
    publish(
        f"{len(files)} images, from files to written maps, times what one part alone takes",
        ("precision", "part", "clock", "least", "median", "most"),
        rows,
        f"{options.rounds} interleaved rounds, {options.threads} threads, batches of {BATCH}; the aim is at most 1.25 "
        "times the slower part.",
        options.out,
    )


if __name__ == "__main__":
    main()
