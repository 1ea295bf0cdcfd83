# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Image AUROC under artefacts: the numbers and their tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anomalib_patchgan import evaluation
from anomalib_patchgan.report.cells import MISSING, Cell, Row, Table
from anomalib_patchgan.report.findings import DataResult, Findings, ModelResult
from anomalib_patchgan.report.verdict import bracketed_points, points
from anomalib_patchgan.store import Run

READING = (
    "Every model was trained and calibrated once, on clean images, and then scored the same test images again under "
    "each artefact. Severity 0 is the clean test set. A drop is the clean image AUROC minus that under the artefact, "
    "both means over the same seeds; its 95 % interval is over the same draws of test subjects, not adjusted for the "
    "number of rows. An artefact is drawn once for each image, whatever the model and the seed."
)


@dataclass(frozen=True)
class Curve:
    """One model under one artefact, means over its seeds.

    Attributes:
        model: Row name.
        role: Its role.
        artefact: Name of the artefact.
        seeds: Number of seeds behind every mean.
        clean: Image AUROC on the clean test set.
        severities: Severities, ascending.
        auroc: Image AUROC at each.
        drop: Clean minus the AUROC at the highest severity.
        clean_pixel: Average precision over pixels on the clean test set, where there are maps.
        pixel: The same at each severity, where there are maps.
    """

    model: str
    role: str
    artefact: str
    seeds: int
    clean: float
    severities: tuple[int, ...]
    auroc: tuple[float, ...]
    drop: evaluation.Difference | None
    clean_pixel: float | None
    pixel: tuple[float | None, ...]


def robustness_curves(data: DataResult) -> list[Curve]:
    """The curves of one data set, artefact by artefact in the order of the runs; empty where none were asked for."""
    curves = [curve for row in data.results for curve in _row_curves(row, data.subjects)]
    order = list(dict.fromkeys(curve.artefact for curve in curves))
    return sorted(curves, key=lambda curve: order.index(curve.artefact))


def _row_curves(row: ModelResult, subjects: int) -> list[Curve]:
    runs = {run.seed: run for run in row.runs}
    seeds = [seed for seed in row.seeds if seed.artefacts]
    if not seeds:
        return []
    clean = float(np.mean([seed.auroc for seed in seeds]))
    clean_draws = np.mean([seed.draws for seed in seeds], axis=0)
    curves = []
    for artefact in dict.fromkeys(score.artefact for score in seeds[0].artefacts):
        under = [score for seed in seeds for score in seed.artefacts if score.artefact == artefact]
        severities = sorted({score.severity for score in under})
        auroc = [float(np.mean([one.auroc for one in under if one.severity == severity])) for severity in severities]
        worst = np.mean([score.draws for score in under if score.draws is not None], axis=0)
        curves.append(
            Curve(
                model=row.model,
                role=row.role,
                artefact=artefact,
                seeds=len(seeds),
                clean=clean,
                severities=tuple(severities),
                auroc=tuple(auroc),
                drop=evaluation.paired_difference((clean, clean_draws), (auroc[-1], worst), subjects),
                clean_pixel=_mean([seed.pixel_average_precision for seed in seeds]),
                pixel=tuple(
                    _mean([_pixel(runs[seed.seed], artefact, severity) for seed in seeds]) for severity in severities
                ),
            )
        )
    return curves


def _pixel(run: Run, artefact: str, severity: int) -> float | None:
    if run.artefact_pixels is None:
        return None
    table = run.artefact_pixels
    found = table.loc[(table["artefact"] == artefact) & (table["severity"] == severity), "pixel_average_precision"]
    return float(found.iloc[0]) if len(found) else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def label(artefact: str) -> str:
    """The name of an artefact as a reader sees it."""
    return artefact.replace("_", " ").capitalize()


def robustness_table(data: DataResult, curves: Sequence[Curve]) -> Table | None:
    """Image AUROC of every model at every severity, or None where there is none."""
    if not curves:
        return None
    severities = sorted({severity for curve in curves for severity in curve.severities})
    worst = f"Drop at {severities[-1]} (points)"
    pixel = f"Pixel AP, clean → {severities[-1]}"
    columns = ("Artefact", "Model", "Clean", *(f"Severity {severity}" for severity in severities), worst, pixel)
    rows = tuple(Row(_cells(curve, data.no_pixels), curve.role) for curve in curves)
    caption = f"{data.name}: image AUROC under artefacts, mean over seeds; in brackets the 95 % interval of the drop."
    return Table(caption, columns, rows, frozenset(columns[2:]))


def _cells(curve: Curve, no_pixels: str) -> tuple[Cell, ...]:
    interval = curve.drop.interval if curve.drop else None
    drop = points(curve.clean - curve.auroc[-1])
    last = curve.pixel[-1]
    has_pixels = curve.clean_pixel is not None and last is not None
    return (
        Cell(label(curve.artefact)),
        Cell(curve.model),
        Cell(f"{curve.clean:.3f}"),
        *(Cell(f"{value:.3f}") for value in curve.auroc),
        Cell(drop, bracketed_points(interval)),
        Cell(f"{curve.clean_pixel:.3f} → {last:.3f}" if has_pixels else no_pixels),
    )


def parameter_table(findings: Findings) -> Table | None:
    """How strong the artefacts were, as the plan declares it, or None where the plan asked for none."""
    asked: dict[str, Any] = findings.plan.get("artefacts") or {}
    if not asked:
        return None
    severities = tuple(f"Severity {severity}" for severity in asked["severities"])
    rows = tuple(
        Row(
            (
                Cell(label(one["artefact"]), one["effect"]),
                Cell(parameter["name"].replace("_", " "), parameter["unit"]),
                *(Cell(f"{level:g}") for level in parameter["levels"]),
                Cell(one["random"]),
                Cell(one["reason"]),
            )
        )
        for one in asked["parameters"]
        for parameter in one["parameters"]
    )
    columns = ("Artefact", "Parameter", *severities, "Drawn for each image", "Why these strengths")
    return Table("What the artefacts do, and how strong they are.", columns, rows, frozenset(severities))


def csv_rows(data: DataResult, curves: Sequence[Curve]) -> list[dict[str, str]]:
    """The curves with plain numbers, one row for each model, artefact and severity."""
    rows = []
    for curve in curves:
        for severity, auroc, pixel in zip(curve.severities, curve.auroc, curve.pixel, strict=True):
            interval = curve.drop.interval if curve.drop and severity == curve.severities[-1] else None
            numbers = {
                "image_auroc": auroc,
                "clean_image_auroc": curve.clean,
                "drop": curve.clean - auroc,
                "drop_low": interval.low if interval else None,
                "drop_high": interval.high if interval else None,
                "pixel_average_precision": pixel,
                "clean_pixel_average_precision": curve.clean_pixel,
            }
            words = {
                "data": data.name,
                "protocol": str(data.card.get("protocol", MISSING)),
                "phantom": str(bool(data.card.get("phantom"))).lower(),
                "model": curve.model,
                "role": curve.role,
                "seeds_scored": str(curve.seeds),
                "artefact": curve.artefact,
                "severity": str(severity),
            }
            rows.append(words | {key: "" if value is None else f"{value:.10g}" for key, value in numbers.items()})
    return rows
