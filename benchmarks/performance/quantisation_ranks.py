# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""How well the order of normal images foretells what eight bits do to the AUROC, which needs labels.

    python benchmarks/performance/quantisation_ranks.py model.ckpt

The model was trained on the brains of benchmarks/deployment.yaml. It is quantised with the order of normal images free
and bound ever tighter. Discordance is the share of pairs that change places: among normal images of the calibration
group, which the export watches, and between normal and abnormal images of the test set, which the AUROC is made of.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import openvino
from measuring import publish
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from anomalib_patchgan.benchmark.suite import read_suite
from anomalib_patchgan.data import BraTS2019
from anomalib_patchgan.deploy import quantisation
from anomalib_patchgan.deploy.checkpoint import load_trained
from anomalib_patchgan.deploy.core import compile_in_float32
from anomalib_patchgan.deploy.export import Exporter, labels_of, stack_images
from anomalib_patchgan.errors import InputError

_SUITE, _DATA = Path(__file__).parents[1] / "deployment.yaml", "brain"


def main() -> None:
    """Quantise at each tolerance, and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--model", default="anomalib_patchgan.models.PatchGan", help="class of the model")
    parser.add_argument("--tolerances", type=float, nargs="+", default=[math.inf, 0.02, 0.01, 0.005])
    parser.add_argument("--out", type=Path, help="Markdown file to write the table to")
    options = parser.parse_args()
    data = BraTS2019(**read_suite(_SUITE).data[_DATA].init_args)
    data.setup()
    exporter = Exporter(load_trained(options.model, options.checkpoint), data)
    normal = exporter.normal_images()
    test, labels = stack_images(data.test_data, exporter.input_size), labels_of(data.test_data)
    before = [scores(exporter.converted, images) for images in (normal, test)]
    quantisation.TOLERATED_DIFFERENCE = math.inf
    rows = []
    for tolerance in options.tolerances:
        quantisation.TOLERATED_DISCORDANCE = tolerance
        try:
            model = quantisation.quantise(exporter.converted, exporter.graph.network, normal)
        except InputError:
            rows.append([f"{tolerance:g}", "none", *4 * ["-"]])
            continue
        after = [scores(model, images) for images in (normal, test)]
        moved = np.abs(after[0] - before[0]).mean() / quantisation.interquartile_range(before[0])
        rows.append(
            [
                f"{tolerance:g}",
                str(len(quantisation.quantised_operations(model))),
                f"{moved:.3f}",
                f"{quantisation.discordance(before[0], after[0]):.4f}",
                f"{discordance_across(labels, before[1], after[1]):.4f}",
                f"{roc_auc_score(labels, after[1]) - roc_auc_score(labels, before[1]):+.5f}",
            ]
        )
    publish(
        f"{options.model.rpartition('.')[2]} in eight bits, its order bound ever tighter",
        [
            "tolerance",
            "layers in eight bits",
            "normal scores moved, IQR",
            "discordance, normal images",
            "discordance, normal and abnormal",
            "AUROC difference",
        ],
        rows,
        f"{len(normal)} normal images of the calibration group, {len(test)} test images.",
        options.out,
    )


def scores(model: openvino.Model, images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Raw scores [N] of images [N, 3, H, W], computed in float32 where nothing is quantised."""
    return quantisation.raw_scores(compile_in_float32(model), images)


def discordance_across(labels: NDArray[np.int64], first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Share of the pairs of a normal and an abnormal image that two ways of scoring put in opposite orders."""
    orders = [np.sign(each[labels == 1][:, None] - each[labels == 0]) for each in (first, second)]
    return float(np.abs(orders[0] - orders[1]).mean() / 2)


if __name__ == "__main__":
    main()
