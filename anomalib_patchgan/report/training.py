# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Training curves: what each model logged, epoch by epoch."""

import math

import pandas as pd

from anomalib_patchgan.report.drawing import FAINT, METHOD, SERIES, Drawing, sheet, shortened
from anomalib_patchgan.report.findings import DataResult

_COLUMNS = ["data", "model", "seed", "step", "name", "value"]


def training_table(data: DataResult) -> pd.DataFrame:
    """Every logged value: data, model, seed, step (epoch from 0), name, value."""
    tables = [
        run.curves.assign(data=data.name, model=row.model, seed=run.seed)
        for row in data.results
        for run in row.runs
        if run.curves is not None and len(run.curves)
    ]
    return pd.concat(tables, ignore_index=True)[_COLUMNS] if tables else pd.DataFrame(columns=_COLUMNS)


def csv_rows(table: pd.DataFrame) -> list[dict[str, str]]:
    """The table as text, its values with ten digits."""
    shown = table.assign(value=[f"{value:.10g}" for value in table["value"]])
    return [{str(key): str(value) for key, value in row.items()} for row in shown.to_dict("records")]


def training_figure(table: pd.DataFrame) -> Drawing | None:
    """One panel for each model that was trained for more than one epoch, every value as a share of its largest."""
    steps = table.groupby("model", sort=False)["step"].agg(["min", "max"])
    trained = [str(model) for model in steps.index[steps["max"] > steps["min"]]]
    if not trained:
        return None
    columns = min(2, len(trained))
    rows = math.ceil(len(trained) / columns)
    with sheet(4.4 * columns, 2.9 * rows) as drawn:
        panels = drawn.figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, model in zip(panels, trained, strict=False):
            curves = table[table["model"] == model]
            for number, (name, values) in enumerate(curves.groupby("name", sort=True)):
                means = values.groupby("step")["value"].mean()
                largest = means.abs().max() or 1.0
                total = name == "train_loss"
                (line,) = axes.plot(
                    means.index + 1,
                    means / largest,
                    color=METHOD if total else SERIES[number % len(SERIES)],
                    linewidth=2.2 if total else 1.2,
                    label=shortened(str(name).replace("_", " ")),
                )
                drawn.tip(line, f"{model}, {name!s}: last {means.iloc[-1]:.4g}, largest {largest:.4g}")
            axes.set_title(shortened(model))
            axes.grid(color=FAINT, linewidth=0.5)
            axes.legend(frameon=False, fontsize=7)
        for axes in panels[len(trained) :]:
            axes.set_visible(False)
        drawn.figure.supxlabel("Epoch", fontsize=9)
        drawn.figure.supylabel("Share of its largest value", fontsize=9)
        return drawn.finish()
