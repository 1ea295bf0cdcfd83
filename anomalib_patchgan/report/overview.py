# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The first screen's table: every model on every data set, with intervals; and the seeds behind each mean."""

from anomalib_patchgan.report.cells import MISSING, ROLES, Cell, Row, Span, Table, bracketed, percent, share
from anomalib_patchgan.report.findings import DataResult, Findings, ModelResult
from anomalib_patchgan.report.scores import SPECIFICITY
from anomalib_patchgan.report.verdict import bracketed_points, signed_points


def protocol_of(data: DataResult) -> str:
    """The protocol of a data set, or words that say it is not known."""
    return str(data.card.get("protocol") or "not known")


def overview_table(findings: Findings) -> Table:
    """Every model on every data set, data set by data set, best image AUROC first."""
    columns = (
        "Model",
        "Data set",
        "Image AUROC",
        f"{findings.method} minus it",
        "Average precision",
        f"Sensitivity at {100.0 * SPECIFICITY:.0f} % specificity",
        "Pixel AP",
    )
    rows = tuple(
        Row(_cells(data, row), row.role, (data.name, protocol_of(data)))
        for data in findings.data
        for row in data.results
    )
    caption = (
        "Mean over seeds; in brackets, and as a bar from 0 to 1 with a tick at chance, the 95 % interval over test "
        "subjects; differences in points."
    )
    return Table(caption, columns, rows, frozenset(columns[2:]), ("Data set", "Protocol"))


def _cells(data: DataResult, row: ModelResult) -> tuple[Cell, ...]:
    interval = row.interval
    about = " · ".join((protocol_of(data), *(("phantom",) if data.card.get("phantom") else ())))
    prevalence = "" if data.prevalence is None else f"prevalence {data.prevalence:.3f}"
    flags = len(row.flags)
    flagged = f" · {flags} flag{'s' if flags > 1 else ''}" if flags else ""
    return (
        Cell(row.model, f"{ROLES.get(row.role, row.role)}{flagged}"),
        Cell(data.name, about),
        Cell(
            share(row.auroc),
            bracketed(interval),
            Span(interval.low, row.auroc, interval.high) if interval and row.auroc is not None else None,
        ),
        _lead(data, row),
        Cell(share(row.mean(lambda seed: seed.average_precision)), prevalence if row.seeds else ""),
        Cell(percent(row.mean(lambda seed: seed.sensitivity))),
        Cell(share(row.pixel_area.value if row.pixel_area else None)),
    )


def _lead(data: DataResult, row: ModelResult) -> Cell:
    one = next((one for one in data.comparisons if one.model == row.model), None)
    if one is None:
        return Cell(MISSING)
    return Cell(signed_points(one.difference.value), f"{bracketed_points(one.difference.interval)} {one.verdict}")


def seed_table(data: DataResult) -> Table | None:
    """Image AUROC of every seed, or None where none was scored."""
    seeds = sorted({seed.seed for row in data.results for seed in row.seeds})
    if not seeds:
        return None
    columns = ("Model", *(f"Seed {seed}" for seed in seeds), "Mean", "SD over seeds")
    rows = []
    for row in data.results:
        found = {seed.seed: f"{seed.auroc:.3f}" for seed in row.seeds}
        area = row.image_area
        deviation = share(None if area is None else area.deviation)
        numbers = (*(found.get(seed, MISSING) for seed in seeds), share(row.auroc), deviation)
        rows.append(Row((Cell(row.model), *map(Cell, numbers)), row.role))
    return Table(f"{data.name}: image AUROC of every seed.", columns, tuple(rows), frozenset(columns[1:]))


def job_table(findings: Findings) -> Table:
    """Where the numbers of each job lie: its folder in the store, its data, the seed."""
    columns = ("Model", "Data set", "Seed", "Job", "Test data")
    rows = tuple(
        Row(
            (
                Cell(run.model),
                Cell(run.data),
                Cell(str(run.seed)),
                Cell(f"jobs/{run.key}"),
                Cell(f"data/{run.data_key}"),
            ),
            run.role,
        )
        for run in findings.runs
    )
    return Table("Where every job's record lies in the store.", columns, rows, frozenset({"Seed"}))
