# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Figures of accuracy: curves, intervals, paired differences and robustness; None where there is nothing to draw."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from anomalib_patchgan import evaluation
from anomalib_patchgan.report.cells import bracketed
from anomalib_patchgan.report.drawing import (
    CONTROL,
    FAINT,
    INK,
    METHOD,
    PAPER,
    Drawing,
    Sheet,
    colours,
    dashes,
    legend_below,
    sheet,
    shortened,
)
from anomalib_patchgan.report.findings import DataResult, Findings, ModelResult, ranked_models
from anomalib_patchgan.report.precision import RECALL_GRID, mean_precision
from anomalib_patchgan.report.robustness import Curve, label
from anomalib_patchgan.report.scores import ROC_GRID
from anomalib_patchgan.report.verdict import bracketed_points, points


def roc_figure(data: DataResult) -> Drawing | None:
    """ROC curves of every model that has a result, the mean over seeds."""
    results = [row for row in data.results if row.seeds]
    if not results:
        return None
    with _square(len(results)) as drawn:
        axes = drawn.figure.subplots()
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.0)
        for row, colour in zip(results, colours(data, results), strict=True):
            _curve(drawn, axes, row, (colour, dashes(data, row.model)), ROC_GRID, row.roc)
        axes.set_xlabel("1 − specificity")
        axes.set_ylabel("Sensitivity")
        legend_below(drawn, axes)
        return drawn.finish()


def precision_figure(data: DataResult) -> Drawing | None:
    """Precision-recall curves, the mean over seeds, with the prevalence as the line of chance."""
    results = [row for row in data.results if row.seeds]
    if not results or data.record is None or data.prevalence is None:
        return None
    labels = data.record.samples["label"].to_numpy()
    with _square(len(results)) as drawn:
        axes = drawn.figure.subplots()
        axes.axhline(data.prevalence, color=FAINT, linewidth=1.0)
        for row, colour in zip(results, colours(data, results), strict=True):
            _curve(drawn, axes, row, (colour, dashes(data, row.model)), RECALL_GRID, mean_precision(row, labels))
        axes.set_xlabel("Recall (gray line: prevalence)")
        axes.set_ylabel("Precision")
        legend_below(drawn, axes)
        return drawn.finish()


def _square(models: int) -> AbstractContextManager[Sheet]:
    return sheet(5.0, 4.6 + 0.2 * math.ceil(models / 2))


def _curve(
    drawn: Sheet,
    axes: Axes,
    row: ModelResult,
    look: tuple[str, Any],
    horizontal: np.ndarray,
    vertical: np.ndarray,
) -> None:
    colour, style = look
    (line,) = axes.plot(
        horizontal,
        vertical,
        color=colour,
        linestyle=style,
        linewidth=2.4 if row.role == "method" else 1.3,
        zorder=3 if row.role == "method" else 2,
        label=shortened(row.model),
    )
    drawn.tip(line, row.model)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.grid(color=FAINT, linewidth=0.5)


def interval_figure(data: DataResult) -> Drawing | None:
    """Image AUROC of every model with its 95 % interval and its seeds."""
    results = [row for row in data.results if row.seeds]
    if not results:
        return None
    with sheet(5.0, 1.0 + 0.34 * len(results)) as drawn:
        axes = drawn.figure.subplots()
        for height, (row, colour) in enumerate(zip(results, colours(data, results), strict=True)):
            _draw_interval(drawn, axes, row, -height, colour)
        axes.axvline(0.5, color=CONTROL, linewidth=0.8, linestyle=":")
        axes.set_xlim(right=min(1.005, axes.get_xlim()[1]))
        _name_rows(axes, [row.model for row in results])
        axes.set_xlabel("Image AUROC (dotted line: chance)")
        return drawn.finish()


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks([-height for height in range(len(names))], [shortened(name) for name in names])
    axes.set_ylim(0.6 - len(names), 0.6)
    axes.grid(axis="x", color=FAINT, linewidth=0.5)
    axes.tick_params(axis="y", length=0)


def _draw_interval(drawn: Sheet, axes: Axes, row: ModelResult, height: float, colour: str) -> None:
    """Draw the interval as a line, the mean as a disc and the seeds as ticks."""
    interval = row.interval
    width = 2.6 if row.role == "method" else 1.6
    if interval is not None:
        axes.plot([interval.low, interval.high], [height, height], color=colour, linewidth=width, solid_capstyle="butt")
    values = [seed.auroc for seed in row.seeds]
    axes.plot(values, np.full(len(values), height), "|", color=colour, markersize=9, markeredgewidth=1.0)
    mean = float(np.mean(values))
    (disc,) = axes.plot([mean], [height], "o", color=colour, markersize=6.5 if row.role == "method" else 5)
    drawn.tip(disc, f"{row.model}: {mean:.3f} {bracketed(interval)}".rstrip())


