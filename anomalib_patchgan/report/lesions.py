# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""How sensitivity depends on the lesion: on its size and on its contrast, both measured in the stored test images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn import metrics

from anomalib_patchgan import evaluation
from anomalib_patchgan.report.cells import ROLES, Cell, Row, Table
from anomalib_patchgan.report.drawing import FAINT, Drawing, colours, dashes, legend_below, sheet, shortened
from anomalib_patchgan.report.findings import DataResult, ModelResult
from anomalib_patchgan.report.scores import SPECIFICITY
from anomalib_patchgan.store import DataRecord

READING = (
    f"Sensitivity at {100.0 * SPECIFICITY:.0f} % specificity among abnormal images in groups of about equal number, "
    "from the smallest or faintest lesions to the largest or strongest; images with equal values stay together. Size "
    "is the share of the image; contrast is the mean gray value of the lesion against that of a ring of 3 pixels "
    "around it, as a share of the full scale, dark or bright alike, and is not known where a lesion fills the image. "
    "Intervals are over the same draws of test subjects as everywhere; the threshold of each seed is taken from the "
    "normal test images, so these numbers describe and do not promise."
)
_GROUPS = 4
_LEAST_IN_GROUP = 5
_RING = 3


@dataclass(frozen=True)
class Line:
    """One model over the groups of lesions: sensitivities, mean over seeds, and their intervals."""

    model: str
    role: str
    sensitivity: tuple[float, ...]
    intervals: tuple[evaluation.Interval | None, ...]


@dataclass(frozen=True)
class Study:
    """Sensitivity over one property of the lesions.

    Attributes:
        measure: ``size`` or ``contrast``.
        groups: Range of each group, as a reader sees it.
        images: Abnormal images in each group.
        left_out: Abnormal images in no group: their value is not known, or their group would be too small.
        lines: One for each model.
    """

    measure: str
    groups: tuple[str, ...]
    images: tuple[int, ...]
    left_out: int
    lines: tuple[Line, ...]


def lesion_studies(data: DataResult, record: DataRecord | None) -> list[Study]:
    """Study every property of the lesions that the stored data show; empty where lesions were not outlined.

    Args:
        data: Results on one data set.
        record: Its record with images and masks, or None.

    Returns:
        At most one study for size and one for contrast; none where fewer than two groups of lesions can be formed.
    """
    rows = [row for row in data.results if row.seeds]
    if record is None or not rows:
        return []
    abnormal = record.samples["label"].to_numpy() == 1
    size = record.samples["lesion_fraction"].to_numpy(dtype=np.float64)
    contrast = lesion_contrast(record, abnormal)
    draws = evaluation.draw_subjects(record.samples["subject_id"].astype(str).tolist())
    hits = {row.model: _hits(row, record.samples["label"].to_numpy()) for row in rows}
    studies = []
    for measure, values in (("size", np.where(size > 0.0, size, np.nan)), ("contrast", contrast)):
        groups = _grouped(np.where(abnormal, values, np.nan))
        if groups:
            lines = tuple(_line(row, hits[row.model], groups, draws) for row in rows)
            ranges = tuple(_range(values[group]) for group in groups)
            images = tuple(int(group.size) for group in groups)
            studies.append(Study(measure, ranges, images, int(abnormal.sum()) - sum(images), lines))
    return studies


