# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Accuracy against what it costs: time for an image, and size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, NullFormatter

from anomalib_patchgan.report.cells import ROLES, Cell, Row, Table, number
from anomalib_patchgan.report.drawing import CONTROL, FAINT, Drawing, Sheet, colours, sheet, shortened
from anomalib_patchgan.report.findings import DataResult, ModelResult

TEST_STAGE = "test"
"""Name of the pass over the test set among a run's timings."""
READING = (
    "Time is that of the pass over the test set, reading and batches included, divided by the number of its images, "
    "mean over seeds: the same measure for every model. Diamonds are the backends of a model, PyTorch's own and "
    "exported ones, one image at a time, without reading. A model is on the front when no other is at least as good "
    "and at least as cheap, and better in one of the two."
)


@dataclass(frozen=True)
class Exported:
    """A model on a backend, PyTorch's own included: its image AUROC and its median latency in milliseconds."""

    backend: str
    auroc: float
    milliseconds: float


@dataclass(frozen=True)
class Point:
    """One model: how good it is, and what it costs.

    Attributes:
        model: Row name.
        role: Its role.
        auroc: Image AUROC, mean over seeds.
        milliseconds: Time for a test image, mean over seeds, where it was recorded.
        parameters: Parameters of the network, where they were counted.
        exported: What it is on each backend that was timed.
    """

    model: str
    role: str
    auroc: float
    milliseconds: float | None
    parameters: int | None
    exported: tuple[Exported, ...]


def tradeoff_points(data: DataResult) -> list[Point]:
    """One point for each model that has a result, best image AUROC first."""
    return [
        Point(row.model, row.role, row.auroc, _milliseconds(row), row.parameters, tuple(_exported(row)))
        for row in data.results
        if row.auroc is not None
    ]


def _milliseconds(row: ModelResult) -> float | None:
    known = [
        1000.0 * run.timings[TEST_STAGE] / len(run.scores)
        for run in row.runs
        if TEST_STAGE in run.timings and run.scores is not None and len(run.scores)
    ]
    return float(np.mean(known)) if known else None


def _exported(row: ModelResult) -> list[Exported]:
    aurocs = {seed.seed: seed.auroc for seed in row.seeds}
    return [
        Exported(str(one.get("backend")), aurocs[run.seed] + (one.get("auroc_diff") or 0.0), one["latency_ms_p50"])
        for run in row.runs
        if run.seed in aurocs
        for one in run.deployment
        if one.get("latency_ms_p50")
    ]


def front(points: Sequence[Point], cost: Callable[[Point], float | None]) -> list[Point]:
    """The Pareto front, cheapest first: the points that no other one dominates; those of unknown cost are left out."""
    known = [(cost_of, point) for point in points if (cost_of := cost(point)) is not None]
    return [
        point
        for cost_of, point in sorted(known, key=lambda pair: (pair[0], -pair[1].auroc))
        if not any(
            other_cost <= cost_of and other.auroc >= point.auroc and (other_cost, other.auroc) != (cost_of, point.auroc)
            for other_cost, other in known
        )
    ]


def tradeoff_table(data: DataResult, points: Sequence[Point]) -> Table | None:
    """What each model reaches and costs, or None where nothing has a result."""
    if not points:
        return None
    fast = {point.model for point in front(points, lambda point: point.milliseconds)}
    small = {point.model for point in front(points, lambda point: point.parameters)}
    columns = ("Model", "Image AUROC", "Time for an image (ms)", "Parameters", "On the front of")
    rows = tuple(
        Row(
            (
                Cell(point.model, ROLES.get(point.role, point.role)),
                Cell(f"{point.auroc:.3f}"),
                Cell(number(point.milliseconds, "{:.2f}")),
                Cell(number(point.parameters, "{:,}")),
                Cell(
                    " and ".join(name for name, chosen in (("time", fast), ("size", small)) if point.model in chosen)
                    or "neither"
                ),
            ),
            point.role,
        )
        for point in points
    )
    return Table(f"{data.name}: accuracy, time and size.", columns, rows, frozenset(columns[1:4]))


def latency_figure(data: DataResult, points: Sequence[Point]) -> Drawing | None:
    """Image AUROC against the time for an image, with its Pareto front."""
    if not any(point.milliseconds is not None for point in points):
        return None
    with sheet(5.0, 3.8) as drawn:
        axes = drawn.figure.subplots()
        _scatter(drawn, axes, data, points, lambda point: point.milliseconds, "ms an image")
        for point in points:
            for one in point.exported:
                colour = _colour_of(data)[point.model]
                (diamond,) = axes.plot([one.milliseconds], [one.auroc], "D", color=colour, markersize=4.5, alpha=0.8)
                drawn.tip(diamond, f"{point.model}, {one.backend}: {one.auroc:.3f}, {one.milliseconds:.2f} ms")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("Time for an image (ms, logarithmic)")
        return drawn.finish()


def size_figure(data: DataResult, points: Sequence[Point]) -> Drawing | None:
    """Image AUROC against the number of parameters, with its Pareto front."""
    if not any(point.parameters is not None for point in points):
        return None
    with sheet(5.0, 3.8) as drawn:
        axes = drawn.figure.subplots()
        _scatter(drawn, axes, data, points, lambda point: point.parameters, "parameters")
        # Models without a network have none, which a logarithm cannot show.
        axes.set_xscale("symlog", linthresh=1000.0)
        axes.set_xlim(left=-600.0)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_xlabel("Parameters (logarithmic from 1,000 on)")
        return drawn.finish()


def _colour_of(data: DataResult) -> dict[str, str]:
    return dict(zip((row.model for row in data.results), colours(data, data.results), strict=True))


def _scatter(
    drawn: Sheet,
    axes: Axes,
    data: DataResult,
    points: Sequence[Point],
    cost: Callable[[Point], float | None],
    unit: str,
) -> None:
    best = front(points, cost)
    costs = [found for point in best if (found := cost(point)) is not None]
    axes.step(costs, [point.auroc for point in best], where="post", color=FAINT, linewidth=2)
    colour_of = _colour_of(data)
    for point in points:
        cost_of = cost(point)
        if cost_of is None:
            continue
        size = 8 if point.role == "method" else 6
        (disc,) = axes.plot([cost_of], [point.auroc], "o", color=colour_of[point.model], markersize=size)
        drawn.tip(disc, f"{point.model}: {point.auroc:.3f}, {cost_of:,.4g} {unit}")
        axes.annotate(
            shortened(point.model),
            (cost_of, point.auroc),
            (0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
        )
    axes.axhline(0.5, color=CONTROL, linewidth=0.8, linestyle=":")
    axes.margins(x=0.18, y=0.14)
    axes.set_ylabel("Image AUROC (dotted line: chance)")
    axes.grid(color=FAINT, linewidth=0.5)
