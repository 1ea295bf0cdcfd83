# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""One data set as the templates see it: its words, tables, figures and examples."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from anomalib_patchgan.report import figures, lesions, overview, robustness, tables, tradeoffs, training, verdict
from anomalib_patchgan.report.cells import Table
from anomalib_patchgan.report.drawing import Drawing
from anomalib_patchgan.report.examples import Gallery, gallery
from anomalib_patchgan.report.files import slug
from anomalib_patchgan.report.findings import UNREADABLE, DataResult, Findings
from anomalib_patchgan.store import DataRecord, Store

FIGURES = "figures"


@dataclass(frozen=True)
class Panel:
    """A figure with the words around it.

    Attributes:
        drawing: The figure.
        label: Text that stands for it.
        caption: What a reader has to know to read it.
    """

    drawing: Drawing
    label: str
    caption: str


@dataclass(frozen=True)
class Section:
    """One data set as both templates see it."""

    data: DataResult
    slug: str
    headline: str
    sentences: list[str]
    results: Table
    comparisons: Table
    pixel_comparisons: Table | None
    details: list[Table]
    groups: Table | None
    facts: list[tuple[str, str]]
    panels: dict[str, Panel]
    gallery: Gallery
    curves: list[robustness.Curve]
    robustness_table: Table | None
    lesion_studies: list[lesions.Study]
    lesion_tables: list[Table]
    tradeoffs: Table | None
    seeds: Table | None
    training: pd.DataFrame

    def tile_path(self, example: int, tile: str, kind: str) -> str:
        """Where the Markdown twin finds a picture."""
        return f"{FIGURES}/example-{self.slug}-{example}-{tile}.{kind}"

    def figure_path(self, panel: str, kind: str) -> str:
        """Where a figure is written."""
        return f"{FIGURES}/{panel}-{self.slug}.{kind}"


def make_section(store: Store, findings: Findings, data: DataResult, position: int) -> Section:
    """Compute and draw everything about one data set.

    Args:
        store: Where images and maps are.
        findings: All results.
        data: Those on this data set.
        position: Its number among the data sets, from 1.
    """
    record = _with_images(store, data)
    curves = robustness.robustness_curves(data)
    studies = lesions.lesion_studies(data, record)
    points = tradeoffs.tradeoff_points(data)
    logged = training.training_table(data)
    drawn = _drawings(data, findings.method, curves, studies, points, logged)
    return Section(
        data=data,
        slug=f"{position}-{slug(data.name)[:40]}".rstrip("-"),
        headline=verdict.verdict_headline(data, findings.method),
        sentences=verdict.verdict_sentences(data, findings.method),
        results=tables.result_table(data),
        comparisons=tables.comparison_table(data, findings.method),
        pixel_comparisons=tables.pixel_comparison_table(data, findings.method),
        details=tables.detail_tables(data),
        groups=tables.group_table(data),
        facts=tables.card_facts(data),
        panels={
            name: Panel(drawing, f"{label} on {data.name}; the numbers are in the tables.", caption)
            for name, drawing, label, caption in drawn
            if drawing is not None
        },
        gallery=gallery(store, data, record, findings.method),
        curves=curves,
        robustness_table=robustness.robustness_table(data, curves),
        lesion_studies=studies,
        lesion_tables=[lesions.lesion_table(data, study) for study in studies],
        tradeoffs=tradeoffs.tradeoff_table(data, points),
        seeds=overview.seed_table(data),
        training=logged,
    )


def _with_images(store: Store, data: DataResult) -> DataRecord | None:
    if data.record is None:
        return None
    with contextlib.suppress(*UNREADABLE):
        return store.load_data(data.record.key)
    return None


def _drawings(
    data: DataResult,
    method: str,
    curves: list[robustness.Curve],
    studies: list[lesions.Study],
    points: list[tradeoffs.Point],
    logged: pd.DataFrame,
) -> Iterator[tuple[str, Drawing | None, str, str]]:
    """Name, figure, label and caption of everything that can be drawn."""
    yield (
        "intervals",
        figures.interval_figure(data),
        "Image AUROC with 95 % intervals",
        "Image AUROC. Disc: mean over seeds. Line: 95 % interval over subjects. Ticks: single seeds.",
    )
    yield (
        "differences",
        figures.forest_figure(data, method),
        "Paired differences of image AUROC with 95 % intervals",
        "Paired differences. Hollow: not separable after Holm's adjustment. Gray: controls.",
    )
    yield (
        "roc",
        figures.roc_figure(data),
        "ROC curves",
        "ROC curves, mean over seeds. Dashes alone: trivial baselines. Dots alone: controls.",
    )
    yield (
        "precision",
        figures.precision_figure(data),
        "Precision-recall curves",
        "Precision over recall, mean over seeds. The line of chance is the prevalence.",
    )
    yield (
        "latency",
        tradeoffs.latency_figure(data, points),
        "Image AUROC against time for an image",
        "Accuracy against time. The gray line is the Pareto front; diamonds are backends, each named in its tip.",
    )
    yield (
        "size",
        tradeoffs.size_figure(data, points),
        "Image AUROC against number of parameters",
        "Accuracy against size. The gray line is the Pareto front.",
    )
    for study in studies:
        yield (
            f"lesion-{study.measure}",
            lesions.lesion_figure(data, study),
            f"Sensitivity over lesion {study.measure}",
            f"Sensitivity by lesion {study.measure}; bars: 95 % interval of the method.",
        )
    yield (
        "robustness",
        figures.robustness_figure(data, curves),
        "Image AUROC over severity of each artefact",
        "Image AUROC, mean over seeds. Dashes alone: trivial baselines. Dots alone: controls.",
    )
    yield (
        "training",
        training.training_figure(logged),
        "Training curves",
        "Logged values, mean over seeds, each as a share of its largest; the values are in training.csv.",
    )
