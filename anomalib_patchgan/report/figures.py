# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Figures as SVG: one drawing, coloured for a white sheet or by the page's own style sheet."""

import io
import math
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anomalib_patchgan.report.findings import DataResult, ModelResult
from anomalib_patchgan.report.robustness import Curve, label
from anomalib_patchgan.report.scores import ROC_GRID

# Colours that no two parts share, so that each can be handed over to the style sheet of the page.
_INK = "#1b1f24"
_FAINT = "#d3d8de"
_METHOD = "#b3261e"
_CONTROL = "#7b8087"
_COMPARATORS = ("#0b6aa2", "#1a7f5a", "#8a5a00", "#6a3fa0", "#00797f", "#a8327a", "#4a5d23", "#3f51b5")
_STYLE_SHEET = {_INK: "ink", _FAINT: "line", _METHOD: "method", _CONTROL: "control"} | {
    colour: f"series-{index}" for index, colour in enumerate(_COMPARATORS)
}
_DASHES: dict[str, str] = {"control": ":", "trivial": "--"}
_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "anomalib-patchgan",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.parse_math": False,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.7,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def roc_figure(data: DataResult) -> str | None:
    """ROC curves of every model that has a result, the mean over seeds, as SVG; None when there is none."""
    results = [row for row in data.results if row.seeds]
    if not results:
        return None
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(5.0, 4.6 + 0.2 * ((len(results) + 1) // 2)), layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=_FAINT, linewidth=1.0)
        for row, colour in zip(results, _colours(data, results), strict=True):
            axes.plot(
                ROC_GRID,
                row.roc,
                color=colour,
                linestyle=_DASHES.get(row.role, "-"),
                linewidth=2.4 if row.role == "method" else 1.3,
                zorder=3 if row.role == "method" else 2,
                label=_shortened(row.model),
            )
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        axes.set_xlabel("1 − specificity")
        axes.set_ylabel("Sensitivity")
        axes.grid(color=_FAINT, linewidth=0.5)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=8)
        return _svg(figure)


def interval_figure(data: DataResult) -> str | None:
    """Image AUROC of every model with its 95 % interval and its seeds, as SVG; None when there is none."""
    results = [row for row in data.results if row.seeds]
    if not results:
        return None
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(5.0, 1.0 + 0.34 * len(results)), layout="constrained")
        axes = figure.subplots()
        for height, (row, colour) in enumerate(zip(results, _colours(data, results), strict=True)):
            _draw_interval(axes, row, -height, colour)
        axes.axvline(0.5, color=_CONTROL, linewidth=0.8, linestyle=":")
        axes.set_xlim(right=min(1.005, axes.get_xlim()[1]))
        axes.set_yticks([-height for height in range(len(results))], [_shortened(row.model) for row in results])
        axes.set_ylim(0.6 - len(results), 0.6)
        axes.set_xlabel("Image AUROC (dotted line: chance)")
        axes.grid(axis="x", color=_FAINT, linewidth=0.5)
        axes.tick_params(axis="y", length=0)
        return _svg(figure)


def robustness_figure(data: DataResult, curves: Sequence[Curve]) -> str | None:
    """Image AUROC over severity, one panel an artefact, as SVG; None when there is none."""
    artefacts = list(dict.fromkeys(curve.artefact for curve in curves))
    if not artefacts:
        return None
    models = {curve.model for curve in curves}
    results = [row for row in data.results if row.model in models]
    colours = dict(zip((row.model for row in results), _colours(data, results), strict=True))
    columns = min(3, len(artefacts))
    rows = math.ceil(len(artefacts) / columns)
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(2.9 * columns + 0.4, 2.3 * rows + 0.5), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, artefact in zip(panels, artefacts, strict=False):
            _draw_panel(axes, [curve for curve in curves if curve.artefact == artefact], colours)
            axes.set_title(label(artefact), fontsize=9)
        for axes in panels[len(artefacts) :]:
            axes.set_visible(False)
        figure.supxlabel("Severity (0: clean; dotted line: chance)", fontsize=9)
        figure.supylabel("Image AUROC", fontsize=9)
        handles = panels[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper center", ncols=columns, frameon=False, fontsize=8)
        return _svg(figure)


def _draw_panel(axes: Axes, curves: Sequence[Curve], colours: dict[str, str]) -> None:
    axes.axhline(0.5, color=_CONTROL, linewidth=0.8, linestyle=":")
    for curve in curves:
        axes.plot(
            [0, *curve.severities],
            [curve.clean, *curve.auroc],
            color=colours[curve.model],
            linestyle=_DASHES.get(curve.role, "-"),
            linewidth=2.4 if curve.role == "method" else 1.3,
            marker="o",
            markersize=3.5 if curve.role == "method" else 2.5,
            zorder=3 if curve.role == "method" else 2,
            label=_shortened(curve.model),
        )
    axes.set_xticks([0, *curves[0].severities])
    axes.grid(color=_FAINT, linewidth=0.5)


def _draw_interval(axes: Axes, row: ModelResult, height: float, colour: str) -> None:
    """Draw the interval as a line, the mean as a disc and the seeds as ticks."""
    interval = row.interval
    width = 2.6 if row.role == "method" else 1.6
    if interval is not None:
        axes.plot([interval.low, interval.high], [height, height], color=colour, linewidth=width, solid_capstyle="butt")
    values = [seed.auroc for seed in row.seeds]
    axes.plot([np.mean(values)], [height], "o", color=colour, markersize=6.5 if row.role == "method" else 5)
    axes.plot(values, np.full(len(values), height), "|", color=colour, markersize=9, markeredgewidth=1.0)


def _colours(data: DataResult, results: Sequence[ModelResult]) -> list[str]:
    """A colour for each model, by its name among all models planned, so that a failed job changes no colour."""
    names = sorted(row.model for row in data.results if row.role not in {"method", "control"})
    fixed = {"method": _METHOD, "control": _CONTROL}
    return [
        fixed[row.role] if row.role in fixed else _COMPARATORS[names.index(row.model) % len(_COMPARATORS)]
        for row in results
    ]


def _shortened(name: str) -> str:
    return name if len(name) <= 26 else f"{name[:25]}…"


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    # The date and the version of the drawing library would change the bytes of an unchanged result.
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def for_file(svg: str) -> str:
    """The figure as a file of its own, on a white sheet, so that it can be read on a dark page too."""
    return re.sub(r"(<svg\b[^>]*>)", r'\1<rect width="100%" height="100%" fill="#ffffff"/>', svg, count=1)


def for_page(svg: str, prefix: str, label: str) -> str:
    """The figure as an element of a page.

    Args:
        svg: What a figure function returned.
        prefix: Makes the identifiers unique in the page; letters, digits and hyphens.
        label: Text that stands for the figure, escaped already.

    Returns:
        One ``svg`` element whose colours are custom properties of the page's style sheet.
    """
    element = svg[svg.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r'\bid="', f'id="{prefix}-', element)
    element = re.sub(r'href="#', f'href="#{prefix}-', element)
    element = element.replace("url(#", f"url(#{prefix}-")
    for colour, name in _STYLE_SHEET.items():
        element = element.replace(colour, f"var(--{name})")
    # The view box alone gives the proportions; the page gives the width.
    element = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", element, count=1)
    return element.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
