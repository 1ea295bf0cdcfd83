# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""An exported graph compiled for one batch size, against the same graph compiled for any.

    python benchmarks/performance/fixed_shapes.py exported/fp32/model.xml exported/int8/model.xml

OpenVINO joins fewer operations where shapes are free, which costs most where little is left to compute.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from measuring import interleaved, publish, ratios

from anomalib_patchgan.deploy.device import compile_for
from anomalib_patchgan.deploy.identity import read_model

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="exported models")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="Markdown file to write the table to as well")
    options = parser.parse_args()
    rows = []
    for path in options.models:
        for batch in options.batches:
            runs = [run_of(path, batch, fixed, options.threads) for fixed in (False, True)]
            free, fixed = interleaved(options.rounds, *runs)
            found = ratios(free.processor_seconds, fixed.processor_seconds)
            rows.append([path.parent.name, str(batch), *(f"{ratio:.2f}" for ratio in found)])
    publish(
        "Processor time of a graph for any batch size, in those of the same graph for one",
        ("model", "images", "least", "median", "most"),
        rows,
        f"{options.rounds} interleaved rounds of five calls, {options.threads} threads.",
        options.out,
    )


def run_of(path: Path, batch: int, fixed: bool, threads: int) -> Callable[[], None]:
    """Five calls of a graph on a batch, compiled for its size or for any."""
    model, identity = read_model(path)
    shape = [length.get_length() for length in list(model.input(0).get_partial_shape())[1:]]
    if fixed:
        model.reshape([batch, *shape])
    request = compile_for(model, identity.inference_precision, "CPU", "latency", threads).create_infer_request()
    images = np.random.default_rng(0).random((batch, *shape), dtype=np.float32)

    def run() -> None:
        for _ in range(5):
            request.infer({0: images})

    return run


if __name__ == "__main__":
    main()
