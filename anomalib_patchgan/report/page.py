# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The report of one store: the page, its Markdown twin, tables and figures."""

import shlex
from pathlib import Path
from typing import Any

from anomalib_patchgan.report import (
    figures,
    image_scores,
    lesions,
    overview,
    robustness,
    tables,
    tradeoffs,
    training,
    verdict,
)
from anomalib_patchgan.report.drawing import Drawing
from anomalib_patchgan.report.examples import RULE, TILES
from anomalib_patchgan.report.files import replace_file, table_files
from anomalib_patchgan.report.findings import Findings, collect
from anomalib_patchgan.report.latex import latex_table
from anomalib_patchgan.report.rendering import render_html, render_markdown
from anomalib_patchgan.report.results_csv import csv_rows
from anomalib_patchgan.report.sections import FIGURES, Section, make_section
from anomalib_patchgan.store import Store

_TABLES = "tables"
RANK_FIGURE = f"{FIGURES}/ranks.svg"
_DATA_FILES = ("results", "robustness", "lesions", "training")
# What an older report may have left in the folders that this one fills; anything else in them stays.
_OWN_FIGURES = (
    "roc-",
    "precision-",
    "intervals-",
    "differences-",
    "latency-",
    "size-",
    "lesion-",
    "training-",
    "example-",
    "robustness-",
    "ranks",
)
_OWN_TABLES = ("results-", "differences-", "lesion-")


def write_report(
    store: Path, output: Path, command: str | None = None, pdf: bool = False, method: str | None = None
) -> Path:
    """Write the report of a store.

    ``index.html`` is the page and ``README.md`` its twin with the pictures in ``figures/``; ``tables/`` holds LaTeX;
    ``results``, ``robustness``, ``lesions`` and ``training`` are CSV and Parquet, each where there is something to put
    into it, and ``scores.parquet`` has every image's score. The same store gives the same bytes.

    Args:
        store: Folder of the result store.
        output: Folder to write to; it is made if need be, and other files in it are left alone.
        command: The command that reproduces the results; by default the one in the plan.
        pdf: Whether to write each figure as PDF too.
        method: Row that all others are compared with; by default the plan's method. The page says so.

    Returns:
        The path of the page.

    Raises:
        InputError: When the folder is not a result store, or has no such row.
    """
    opened = Store(Path(store))
    findings = collect(opened, method)
    sections = [make_section(opened, findings, data, position) for position, data in enumerate(findings.data, 1)]
    context = _context(findings, sections, command)
    output = Path(output)
    # All is made before anything is written, so that an error leaves the old report whole; the page comes last.
    files = (
        _figure_files(sections, context["rank_figure"], pdf) | _latex_files(sections) | _data_files(findings, sections)
    )
    context["data_files"] = sorted(name for name in files if "/" not in name)
    files["README.md"] = render_markdown("README.md.j2", context)
    page = render_html("index.html.j2", context)
    for name, content in files.items():
        replace_file(output / name, content)
    _remove_stale(output, set(files))
    return replace_file(output / "index.html", page)


def _context(findings: Findings, sections: list[Section], command: str | None) -> dict[str, Any]:
    planned = findings.plan.get("command")
    known = command or (shlex.join(planned) if isinstance(planned, list) else planned)
    chosen = verdict.chosen_method(findings)
    rebuild = shlex.join(["anomalib-patchgan", "report", "STORE", *(["--method", findings.method] if chosen else [])])
    if known and chosen:
        known = f"{known}\n{rebuild}"
    return {
        "plan": findings.plan,
        "findings": findings,
        "sections": sections,
        "main_table": overview.overview_table(findings),
        "overall": verdict.overall_verdict(findings),
        "chosen": chosen,
        "ranks": tables.rank_table(findings),
        "rank_figure": figures.rank_figure(findings),
        "rank_path": RANK_FIGURE,
        "deployment": tables.deployment_table(findings),
        "models": tables.model_table(findings),
        "timings": tables.timing_table(findings),
        "jobs": overview.job_table(findings),
        "reported": tables.reported_table(),
        "environment": tables.environment_facts(findings),
        "command": known,
        "rebuild": rebuild,
        "rule": RULE,
        "tiles": TILES,
        "robustness_parameters": robustness.parameter_table(findings),
        "robustness_reading": robustness.READING,
        "lesion_reading": lesions.READING,
        "tradeoff_reading": tradeoffs.READING,
        "reading": verdict.HOW_TO_READ,
    }


def _figure_files(sections: list[Section], ranks: Drawing | None, pdf: bool) -> dict[str, bytes]:
    drawings = {
        section.figure_path(name, "svg"): panel.drawing
        for section in sections
        for name, panel in section.panels.items()
    }
    if ranks is not None:
        drawings[RANK_FIGURE] = ranks
    files = {path: drawing.for_file() for path, drawing in drawings.items()}
    if pdf:
        files |= {f"{path.removesuffix('svg')}pdf": drawing.pdf() for path, drawing in drawings.items()}
    for section in sections:
        for number, example in enumerate(section.gallery.examples, 1):
            for tile in example.tiles:
                # Only the page's sliders need the levels; the coloured map says the same.
                if tile.name != "levels":
                    files[section.tile_path(number, tile.name, tile.kind)] = tile.content
    return files


def _latex_files(sections: list[Section]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for section in sections:
        printed = {f"results-{section.slug}": section.results}
        if section.comparisons.rows:
            printed[f"differences-{section.slug}"] = section.comparisons
        for study, table in zip(section.lesion_studies, section.lesion_tables, strict=True):
            printed[f"lesion-{study.measure}-{section.slug}"] = table
        files |= {
            f"{_TABLES}/{name}.tex": latex_table(table, f"tab:{name}").encode() for name, table in printed.items()
        }
    return files


def _data_files(findings: Findings, sections: list[Section]) -> dict[str, bytes]:
    rows: dict[str, list[dict[str, str]]] = {
        "results": csv_rows(findings),
        "robustness": [row for section in sections for row in robustness.csv_rows(section.data, section.curves)],
        "lesions": [row for section in sections for row in lesions.csv_rows(section.data, section.lesion_studies)],
        "training": [row for section in sections for row in training.csv_rows(section.training)],
    }
    files = {name: content for table in rows for name, content in table_files(table, rows[table]).items()}
    return files | image_scores.scores_file(findings.data)


def _remove_stale(output: Path, written: set[str]) -> None:
    """Remove what an older report of ours left and this one does not have."""
    for folder, own in ((FIGURES, _OWN_FIGURES), (_TABLES, _OWN_TABLES)):
        for path in sorted((output / folder).glob("*")):
            if path.name.startswith(own) and f"{folder}/{path.name}" not in written:
                path.unlink()
    data_files = [f"{name}.{kind}" for name in _DATA_FILES for kind in ("csv", "parquet")]
    for file in (*data_files, image_scores.FILE):
        if file not in written:
            (output / file).unlink(missing_ok=True)
