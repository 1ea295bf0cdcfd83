# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The report's tables, as text in cells: the page, its Markdown twin and the CSV file print the same ones."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anomalib_patchgan import evaluation
from anomalib_patchgan.report.findings import Area, Comparison, DataResult, Findings, ModelResult, ranked_models
from anomalib_patchgan.report.scores import SPECIFICITY, TARGETS
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
    """A table. Columns named in ``numeric`` are aligned to the right; ``groups`` names the rows' groups."""

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


def _target(rate: float) -> str:
    return f"{100.0 * rate:.0f} %"


def _area_cell(area: Area | None, missing: str = MISSING) -> Cell:
    """A ranking with its interval."""
    if area is None:
        return Cell(missing)
    return Cell(
        _share(area.value), "" if area.interval is None else f"[{area.interval.low:.3f}, {area.interval.high:.3f}]"
    )


def result_table(data: DataResult) -> Table:
    """The main table of one data set."""
    columns = (
        "Model",
        "Image AUROC",
        "SD over seeds",
        "Average precision",
        f"Sensitivity at {100.0 * SPECIFICITY:.0f} % specificity",
        "Pixel AP",
        f"False positives (target {_target(TARGETS[0])})",
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
    image = row.image_area
    about = " · ".join(part for part in (ROLES.get(row.role, row.role), row.note) if part)
    prevalence = "" if data.prevalence is None else f"prevalence {data.prevalence:.3f}"
    return (
        Cell(row.model, about),
        _area_cell(image),
        Cell(_share(image.deviation if image else None), f"{len(row.seeds)} of {row.planned} seeds"),
        Cell(_share(row.mean(lambda seed: seed.average_precision)), prevalence if row.seeds else ""),
        Cell(_percent(row.mean(lambda seed: seed.sensitivity))),
        _area_cell(row.pixel_area, "no map" if row.seeds else MISSING),
        _false_positive_cell(row, 0),
        Cell(_seconds(row.training_seconds)),
        Cell("; ".join(row.flags) or "none"),
    )


def _false_positive_cell(row: ModelResult, position: int) -> Cell:
    """The rate that came out; where the target cannot be promised, the reason and what was done instead."""
    if not row.seeds:
        return Cell(MISSING)
    value = _percent(row.threshold_mean(position, lambda threshold: threshold.false_positive_rate))
    declared = [seed.thresholds[position].declared for seed in row.seeds if seed.thresholds]
    if not declared:
        return Cell("not attainable", "no calibration normals")
    fewest = min(declared, key=lambda one: one.subjects)
    if fewest.rule == "conformal":
        return Cell(value, f"{fewest.samples} calibration normals of {fewest.subjects} subjects")
    needed = evaluation.smallest_calibration_size(TARGETS[position])
    instead = "the largest score" if fewest.rule == "largest" else "a quantile of pooled images"
    return Cell("not attainable", f"{fewest.subjects} calibration subjects, {needed} needed; {instead} gave {value}")


def threshold_table(data: DataResult) -> Table:
    """What the declared thresholds did, at each target."""
    per_target = tuple(
        column.format(_target(target))
        for target in TARGETS
        for column in ("False positives, target {}", "Same by subject, target {}", "Sensitivity at {}", "F1 at {}")
    )
    columns = ("Model", *per_target)
    rows = []
    for row in data.results:
        if row.seeds:
            cells = [Cell(row.model)]
            for position in range(len(TARGETS)):
                cells += [
                    _false_positive_cell(row, position),
                    Cell(_percent(row.threshold_mean(position, lambda one: one.subject_false_positive_rate))),
                    Cell(_percent(row.threshold_mean(position, lambda one: one.sensitivity))),
                    Cell(_share(row.threshold_mean(position, lambda one: one.f1))),
                ]
            rows.append(Row(tuple(cells), row.role))
    caption = (
        f"{data.name}: thresholds declared on calibration normals, and what they did on the test set; the first target "
        "is that of the labels."
    )
    return Table(caption, columns, tuple(rows), frozenset(columns[1:]))


def localisation_table(data: DataResult) -> Table | None:
    """What the maps reached, or None where no model has one."""
    columns = (
        "Model",
        "Pixel AP",
        "SD over seeds",
        "Pixel AUROC",
        f"AUPRO (to {evaluation.AUPRO_LIMIT:g})",
        "AUPIMO",
        "Dice, pooled",
        "Dice per image",
        "Ceiling of Dice (oracle)",
        f"False-positive area (target {_target(evaluation.FALSE_POSITIVE_AREA)})",
    )
    rows = []
    for row in data.results:
        area = row.pixel_area
        if area is not None:
            cells = (
                Cell(row.model),
                _area_cell(area),
                Cell(_share(area.deviation)),
                Cell(_share(row.pixel_mean(lambda pixel: pixel.auroc))),
                Cell(_share(row.pixel_mean(lambda pixel: pixel.aupro))),
                Cell(_share(row.pixel_mean(lambda pixel: pixel.aupimo))),
                Cell(_share(row.declared_pixel_mean(lambda pixel: pixel.dice))),
                Cell(_share(row.declared_pixel_mean(lambda pixel: pixel.image_dice))),
                Cell(_share(row.pixel_mean(lambda pixel: pixel.ceiling_dice))),
                Cell(_percent(row.declared_pixel_mean(lambda pixel: pixel.normal_area))),
            )
            rows.append(Row(cells, row.role))
    caption = (
        f"{data.name}: localisation, mean over seeds. Dice is at the declared pixel threshold; its ceiling is at the "
        "best threshold for the test labels, which nobody knows beforehand."
    )
    return Table(caption, columns, tuple(rows), frozenset(columns[1:])) if rows else None


def lesion_table(data: DataResult) -> Table | None:
    """Lesions found and false alarms by size at the declared pixel threshold, or None where there are none."""
    rows = []
    counts: evaluation.LesionCounts | None = None
    for row in data.results:
        pixels = [seed.pixel.declared for seed in row.seeds if seed.pixel and seed.pixel.declared]
        if pixels:
            counts = pixels[0].lesions
            cells = (
                Cell(row.model),
                Cell(_percent(row.declared_pixel_mean(lambda pixel: pixel.lesions.recall))),
                *(Cell(_percent(value)) for value in recall_by_size(row)),
                *(Cell(_number(value, "{:.2f}")) for value in false_alarms_by_size(row)),
            )
            rows.append(Row(cells, row.role))
    if counts is None:
        return None
    sizes = [f"{name} ({number})" for name, number in zip(evaluation.SIZE_NAMES, counts.lesions, strict=True)]
    columns = (
        "Model",
        "Lesions found",
        *(f"Found, {size}" for size in sizes),
        *(f"False alarms per image, {name}" for name in evaluation.SIZE_NAMES),
    )
    small, large = (100.0 * edge for edge in evaluation.SIZE_EDGES)
    caption = (
        f"{data.name}: lesions at the declared pixel threshold, mean over seeds; in brackets how many there are. A "
        f"lesion is found when one of its pixels is called. Small: below {small:g} % of the image; large: "
        f"{large:g} % or more."
    )
    return Table(caption, columns, tuple(rows), frozenset(columns[1:]))


def recall_by_size(row: ModelResult) -> list[float | None]:
    """Share of the lesions of each size that were found, mean over seeds."""

    def of(position: int) -> float | None:
        return row.declared_pixel_mean(lambda pixel: pixel.lesions.recall_by_size[position])

    return [of(position) for position in range(len(evaluation.SIZE_NAMES))]


def false_alarms_by_size(row: ModelResult) -> list[float | None]:
    """False alarms of each size per image, mean over seeds."""

    def of(position: int) -> float | None:
        return row.declared_pixel_mean(lambda pixel: pixel.lesions.false_alarms_per_image[position])

    return [of(position) for position in range(len(evaluation.SIZE_NAMES))]


def subject_table(data: DataResult) -> Table | None:
    """Samples against subjects, or None where a class has too few subjects or each has one sample."""
    rows = tuple(
        Row((Cell(row.model), _area_cell(row.image_area), _area_cell(row.subject_area)), row.role)
        for row in data.results
        if row.subject_area is not None
    )
    if data.record is None or not rows:
        return None
    abnormal = data.record.samples.groupby("subject_id")["label"].max()
    columns = ("Model", "AUROC over samples", "AUROC over subjects")
    caption = (
        f"{data.name}: samples, and subjects of which {int((abnormal == 1).sum())} are abnormal and "
        f"{int((abnormal == 0).sum())} normal. A subject is abnormal when any of its samples is, and its score is the "
        f"{evaluation.AGGREGATION} of theirs."
    )
    return Table(caption, columns, rows, frozenset(columns[1:]))


def definition_table(data: DataResult) -> Table | None:
    """Image AUROC by how the score is read from the map, or None where no model has a map."""
    top = _target(evaluation.TOP_SHARE)
    titles = {"mean": "Mean", "maximum": "Maximum", "top-k": f"Mean of the top {top}", "rank-weighted": "Rank-weighted"}
    columns = ("Model", "Its own score", *(titles[name] for name in evaluation.DEFINITIONS))
    rows = tuple(
        Row(
            (
                Cell(row.model),
                _area_cell(row.image_area),
                *(_area_cell(row.definition_area(name)) for name in evaluation.DEFINITIONS),
            ),
            row.role,
        )
        for row in data.results
        if row.pixel_area is not None
    )
    caption = (
        f"{data.name}: image AUROC by the definition of the score, all read from the same stored maps. Rank-weighted: "
        "the pixel of rank r has a weight in proportion to 1 / r."
    )
    return Table(caption, columns, rows, frozenset(columns[1:])) if rows else None


def detail_tables(data: DataResult) -> list[Table]:
    """Every table of one data set beyond the main one and the differences, as far as there is something in them."""
    found = (
        threshold_table(data),
        localisation_table(data),
        lesion_table(data),
        subject_table(data),
        definition_table(data),
    )
    return [table for table in found if table is not None and table.rows]


def rank_table(findings: Findings) -> Table | None:
    """Mean ranks over data sets with the critical difference, or None with too few data sets."""
    ranked = ranked_models(findings)
    if ranked is None:
        return None
    models, found = ranked
    order = sorted(range(len(models)), key=lambda position: found.ranks[position])
    rows = []
    for position in order:
        alike = [models[other] for group in found.groups if position in group for other in group if other != position]
        rows.append(
            Row(
                (
                    Cell(models[position]),
                    Cell(f"{found.ranks[position]:.2f}"),
                    Cell(", ".join(dict.fromkeys(alike)) or "none"),
                )
            )
        )
    caption = (
        f"Mean ranks by image AUROC over {len(findings.data)} data sets (Friedman p {found.p_value:.3g}); models whose "
        f"ranks differ by less than {found.critical_difference:.2f} cannot be told apart (Nemenyi, 5 %)."
    )
    columns = ("Model", "Mean rank", "Not told apart from")
    return Table(caption, columns, tuple(rows), frozenset(columns[1:2]))


def comparison_table(data: DataResult, method: str) -> Table:
    """The method against every other model, in points of image AUROC."""
    return _differences(data.comparisons, method, f"{data.name}: paired differences of image AUROC")


def pixel_comparison_table(data: DataResult, method: str) -> Table | None:
    """The method against every other model with a map, in points of average precision over pixels."""
    if not data.pixel_comparisons:
        return None
    return _differences(
        data.pixel_comparisons, method, f"{data.name}: paired differences of average precision over pixels"
    )


def _differences(comparisons: Sequence[Comparison], method: str, title: str) -> Table:
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
        for one in comparisons
    )
    return Table(f"{title} on the same draws of subjects, Holm-adjusted.", columns, rows, frozenset(columns[1:4]))


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
    numbers: dict[str, float | None] = {
        **_area_numbers("image_auroc", row.image_area),
        "average_precision": row.mean(lambda seed: seed.average_precision),
        "prevalence": data.prevalence,
        "sensitivity_at_95_specificity": row.mean(lambda seed: seed.sensitivity),
        **_threshold_numbers(row, 0, ""),
        **_threshold_numbers(row, 1, "_at_1_percent"),
        **_area_numbers("subject_auroc", row.subject_area),
        **_area_numbers("pixel_average_precision", row.pixel_area),
        "pixel_prevalence": data.pixel_prevalence,
        "pixel_auroc": row.pixel_mean(lambda pixel: pixel.auroc),
        "aupro": row.pixel_mean(lambda pixel: pixel.aupro),
        "aupimo": row.pixel_mean(lambda pixel: pixel.aupimo),
        "dice": row.declared_pixel_mean(lambda pixel: pixel.dice),
        "dice_per_image": row.declared_pixel_mean(lambda pixel: pixel.image_dice),
        "dice_ceiling_oracle": row.pixel_mean(lambda pixel: pixel.ceiling_dice),
        "false_positive_area": row.declared_pixel_mean(lambda pixel: pixel.normal_area),
        "target_false_positive_area": evaluation.FALSE_POSITIVE_AREA,
        "lesion_recall": row.declared_pixel_mean(lambda pixel: pixel.lesions.recall),
        **_by_size("lesion_recall", recall_by_size(row)),
        **_by_size("false_alarms_per_image", false_alarms_by_size(row)),
        **{
            key: value
            for name in evaluation.DEFINITIONS
            for key, value in _area_numbers(
                f"image_auroc_of_{name.replace('-', '_')}", row.definition_area(name)
            ).items()
        },
        **_difference_numbers("method_minus_this", data.comparisons, row),
        **_difference_numbers("pixel_method_minus_this", data.pixel_comparisons, row),
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
    return words | shown | {"threshold_rule": _rules(row), "flags": "; ".join(row.flags)}


def _area_numbers(name: str, area: Area | None) -> dict[str, float | None]:
    interval = area.interval if area else None
    return {
        name: area.value if area else None,
        f"{name}_low": interval.low if interval else None,
        f"{name}_high": interval.high if interval else None,
        f"{name}_seed_sd": area.deviation if area else None,
    }


def _threshold_numbers(row: ModelResult, position: int, suffix: str) -> dict[str, float | None]:
    return {
        f"false_positive_rate{suffix}": row.threshold_mean(position, lambda one: one.false_positive_rate),
        f"false_positive_rate_by_subject{suffix}": row.threshold_mean(
            position, lambda one: one.subject_false_positive_rate
        ),
        f"target_false_positive_rate{suffix}": TARGETS[position],
        f"sensitivity{suffix}": row.threshold_mean(position, lambda one: one.sensitivity),
        f"f1{suffix}": row.threshold_mean(position, lambda one: one.f1),
    }


def _by_size(name: str, values: Sequence[float | None]) -> dict[str, float | None]:
    return {f"{name}_{size}": value for size, value in zip(evaluation.SIZE_NAMES, values, strict=True)}


def _difference_numbers(name: str, comparisons: Sequence[Comparison], row: ModelResult) -> dict[str, float | None]:
    one = next((comparison for comparison in comparisons if comparison.model == row.model), None)
    return {
        name: one.difference.value if one else None,
        f"{name}_low": one.difference.interval.low if one else None,
        f"{name}_high": one.difference.interval.high if one else None,
        f"{name}_adjusted_p": one.adjusted_p if one else None,
    }


def _rules(row: ModelResult) -> str:
    """By which rule each target's threshold was made, one after the other."""
    first = next((seed for seed in row.seeds if seed.thresholds), None)
    return "" if first is None else "; ".join(one.declared.rule for one in first.thresholds)


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