def lesion_contrast(record: DataRecord, wanted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Contrast of each lesion to what surrounds it.

    Args:
        record: Data with images and masks.
        wanted: [N] which samples to measure.

    Returns:
        [N] absolute difference of mean gray values in [0, 1]; NaN where there is no lesion, nothing around it, no
        image, or the sample was not wanted.
    """
    contrasts = np.full(len(record.samples), np.nan)
    if record.images is None or record.masks is None:
        return contrasts
    for index in np.flatnonzero(wanted):
        box = ndimage.find_objects(record.masks[index].astype(np.int8))
        if not box:
            continue
        window = tuple(slice(max(0, side.start - _RING), side.stop + _RING) for side in box[0])
        lesion = record.masks[index][window]
        ring = ndimage.binary_dilation(lesion, iterations=_RING) & ~lesion
        if ring.any():
            gray = record.images[index][window].mean(axis=2)
            contrasts[index] = abs(gray[lesion].mean() - gray[ring].mean()) / 255.0
    return contrasts


def _hits(row: ModelResult, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of the seeds [N] that call each sample abnormal at the specificity asked for."""
    runs = {run.seed: run for run in row.runs}
    called = []
    for seed in row.seeds:
        table = runs[seed.seed].scores
        if table is not None:
            scores = table["raw_score"].to_numpy(dtype=np.float64)
            false_positive_rate, _, thresholds = metrics.roc_curve(labels, scores, drop_intermediate=False)
            called.append(scores >= thresholds[false_positive_rate <= 1.0 - SPECIFICITY + 1e-12][-1])
    return np.mean(called, axis=0)


def _grouped(values: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Positions of the finite values in groups of about equal number, ascending; equal values stay together."""
    known = values[np.isfinite(values)]
    if known.size < 2 * _LEAST_IN_GROUP:
        return []
    inner = np.quantile(known, np.linspace(0.0, 1.0, _GROUPS + 1)[1:-1])
    group = np.where(np.isfinite(values), np.searchsorted(np.unique(inner), values, side="left"), -1)
    groups = [np.flatnonzero(group == number) for number in range(_GROUPS)]
    groups = [one for one in groups if one.size >= _LEAST_IN_GROUP]
    return groups if len(groups) > 1 else []


def _line(
    row: ModelResult, hits: NDArray[np.float64], groups: list[NDArray[np.int64]], draws: evaluation.SubjectDraws
) -> Line:
    subjects = draws.counts.shape[1]
    intervals = []
    for group in groups:
        of_group = draws.subject_of_sample[group]
        found = draws.counts @ np.bincount(of_group, hits[group], subjects)
        images = draws.counts @ np.bincount(of_group, minlength=subjects)
        with np.errstate(invalid="ignore"):
            intervals.append(evaluation.percentile_interval(found / images))
    means = tuple(float(hits[group].mean()) for group in groups)
    return Line(row.model, row.role, means, tuple(intervals))


def _range(values: NDArray[np.float64]) -> str:
    return f"{_two_digits(100.0 * values.min())}–{_two_digits(100.0 * values.max())} %"


def _two_digits(value: float) -> str:
    """A percentage with two significant digits, and a hundred as such and not as a power of ten."""
    return "100" if value >= 99.5 else f"{value:.2g}"


def lesion_table(data: DataResult, study: Study) -> Table:
    """The numbers of a study."""
    columns = ("Model", *(f"{group} ({count} images)" for group, count in zip(study.groups, study.images, strict=True)))
    rows = tuple(
        Row(
            (
                Cell(line.model, ROLES.get(line.role, line.role)),
                *(
                    Cell(f"{100.0 * value:.1f} %", _bracketed(interval))
                    for value, interval in zip(line.sensitivity, line.intervals, strict=True)
                ),
            ),
            line.role,
        )
        for line in study.lines
    )
    abnormal = sum(study.images) + study.left_out
    missing = f"; {study.left_out} of {abnormal} abnormal images are in no group" if study.left_out else ""
    caption = f"{data.name}: sensitivity by lesion {study.measure}{missing}."
    return Table(caption, columns, rows, frozenset(columns[1:]))


def csv_rows(data: DataResult, studies: Sequence[Study]) -> list[dict[str, str]]:
    """The studies with plain numbers, one row for each measure, model and group."""
    return [
        {
            "data": data.name,
            "measure": study.measure,
            "group": group,
            "images": str(images),
            "model": line.model,
            "role": line.role,
            "sensitivity": f"{line.sensitivity[number]:.10g}",
            "sensitivity_low": f"{interval.low:.10g}" if (interval := line.intervals[number]) else "",
            "sensitivity_high": f"{interval.high:.10g}" if interval else "",
        }
        for study in studies
        for line in study.lines
        for number, (group, images) in enumerate(zip(study.groups, study.images, strict=True))
    ]


def _bracketed(interval: evaluation.Interval | None) -> str:
    return f"[{100.0 * interval.low:.1f}, {100.0 * interval.high:.1f}]" if interval else ""


def lesion_figure(data: DataResult, study: Study) -> Drawing:
    """Sensitivity of every model over the groups of a study."""
    rows = {row.model: row for row in data.results}
    results = [rows[line.model] for line in study.lines]
    with sheet(5.0, 3.4 + 0.2 * ((len(results) + 1) // 2)) as drawn:
        axes = drawn.figure.subplots()
        positions = np.arange(len(study.groups))
        for line, colour in zip(study.lines, colours(data, results), strict=True):
            method = line.role == "method"
            percent = [100.0 * value for value in line.sensitivity]
            (drawn_line,) = axes.plot(
                positions,
                percent,
                color=colour,
                linestyle=dashes(data, line.model),
                linewidth=2.4 if method else 1.3,
                marker="o",
                markersize=5 if method else 3.5,
                zorder=3 if method else 2,
                label=shortened(line.model),
            )
            drawn.tip(drawn_line, f"{line.model}: {', '.join(f'{value:.1f} %' for value in percent)}")
            if method:
                known = [(place, one) for place, one in zip(positions, line.intervals, strict=True) if one]
                axes.vlines(
                    [place for place, _ in known],
                    [100.0 * one.low for _, one in known],
                    [100.0 * one.high for _, one in known],
                    color=colour,
                    linewidth=1.2,
                )
        axes.set_xticks(positions, study.groups)
        axes.set_ylim(-2.0, 102.0)
        axes.set_xlabel("Lesion, share of the image" if study.measure == "size" else "Contrast, share of full scale")
        axes.set_ylabel(f"Sensitivity at {100.0 * SPECIFICITY:.0f} % specificity (%)")
        axes.grid(axis="y", color=FAINT, linewidth=0.5)
        legend_below(drawn, axes)
        return drawn.finish()
