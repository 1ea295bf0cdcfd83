# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The report's tables, as text in cells: the page, its Markdown twin and the CSV file print the same ones."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anomalib_patchgan import evaluation
from anomalib_patchgan.report.findings import (
    SPECIFICITY,
    TARGET_FALSE_POSITIVE_RATE,
    DataResult,
    Findings,
    ModelResult,
)
from anomalib_patchgan.report.verdict import points

MISSING = "–"
ROLES = {"method": "method", "comparator": "comparator", "trivial": "trivial baseline", "control": "control"}


@dataclass(frozen=True)
class Span:
    """A value in [0, 1] with its interval, for a small bar beside the number."""

    low: float
    value: float
    high: float


@dataclass(frozen=True)
class Cell:
    """One cell: what it says, a smaller second line, and a bar where the page has room for one."""

    text: str
    detail: str = ""
    span: Span | None = None


@dataclass(frozen=True)
class Row:
    """One row; its first cell is the row's header. The kind is a role, or empty; rows are filtered by their groups."""

    cells: tuple[Cell, ...]
    kind: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table with a caption. Columns named in ``numeric`` are aligned to the right; ``groups`` names what rows are in."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    numeric: frozenset[str] = frozenset()
    groups: tuple[str, ...] = ()


def _share(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{100.0 * value:.1f} %"


def _seconds(value: float | None) -> str:
    return MISSING if value is None else f"{value:.1f}"


def _number(value: Any, pattern: str = "{:.3g}") -> str:
    return MISSING if value is None else pattern.format(value)


def result_table(data: DataResult) -> Table:
    """The main table of one data set."""
    rate = f"{100.0 * TARGET_FALSE_POSITIVE_RATE:.0f} %"
    columns = (
        "Model",
        "Image AUROC",
        "SD over seeds",
        "Average precision",
        f"Sensitivity at {100.0 * SPECIFICITY:.0f} % specificity",
        "Pixel AP",
        f"False positives (target {rate})",
        "Training (s)",
        "Flags",
    )
    prevalence = "" if data.prevalence is None else f" Prevalence of abnormal images {data.prevalence:.3f}"
    pixels = "." if data.pixel_prevalence is None else f", of lesion pixels {data.pixel_prevalence:.4f}."
    protocol = data.card.get("protocol", "not known")
    caption = (
        f"{data.name}, protocol {protocol}: mean over seeds, best image AUROC first; in brackets the 95 % interval "
        f"over {data.subjects} test subjects.{prevalence}{pixels if prevalence else ''}"
    )
    rows = tuple(Row(_result_cells(row, data), row.role) for row in data.results)
    return Table(caption, columns, rows, frozenset(columns[1:-1]))


def _result_cells(row: ModelResult, data: DataResult) -> tuple[Cell, ...]:
    interval = row.interval
    about = " · ".join(part for part in (ROLES.get(row.role, row.role), row.note) if part)
    prevalence = "" if data.prevalence is None else f"prevalence {data.prevalence:.3f}"
    return (
        Cell(row.model, about),
        Cell(_share(row.auroc), "" if interval is None else f"[{interval.low:.3f}, {interval.high:.3f}]"),
        Cell(_share(row.seed_deviation), f"{len(row.seeds)} of {row.planned} seeds"),
        Cell(_share(row.mean(lambda seed: seed.average_precision)), prevalence if row.seeds else ""),
        Cell(_percent(row.mean(lambda seed: seed.sensitivity))),
        _pixel_cell(row),
        _false_positive_cell(row),
        Cell(_seconds(row.training_seconds)),
        Cell("; ".join(row.flags) or "none"),
    )


def _pixel_cell(row: ModelResult) -> Cell:
    value = row.mean(lambda seed: seed.pixel_average_precision)
    if value is not None:
        return Cell(_share(value), f"AUROC {_share(row.mean(lambda seed: seed.pixel_auroc))}")
    return Cell("no map" if row.seeds else MISSING)


def _false_positive_cell(row: ModelResult) -> Cell:
    """The rate that came out; where the target cannot be promised, the reason."""
    value = row.mean(lambda seed: seed.false_positive_rate)
    if not row.seeds:
        return Cell(MISSING)
    size = min(seed.calibration_size for seed in row.seeds)
    if value is None:
        needed = evaluation.smallest_calibration_size(TARGET_FALSE_POSITIVE_RATE)
        return Cell(
            "not attainable", f"{size} calibration normals, {needed} needed" if size else "no calibration normals"
        )
    return Cell(_percent(value), f"{size} calibration normals")


def comparison_table(data: DataResult, method: str) -> Table:
    """The method against every other model, in points of image AUROC."""
    columns = (f"{method} minus", "Difference (points)", "95 % interval", "Adjusted p", "Verdict")
    rows = tuple(
        Row(
            (
                Cell(one.model, ROLES.get(one.role, one.role)),
                Cell(f"{'+' if one.difference.value > 0.0 else ''}{points(one.difference.value)}"),
                Cell(f"{points(one.difference.interval.low)} to {points(one.difference.interval.high)}"),
                Cell("< 0.001" if one.adjusted_p < 0.001 else f"{one.adjusted_p:.3f}"),
                Cell(one.verdict),
            ),
            one.role,
        )
        for one in data.comparisons
    )
    caption = f"{data.name}: paired differences of image AUROC on the same draws of subjects, Holm-adjusted."
    return Table(caption, columns, rows, frozenset(columns[1:4]))


def deployment_table(findings: Findings) -> Table:
    """How the exported model scores and how fast it is, beside the one that was trained."""
    columns = (
        "Backend",
        "Status",
        "Largest score difference",
        "Largest map difference",
        "AUROC difference",
        "Labels flipped",
        "Latency, median (ms)",
        "Images a second",
        "Speed-up",
        "Size (MB)",
    )
    rows = []
    for run in findings.runs:
        for row in run.deployment:
            ties = row.get("label_ties")
            flips = _number(row.get("label_flips"), "{}")
            size = row.get("size_bytes")
            speedup = row.get("speedup")
            where = f"{run.model}, {run.data}, seed {run.seed}"
            threads = "" if row.get("threads") is None else f"; {row['threads']} threads"
            cells = (
                Cell(f"{row.get('backend') or MISSING}", f"{where}{threads}"),
                Cell(str(row.get("status") or MISSING), str(row.get("note") or "")),
                Cell(_number(row.get("score_max_abs_diff")), _mean_difference(row)),
                Cell(_number(row.get("map_max_abs_diff"))),
                Cell(_number(row.get("auroc_diff"))),
                Cell(flips, "" if ties is None else f"{ties} ties, {_number(row.get('samples'), '{}')} samples"),
                Cell(_number(row.get("latency_ms_p50"), "{:.2f}"), _slowest(row)),
                Cell(_number(row.get("throughput"), "{:.1f}")),
                Cell(MISSING if speedup is None else f"{speedup:.2f} ×"),
                Cell(MISSING if size is None else f"{size / 1e6:.2f}"),
            )
            rows.append(Row(cells))
    caption = "Every backend against the trained model: does it score alike, and how fast is it, one image at a time."
    return Table(caption, columns, tuple(rows), frozenset(columns[2:]))


def _mean_difference(row: Mapping[str, Any]) -> str:
    mean = row.get("score_mean_abs_diff")
    return "" if mean is None else f"mean {mean:.3g}"


def _slowest(row: Mapping[str, Any]) -> str:
    percentiles = {"p90": row.get("latency_ms_p90"), "p99": row.get("latency_ms_p99")}
    return ", ".join(f"{name} {value:.2f}" for name, value in percentiles.items() if value is not None)


def group_table(data: DataResult) -> Table | None:
    """Subjects and samples in each group, or None when the card does not say."""
    groups = data.card.get("groups")
    if not isinstance(groups, Mapping) or not groups:
        return None
    keys = ("subjects", "normal", "abnormal")
    rows = tuple(
        Row((Cell(str(group)), *(Cell(_number(counts.get(key), "{:,}")) for key in keys)))
        for group, counts in groups.items()
    )
    columns = ("Group", "Subjects", "Normal samples", "Abnormal samples")
    return Table(f"{data.name}: groups of subjects, disjoint.", columns, rows, frozenset(columns[1:]))


def card_facts(data: DataResult) -> list[tuple[str, str]]:
    """What else the data card says, as terms and descriptions."""
    card = data.card
    size = card.get("image_size")
    excluded = card.get("excluded") or {}
    facts = [
        ("Protocol", card.get("protocol")),
        ("What normal means", card.get("normal_means")),
        ("Image size", " × ".join(str(side) for side in size) if size else None),
        ("Protocol parameters", flattened(card.get("protocol_parameters"))),
        ("Left out, by reason", "; ".join(f"{reason}: {count}" for reason, count in excluded.items()) or "nothing"),
        ("SHA-256 of the split", card.get("split_sha256")),
        ("Origin", "synthetic (phantoms)" if card.get("phantom") else "real data"),
        ("Phantom parameters", flattened(card.get("phantom_parameters")) if card.get("phantom") else None),
    ]
    return [(term, str(description)) for term, description in facts if description]


def model_table(findings: Findings) -> Table:
    """What each model is and what it was allowed: class, arguments, size, budget."""
    columns = ("Model", "Class", "Parameters", "Threads", "Budget", "Arguments")
    rows = [
        Row(
            (
                Cell(run.model, run.data),
                Cell(run.model_class),
                Cell(_number(run.parameters, "{:,}")),
                Cell(str(run.threads)),
                Cell(flattened(run.budget) or MISSING),
                Cell(flattened(run.model_arguments) or "defaults"),
            ),
            run.role,
        )
        for run in _first_of_each(findings)
    ]
    return Table("Models: the first finished seed of each.", columns, tuple(rows), frozenset(columns[2:4]))


def timing_table(findings: Findings) -> Table:
    """Seconds of every stage, mean over the finished seeds."""
    stages = list(dict.fromkeys(stage for run in findings.runs for stage in run.timings))
    rows = []
    for data in findings.data:
        for row in data.results:
            if row.runs:
                means = (_mean([run.timings.get(stage) for run in row.runs]) for stage in stages)
                rows.append(Row((Cell(row.model, data.name), *(Cell(_seconds(mean)) for mean in means)), row.role))
    columns = ("Model", *(f"{stage.replace('_', ' ').capitalize()} (s)" for stage in stages))
    return Table("Seconds of each stage, mean over finished seeds.", columns, tuple(rows), frozenset(columns[1:]))


def environment_facts(findings: Findings) -> list[tuple[str, str]]:
    """The environment of all jobs; where jobs differ, every value is listed."""
    values: dict[str, list[str]] = {}
    for environment in (*(run.environment for run in findings.runs), {"versions": findings.plan.get("versions") or {}}):
        for key, value in _leaves(environment):
            known = values.setdefault(key, [])
            if value not in known:
                known.append(value)
    return [(key, "; ".join(known)) for key, known in values.items()]


def reported_table() -> Table:
    """What the paper's abstract reports, in a table of its own."""
    columns = ("Source", "Data set", "AUC as reported", "Protocol", "Comparable with this report")
    source = Cell("Chen et al., arXiv 2501.17906, abstract", "Patch-GAN, as reported")
    rows = tuple(
        Row((source, Cell(name), Cell(value), Cell("not known to us"), Cell("no")), "reported")
        for name, value in (("ISIC 2016", "95.79 %"), ("BraTS 2019", "96.05 %"))
    )
    return Table("What the paper reports: its numbers, not ours.", columns, rows, frozenset({"AUC as reported"}))


def csv_rows(findings: Findings) -> list[dict[str, str]]:
    """The result tables with plain numbers, one row for each data set and model."""
    return [_csv_row(data, row) for data in findings.data for row in data.results]


def _csv_row(data: DataResult, row: ModelResult) -> dict[str, str]:
    comparison = next((one for one in data.comparisons if one.model == row.model), None)
    interval = row.interval
    numbers: dict[str, float | None] = {
        "image_auroc": row.auroc,
        "image_auroc_low": interval.low if interval else None,
        "image_auroc_high": interval.high if interval else None,
        "image_auroc_seed_sd": row.seed_deviation,
        "average_precision": row.mean(lambda seed: seed.average_precision),
        "prevalence": data.prevalence,
        "sensitivity_at_95_specificity": row.mean(lambda seed: seed.sensitivity),
        "pixel_average_precision": row.mean(lambda seed: seed.pixel_average_precision),
        "pixel_auroc": row.mean(lambda seed: seed.pixel_auroc),
        "pixel_prevalence": data.pixel_prevalence,
        "false_positive_rate": row.mean(lambda seed: seed.false_positive_rate),
        "target_false_positive_rate": TARGET_FALSE_POSITIVE_RATE,
        "method_minus_this": comparison.difference.value if comparison else None,
        "method_minus_this_low": comparison.difference.interval.low if comparison else None,
        "method_minus_this_high": comparison.difference.interval.high if comparison else None,
        "method_minus_this_adjusted_p": comparison.adjusted_p if comparison else None,
        "training_seconds": row.training_seconds,
        "parameters": row.parameters,
    }
    words = {
        "data": data.name,
        "protocol": str(data.card.get("protocol", "")),
        "phantom": str(bool(data.card.get("phantom"))).lower(),
        "model": row.model,
        "role": row.role,
        "note": row.note,
        "seeds_scored": str(len(row.seeds)),
        "seeds_planned": str(row.planned),
    }
    shown = {name: "" if value is None else f"{value:.10g}" for name, value in numbers.items()}
    return words | shown | {"flags": "; ".join(row.flags)}


def flattened(value: Any) -> str:
    """A nested mapping as ``key: value`` pairs in one line."""
    return "; ".join(f"{key}: {leaf}" for key, leaf in _leaves(value or {}))


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield from _leaves(item, f"{prefix}{key}.")
        elif item is not None:
            yield f"{prefix}{key}", item if isinstance(item, str) else json.dumps(item, ensure_ascii=False, default=str)


def _first_of_each(findings: Findings) -> list[Any]:
    return [row.runs[0] for data in findings.data for row in data.results if row.runs]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
