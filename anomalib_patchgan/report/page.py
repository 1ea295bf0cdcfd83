# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The page, its Markdown twin and the table as CSV, written so that no reader ever meets a half-written file."""

import base64
import csv
import io
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from anomalib_patchgan import __version__
from anomalib_patchgan.report import figures, robustness, tables, verdict
from anomalib_patchgan.report.examples import RULE, Gallery, gallery
from anomalib_patchgan.report.findings import DataResult, Findings, collect
from anomalib_patchgan.store import Store

_FIGURES = "figures"
_OWN_FIGURES = ("roc-", "intervals-", "example-", "robustness-")
_ROBUSTNESS_CSV = "robustness.csv"
_MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~$#])")


@dataclass(frozen=True)
class Section:
    """One data set as both templates see it."""

    data: DataResult
    slug: str
    headline: str
    sentences: list[str]
    results: tables.Table
    comparisons: tables.Table
    pixel_comparisons: tables.Table | None
    details: list[tables.Table]
    groups: tables.Table | None
    facts: list[tuple[str, str]]
    roc: str | None
    intervals: str | None
    gallery: Gallery
    curves: list[robustness.Curve]
    robustness: str | None
    robustness_table: tables.Table | None

    @property
    def roc_label(self) -> str:
        """Text that stands for the ROC figure."""
        return f"ROC curves on {self.data.name}, mean over seeds; the areas are in the result table."

    @property
    def interval_label(self) -> str:
        """Text that stands for the interval figure."""
        return f"Image AUROC on {self.data.name} with 95 % intervals; the numbers are in the result table."

    @property
    def robustness_label(self) -> str:
        """Text that stands for the figure of robustness."""
        return f"Image AUROC over severity of each artefact on {self.data.name}; the numbers are in the table below it."

    def tile_path(self, example: int, tile: str, kind: str) -> str:
        """Where the Markdown twin finds a picture."""
        return f"{_FIGURES}/example-{self.slug}-{example}-{tile}.{kind}"


def write_report(store: Path, output: Path, command: str | None = None) -> Path:
    """Write the report of a store: ``index.html``, ``README.md``, ``results.csv`` and the twin's ``figures/``.

    Where models were tested under artefacts there is ``robustness.csv`` too. The same store gives the same bytes.

    Args:
        store: Folder of the result store.
        output: Folder to write to; it is made if need be, and other files in it are left alone.
        command: The command that reproduces the results; by default the one in the plan.

    Returns:
        The path of the page.

    Raises:
        InputError: When the folder is not a result store.
    """
    opened = Store(Path(store))
    findings = collect(opened)
    sections = [_section(opened, findings, data, position) for position, data in enumerate(findings.data, 1)]
    context = _context(findings, sections, command)
    output = Path(output)
    # All is made before anything is written, so that an error leaves the old report whole; the page comes last.
    files: dict[str, bytes] = dict(_figure_files(sections))
    files["results.csv"] = _csv(tables.csv_rows(findings))
    under_artefacts = [row for section in sections for row in robustness.csv_rows(section.data, section.curves)]
    if under_artefacts:
        files[_ROBUSTNESS_CSV] = _csv(under_artefacts)
    files["README.md"] = _markdown().get_template("README.md.j2").render(context).encode()
    page = _html().get_template("index.html.j2").render(context).encode()
    for name, content in files.items():
        _replace(output / name, content)
    for stale in sorted((output / _FIGURES).glob("*")):
        if stale.name.startswith(_OWN_FIGURES) and f"{_FIGURES}/{stale.name}" not in files:
            stale.unlink()
    if _ROBUSTNESS_CSV not in files:
        (output / _ROBUSTNESS_CSV).unlink(missing_ok=True)
    return _replace(output / "index.html", page)


