# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The score of every image, published with the report, so that a reader can compute a number of the page again."""

from collections.abc import Sequence

import pandas as pd

from anomalib_patchgan.report.findings import DataResult, ModelResult
from anomalib_patchgan.store import Run

FILE = "scores.parquet"
"""Parquet alone: as text it would be the largest file of a report."""
_OF_RECORD = ["subject_id", "label"]
_NAMES = ("data", "model", "group", "sample_id", "subject_id")


def scores_file(results: Sequence[DataResult]) -> dict[str, bytes]:
    """Raw scores of all images as a file, or nothing where no job has finished.

    Args:
        results: Results on each data set.

    Returns:
        One row for each image, model and seed: ``data``, ``model``, ``seed``, ``group`` (``test``, or ``calibration``,
        the normal images that thresholds come from), ``sample_id``, ``subject_id``, ``label`` (0 or 1), ``raw_score``
        (the higher, the more abnormal) and ``predicted_label`` (the model's own; missing in calibration).
    """
    tables = [
        _of_run(data.name, row, run, data.record.samples)
        for data in results
        if data.record is not None
        for row in data.results
        for run in row.runs
    ]
    if not tables:
        return {}
    table = pd.concat(tables, ignore_index=True).astype(dict.fromkeys(_NAMES, "category"))
    return {FILE: table.to_parquet(index=False, compression="zstd")}


def _of_run(data: str, row: ModelResult, run: Run, test: pd.DataFrame) -> pd.DataFrame:
    """Test images of a run, which are known to be the record's in its order, then its calibration images."""
    parts = []
    if run.scores is not None:
        parts.append(run.scores.join(test[_OF_RECORD]).assign(group="test"))
    if run.calibration is not None:
        parts.append(run.calibration.assign(group="calibration", label=0))
    table = pd.concat(parts, ignore_index=True).assign(data=data, model=row.model, seed=run.seed)
    table["predicted_label"] = table["predicted_label"].astype("boolean")
    columns = ["data", "model", "seed", "group", "sample_id", "subject_id", "label", "raw_score", "predicted_label"]
    return table[columns]
