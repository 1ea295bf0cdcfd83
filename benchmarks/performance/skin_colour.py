# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Measures what colour constancy takes away, and with `--labels` what lesions are told by then.

    anomalib-patchgan phantoms isic2016 --root work/skin --train_images 120 --test_images 160 --seed 4242 \
        --height 192 --width 256
    python benchmarks/performance/skin_colour.py work/skin --working_size 192

A patch can be told by its colour as far as the skin of different photographs differs less than lesion and skin of one.
So the colours of the normal patches of training and calibration are compared: the logarithm of red and of blue over
green, its standard deviation between photographs (of their means) and within them. As a rule to judge constancy by, it
sees no lesion.

With `--labels` it does look at lesions, so this is no rule to choose anything by: the image AUROC of how far the mean
brightness of a test patch, and of how far its mean tint (those two logarithms) is from normal training patches, by the
Mahalanobis distance. The comparator "Mean intensity" of the suites is the distance of both together.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import publish
from sklearn.covariance import EmpiricalCovariance
from sklearn.metrics import roc_auc_score

from anomalib_patchgan.data import ISIC2016
from anomalib_patchgan.data.dataset import MedicalDataset

_TINT = ["red", "blue"]


def main() -> None:
    """Measure with and without constancy, and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="ISIC 2016 part 1, or phantoms of it")
    parser.add_argument("--working_size", type=int, default=256)
    parser.add_argument("--labels", action="store_true", help="Say what test lesions are told by, too")
    parser.add_argument("--out", type=Path, help="Markdown file to write the table to")
    options = parser.parse_args()
    rows = []
    for constant in (False, True):
        data = ISIC2016(options.root, working_size=options.working_size, colour_constancy=constant)
        data.setup()
        normal = colours(data.train_data)
        between, within = spreads(pd.concat([normal, colours(data.val_data)]))
        told = told_by(normal, data.test_data) if options.labels else {}
        rows.append(["yes" if constant else "no", *(f"{value:.3f}" for value in (*between, *within, *told.values()))])
    publish(
        "Standard deviations of the colour of normal patches",
        ["constancy", "red, between photographs", "blue, between", "red, within", "blue, within"]
        + [f"AUROC of {name} alone" for name in told],
        rows,
        f"{options.root.name}, working size {options.working_size}; logarithm of red or blue over green.",
        options.out,
    )


def colours(data: MedicalDataset) -> pd.DataFrame:
    """Brightness, and logarithms of red and blue over green, of every patch, with the photograph that it is of."""
    means = np.stack([item.image.numpy().mean(axis=(1, 2)) for item in data])
    logarithms = np.log(np.maximum(means, 1e-3))
    ratios = logarithms[:, [0, 2]] - logarithms[:, [1]]
    photographs = data.samples["subject_id"].to_numpy()
    return pd.DataFrame(ratios, columns=_TINT).assign(brightness=means.mean(axis=1), photograph=photographs)


def spreads(patches: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviations between and within photographs, each [2]."""
    photographs = patches.groupby("photograph")[_TINT]
    return photographs.mean().std().to_numpy(), np.sqrt(photographs.var().mean().to_numpy())


def told_by(normal: pd.DataFrame, test_data: MedicalDataset) -> dict[str, float]:
    """AUROC of the test patches by the distance of their brightness, and of their tint, from normal patches."""
    test = colours(test_data)
    labels = test_data.samples["label_index"].astype(int)
    return {
        name: float(roc_auc_score(labels, EmpiricalCovariance().fit(normal[own]).mahalanobis(test[own])))
        for name, own in {"brightness": ["brightness"], "tint": _TINT}.items()
    }


if __name__ == "__main__":
    main()
