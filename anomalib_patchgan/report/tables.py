# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The report's tables, as text in cells: the page and its Markdown twin print the same ones."""

from collections.abc import Mapping, Sequence
from typing import Any

from anomalib_patchgan import evaluation
from anomalib_patchgan.report.cells import (
    MISSING,
    ROLES,
    Cell,
    Row,
    Table,
    adjusted,
    area_cell,
    flattened,
    leaves,
    number,
    percent,
    seconds,
    share,
    whole_percent,
)
from anomalib_patchgan.report.findings import Comparison, DataResult, Findings, ModelResult, ranked_models
from anomalib_patchgan.report.scores import SPECIFICITY, TARGETS
from anomalib_patchgan.report.verdict import points, signed_points


def result_table(data: DataResult) -> Table:
    """The main table of one data set."""
    columns = (
        "Model",
        "Image AUROC",
        "SD over seeds",
        "Average precision",
        f"Sensitivity at {100.0 * SPECIFICITY:.0f} % specificity",
        "Pixel AP",
        f"False positives (target {whole_percent(TARGETS[0])})",
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
        area_cell(image),
        Cell(share(image.deviation if image else None), f"{len(row.seeds)} of {row.planned} seeds"),
        Cell(share(row.mean(lambda seed: seed.average_precision)), prevalence if row.seeds else ""),
        Cell(percent(row.mean(lambda seed: seed.sensitivity))),
        area_cell(row.pixel_area, data.no_pixels if row.seeds else MISSING),
        _false_positive_cell(row, 0),
        Cell(seconds(row.training_seconds)),
        Cell("; ".join(row.flags) or "none"),
    )


def _false_positive_cell(row: ModelResult, position: int) -> Cell:
    """The rate that came out; where the target cannot be promised, the reason and what was done instead."""
    if not row.seeds:
        return Cell(MISSING)
    value = percent(row.threshold_mean(position, lambda threshold: threshold.false_positive_rate))
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
        column.format(whole_percent(target))
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
                    Cell(percent(row.threshold_mean(position, lambda one: one.subject_false_positive_rate))),
                    Cell(percent(row.threshold_mean(position, lambda one: one.sensitivity))),
                    Cell(share(row.threshold_mean(position, lambda one: one.f1))),
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
        f"False-positive area (target {whole_percent(evaluation.FALSE_POSITIVE_AREA)})",
    )
    rows = []
    for row in data.results:
        area = row.pixel_area
        if area is not None:
            cells = (
                Cell(row.model),
                area_cell(area),
                Cell(share(area.deviation)),
                Cell(share(row.pixel_mean(lambda pixel: pixel.auroc))),
                Cell(share(row.pixel_mean(lambda pixel: pixel.aupro))),
                Cell(share(row.pixel_mean(lambda pixel: pixel.aupimo))),
                Cell(share(row.declared_pixel_mean(lambda pixel: pixel.dice))),
                Cell(share(row.declared_pixel_mean(lambda pixel: pixel.image_dice))),
                Cell(share(row.pixel_mean(lambda pixel: pixel.ceiling_dice))),
                Cell(percent(row.declared_pixel_mean(lambda pixel: pixel.normal_area))),
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
                Cell(percent(row.declared_pixel_mean(lambda pixel: pixel.lesions.recall))),
                *(Cell(percent(value)) for value in recall_by_size(row)),
                *(Cell(number(value, "{:.2f}")) for value in false_alarms_by_size(row)),
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
        Row((Cell(row.model), area_cell(row.image_area), area_cell(row.subject_area)), row.role)
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
    top = whole_percent(evaluation.TOP_SHARE)
    titles = {"mean": "Mean", "maximum": "Maximum", "top-k": f"Mean of the top {top}", "rank-weighted": "Rank-weighted"}
    columns = ("Model", "Its own score", *(titles[name] for name in evaluation.DEFINITIONS))
    rows = tuple(
        Row(
            (
                Cell(row.model),
                area_cell(row.image_area),
                *(area_cell(row.definition_area(name)) for name in evaluation.DEFINITIONS),
            ),
            row.role,
        )
        for row in data.results
        if row.definition_area(evaluation.DEFINITIONS[0]) is not None
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
    shared = "" if found.data_sets == len(findings.data) else ", those that show the same subjects counted as one"
    caption = (
        f"Mean ranks by image AUROC over {found.data_sets} data sets{shared} (Friedman p {found.p_value:.3g}); models "
        f"whose ranks differ by less than {found.critical_difference:.2f} cannot be told apart (Nemenyi, 5 %)."
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
                Cell(signed_points(one.difference.value)),
                Cell(f"{points(one.difference.interval.low)} to {points(one.difference.interval.high)}"),
                Cell(adjusted(one.adjusted_p)),
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
            flips = number(row.get("label_flips"), "{}")
            size = row.get("size_bytes")
            where = f"{run.model}, {run.data}, seed {run.seed}"
            threads = "" if row.get("threads") is None else f"; {row['threads']} threads"
            cells = (
                Cell(f"{row.get('backend') or MISSING}", f"{where}{threads}"),
                Cell(str(row.get("status") or MISSING), str(row.get("note") or "")),
                Cell(number(row.get("score_max_abs_diff")), _mean_difference(row)),
                Cell(number(row.get("map_max_abs_diff"))),
                Cell(number(row.get("auroc_diff"))),
                Cell(flips, "" if ties is None else f"{ties} ties, {number(row.get('samples'), '{}')} samples"),
                Cell(number(row.get("latency_ms_p50"), "{:.2f}"), _slowest(row)),
                Cell(number(row.get("throughput"), "{:.1f}")),
                Cell(number(row.get("speedup"), "{:.2f} ×")),
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
        Row((Cell(str(group)), *(Cell(number(counts.get(key), "{:,}")) for key in keys)))
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
                Cell(number(run.parameters, "{:,}")),
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
                rows.append(Row((Cell(row.model, data.name), *(Cell(seconds(mean)) for mean in means)), row.role))
    columns = ("Model", *(f"{stage.replace('_', ' ').capitalize()} (s)" for stage in stages))
    return Table("Seconds of each stage, mean over finished seeds.", columns, tuple(rows), frozenset(columns[1:]))


def environment_facts(findings: Findings) -> list[tuple[str, str]]:
    """The environment of all jobs; where jobs differ, every value is listed."""
    values: dict[str, list[str]] = {}
    for environment in (*(run.environment for run in findings.runs), {"versions": findings.plan.get("versions") or {}}):
        for key, value in leaves(environment):
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


def _first_of_each(findings: Findings) -> list[Any]:
    return [row.runs[0] for data in findings.data for row in data.results if row.runs]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