def _section(store: Store, findings: Findings, data: DataResult, position: int) -> Section:
    curves = robustness.robustness_curves(data)
    plain = re.sub(r"[^a-z0-9]+", "-", data.name.lower()).strip("-")[:40]
    return Section(
        data=data,
        slug=f"{position}-{plain}".rstrip("-"),
        headline=verdict.verdict_headline(data, findings.method),
        sentences=verdict.verdict_sentences(data, findings.method),
        results=tables.result_table(data),
        comparisons=tables.comparison_table(data, findings.method),
        pixel_comparisons=tables.pixel_comparison_table(data, findings.method),
        details=tables.detail_tables(data),
        groups=tables.group_table(data),
        facts=tables.card_facts(data),
        roc=figures.roc_figure(data),
        intervals=figures.interval_figure(data),
        gallery=gallery(store, data, findings.method),
        curves=curves,
        robustness=figures.robustness_figure(data, curves),
        robustness_table=robustness.robustness_table(data, curves),
    )


def _context(findings: Findings, sections: list[Section], command: str | None) -> dict[str, Any]:
    planned = findings.plan.get("command")
    known = command or (shlex.join(planned) if isinstance(planned, list) else planned)
    return {
        "plan": findings.plan,
        "findings": findings,
        "sections": sections,
        "overall": verdict.overall_verdict(findings),
        "ranks": tables.rank_table(findings),
        "deployment": tables.deployment_table(findings),
        "models": tables.model_table(findings),
        "timings": tables.timing_table(findings),
        "reported": tables.reported_table(),
        "environment": tables.environment_facts(findings),
        "command": known,
        "rule": RULE,
        "robustness_parameters": robustness.parameter_table(findings),
        "robustness_reading": robustness.READING,
        "reading": verdict.HOW_TO_READ,
        "version": __version__,
    }


def _html() -> jinja2.Environment:
    environment = _environment(autoescape=True)
    environment.filters["data_uri"] = _data_uri
    environment.globals["inline_figure"] = _inline_figure
    environment.globals["style"] = _style
    return environment


def _markdown() -> jinja2.Environment:
    # Every value that a template prints is escaped on its way out, as HTML's autoescape does for the page.
    return _environment(autoescape=False, finalize=_markdown_escape)


def _environment(**options: Any) -> jinja2.Environment:
    return jinja2.Environment(  # noqa: S701 - the Markdown twin is escaped by its own finalizer
        loader=jinja2.PackageLoader("anomalib_patchgan.report"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        **options,
    )


def _markdown_escape(value: Any) -> Any:
    """Make text harmless in Markdown, in and out of tables; numbers and marked text pass."""
    if value is None or isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _MARKDOWN_SPECIAL.sub(r"\\\1", re.sub(r"\s+", " ", value)).replace("&", "&amp;")


def _style() -> Markup:
    """The style sheet, which is ours and holds nothing from the store."""
    return Markup((Path(__file__).parent / "templates" / "style.css").read_text(encoding="utf-8"))  # noqa: S704


def _inline_figure(svg: str, prefix: str, label: str) -> Markup:
    return Markup(figures.for_page(svg, prefix, str(escape(label))))  # noqa: S704 - drawn by us, its label is escaped


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _figure_files(sections: list[Section]) -> list[tuple[str, bytes]]:
    files = []
    for section in sections:
        drawn = {"roc": section.roc, "intervals": section.intervals, "robustness": section.robustness}
        for name, svg in drawn.items():
            if svg is not None:
                files.append((f"{_FIGURES}/{name}-{section.slug}.svg", figures.for_file(svg).encode()))
        for number, example in enumerate(section.gallery.examples, 1):
            files += [(section.tile_path(number, tile.name, tile.kind), tile.content) for tile in example.tiles]
    return files


def _csv(rows: list[dict[str, str]]) -> bytes:
    buffer = io.StringIO()
    if rows:
        writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return buffer.getvalue().encode()


def _replace(path: Path, content: bytes) -> Path:
    """Write a file that appears complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.unfinished")
    temporary.write_bytes(content)
    os.replace(temporary, path)  # noqa: PTH105 - the documented atomic call on every platform
    return path
