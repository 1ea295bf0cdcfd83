# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The result tables with plain numbers, for ``results.csv``."""

from collections.abc import Sequence

from anomalib_patchgan import evaluation
from anomalib_patchgan.report.findings import Area, Comparison, DataResult, Findings, ModelResult
from anomalib_patchgan.report.scores import TARGETS
from anomalib_patchgan.report.tables import false_alarms_by_size, recall_by_size


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
