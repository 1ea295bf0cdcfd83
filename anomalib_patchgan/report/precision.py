# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Precision over recall, averaged over seeds."""

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from anomalib_patchgan.report.findings import ModelResult

RECALL_GRID = np.linspace(0.0, 1.0, 201)
"""Recalls at which the seeds' curves are averaged."""


def mean_precision(row: ModelResult, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Precision of one model at every recall of :data:`RECALL_GRID`, mean over its scored seeds.

    At each recall stands the precision of the strictest threshold that reaches it; nothing is interpolated, since the
    line between two points of such a curve is not reached by any threshold (Davis and Goadrich, ICML 2006).

    Args:
        row: The model, with at least one scored seed.
        labels: [N], 0 or 1.

    Returns:
        [201] in [0, 1].
    """
    runs = {run.seed: run for run in row.runs}
    found = [runs[seed.seed].scores for seed in row.seeds]
    return np.mean(
        [_precision(labels, scores["raw_score"].to_numpy()) for scores in found if scores is not None], axis=0
    )


def _precision(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    precision, recall, _ = metrics.precision_recall_curve(labels, scores)
    # Recall falls along the curve; its last point is an artificial (1, 0) that no threshold gives.
    precision, recall = precision[:-1][::-1], recall[:-1][::-1]
    return precision[np.minimum(np.searchsorted(recall, RECALL_GRID - 1e-12), recall.size - 1)]