def rank_figure(findings: Findings) -> Drawing | None:
    """Critical-difference diagram: mean ranks over data sets, half a critical difference to either side.

    Models whose bars overlap differ by less than it. None with too few data sets.
    """
    ranked = ranked_models(findings)
    if ranked is None:
        return None
    models, found = ranked
    half = found.critical_difference / 2.0
    order = [int(position) for position in np.argsort(found.ranks, kind="stable")]
    with sheet(5.0, 1.0 + 0.3 * len(models)) as drawn:
        axes = drawn.figure.subplots()
        for height, position in enumerate(order):
            colour = METHOD if models[position] == findings.method else INK
            rank = float(found.ranks[position])
            axes.plot(
                [rank - half, rank + half], [-height, -height], color=colour, linewidth=1.6, solid_capstyle="butt"
            )
            (disc,) = axes.plot([rank], [-height], "o", color=colour, markersize=5)
            drawn.tip(disc, f"{models[position]}: mean rank {rank:.2f}")
        _name_rows(axes, [models[position] for position in order])
        axes.set_xlabel(f"Mean rank, 1 the best (bars: critical difference {found.critical_difference:.2f})")
        return drawn.finish()


def forest_figure(data: DataResult, method: str) -> Drawing | None:
    """Paired differences of image AUROC, in points: discs are filled where the verdict is not *not separable*."""
    entries = [
        Entry(one.model, one.difference, one.verdict, CONTROL if one.role == "control" else METHOD)
        for one in data.comparisons
    ]
    return differences_figure(entries, f"{shortened(method)} minus the other, points of image AUROC")


@dataclass(frozen=True)
class Entry:
    """One line of a forest plot: its name, the difference, what is said of it, and its colour."""

    name: str
    difference: evaluation.Difference
    verdict: str
    colour: str

    @property
    def hollow(self) -> bool:
        """Whether the difference may be noise."""
        return self.verdict in {"not separable", "within noise"}


def differences_figure(entries: Sequence[Entry], axis: str) -> Drawing | None:
    """A forest plot of differences of image AUROC in points, hollow where they may be noise."""
    if not entries:
        return None
    with sheet(5.0, 1.0 + 0.34 * len(entries)) as drawn:
        axes = drawn.figure.subplots()
        axes.axvline(0.0, color=CONTROL, linewidth=0.8)
        for height, one in enumerate(entries):
            interval, colour = one.difference.interval, one.colour
            ends = [100.0 * interval.low, 100.0 * interval.high]
            axes.plot(ends, [-height, -height], color=colour, linewidth=1.8, solid_capstyle="butt")
            (disc,) = axes.plot(
                [100.0 * one.difference.value],
                [-height],
                "o",
                color=colour,
                markersize=6,
                markerfacecolor=PAPER if one.hollow else colour,
            )
            difference = f"{points(one.difference.value)} points {bracketed_points(interval)}"
            drawn.tip(disc, f"{one.name}: {difference}, {one.verdict}")
        _name_rows(axes, [one.name for one in entries])
        axes.set_xlabel(axis)
        return drawn.finish()


def robustness_figure(data: DataResult, curves: Sequence[Curve]) -> Drawing | None:
    """Image AUROC over severity, one panel an artefact."""
    artefacts = list(dict.fromkeys(curve.artefact for curve in curves))
    if not artefacts:
        return None
    models = {curve.model for curve in curves}
    results = [row for row in data.results if row.model in models]
    colour_of = dict(zip((row.model for row in results), colours(data, results), strict=True))
    columns = min(3, len(artefacts))
    rows = math.ceil(len(artefacts) / columns)
    with sheet(2.9 * columns + 0.4, 2.3 * rows + 0.5) as drawn:
        panels = drawn.figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, artefact in zip(panels, artefacts, strict=False):
            _draw_panel(drawn, axes, data, [curve for curve in curves if curve.artefact == artefact], colour_of)
            axes.set_title(label(artefact))
        for axes in panels[len(artefacts) :]:
            axes.set_visible(False)
        drawn.figure.supxlabel("Severity (0: clean; dotted line: chance)", fontsize=9)
        drawn.figure.supylabel("Image AUROC", fontsize=9)
        legend_below(drawn, panels[0], columns)
        return drawn.finish()


def _draw_panel(drawn: Sheet, axes: Axes, data: DataResult, curves: Sequence[Curve], colour_of: dict[str, str]) -> None:
    axes.axhline(0.5, color=CONTROL, linewidth=0.8, linestyle=":")
    for curve in curves:
        (line,) = axes.plot(
            [0, *curve.severities],
            [curve.clean, *curve.auroc],
            color=colour_of[curve.model],
            linestyle=dashes(data, curve.model),
            linewidth=2.4 if curve.role == "method" else 1.3,
            marker="o",
            markersize=3.5 if curve.role == "method" else 2.5,
            zorder=3 if curve.role == "method" else 2,
            label=shortened(curve.model),
        )
        drawn.tip(line, curve.model)
    axes.set_xticks([0, *curves[0].severities])
    axes.grid(color=FAINT, linewidth=0.5)
