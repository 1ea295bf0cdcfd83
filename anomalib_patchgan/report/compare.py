# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Two stores side by side: what moved from the first to the second, by how much, and whether it is more than noise."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from anomalib_patchgan import evaluation
from anomalib_patchgan.report.cells import MISSING, ROLES, Cell, Row, Table, adjusted, area_cell, flattened
from anomalib_patchgan.report.drawing import METHOD, SERIES
from anomalib_patchgan.report.figures import Entry, differences_figure
from anomalib_patchgan.report.files import replace_file, table_files
from anomalib_patchgan.report.findings import SIGNIFICANCE, Area, DataResult, Findings, ModelResult, collect
from anomalib_patchgan.report.overview import protocol_of
from anomalib_patchgan.report.rendering import render_html, render_markdown
from anomalib_patchgan.report.same_images import image_parameters, images_digest
from anomalib_patchgan.report.sections import Panel
from anomalib_patchgan.report.tables import environment_facts
from anomalib_patchgan.report.verdict import bracketed_points, signed_points
from anomalib_patchgan.store import Store

READING = (
    "A result is compared where both stores scored the very same test images: the same samples and labels, made with "
    "the same parameters; elsewhere the difference would be one of the data.",
    "The interval is over the same draws of test subjects in both stores, 95 %. A move counts as beyond noise when its "
    "p-value, Holm-adjusted over every result compared, is below 0.05, and when it is larger than 1.96 standard errors "
    "of the seeds, where both stores have at least two.",
    "One point is 0.01 of image AUROC.",
)
_NORMAL_QUANTILE = 1.96


@dataclass(frozen=True)
class Move:
    """One model on one data set, in the first store and in the second.

    Attributes:
        data: Name of the data set.
        protocol: What one sample is.
        model: Row name.
        role: Its role.
        first: Image AUROC in the first store, where it has one.
        second: The same in the second store.
        difference: Second minus first, where both scored the same test images.
        adjusted_p: Holm-adjusted over every move.
        seed_error: Standard error of the difference over seeds; 0 where it is not known.
        reason: Why there is no difference, or empty.
    """

    data: str
    protocol: str
    model: str
    role: str
    first: Area | None
    second: Area | None
    difference: evaluation.Difference | None
    adjusted_p: float
    seed_error: float
    reason: str

    @property
    def verdict(self) -> str:
        """``better``, ``worse``, ``within noise``, or why the two cannot be compared."""
        if self.difference is None:
            return self.reason
        beyond = self.adjusted_p < SIGNIFICANCE and abs(self.difference.value) > _NORMAL_QUANTILE * self.seed_error
        return ("better" if self.difference.value > 0.0 else "worse") if beyond else "within noise"


def _seed_error(rows: Sequence[ModelResult]) -> float:
    """Standard error, from the seeds, of the difference of two means over seeds; 0 where a store has one seed only."""
    known = [(row.image_area, len(row.seeds)) for row in rows]
    squares = [area.deviation**2 / seeds for area, seeds in known if area is not None and area.deviation is not None]
    return math.sqrt(sum(squares)) if len(squares) == len(rows) else 0.0


def write_comparison(first: Path, second: Path, output: Path) -> Path:
    """Write the comparison of two stores: ``index.html``, ``README.md``, ``moves.csv`` and ``moves.parquet``.

    Args:
        first: Folder of the result store that the other one is compared with.
        second: Folder of the other one.
        output: Folder to write to; it is made if need be.

    Returns:
        The path of the page.

    Raises:
        InputError: When a folder is not a result store.
    """
    before, after = collect(Store(Path(first))), collect(Store(Path(second)))
    names = _names(Path(first), Path(second))
    found = moves(before, after)
    drawn = differences_figure(
        [
            Entry(
                f"{one.model}, {one.data}", one.difference, one.verdict, METHOD if one.role == "method" else SERIES[0]
            )
            for one in found
            if one.difference is not None
        ],
        f"{names[1]} minus {names[0]}, points of image AUROC",
    )
    label = f"Differences of image AUROC, {names[1]} minus {names[0]}"
    context = {
        "names": names,
        "answer": answer(found, names),
        "table": move_table(found, names),
        "panel": Panel(drawn, label, "Hollow: within noise.") if drawn else None,
        "environment": _changed(environment_facts(before), environment_facts(after), names, "Environment"),
        "settings": _changed(_settings(before), _settings(after), names, "Setting"),
        "failures": [(name, findings.failures) for name, findings in zip(names, (before, after), strict=True)],
        "reading": READING,
    }
    output = Path(output)
    files = table_files("moves", csv_rows(found))
    files["README.md"] = render_markdown("compare.md.j2", context)
    page = render_html("compare.html.j2", context)
    for name, content in files.items():
        replace_file(output / name, content)
    return replace_file(output / "index.html", page)


def _names(first: Path, second: Path) -> tuple[str, str]:
    """What the stores are called: their folders' names, with as many parents as it takes to tell them apart."""
    one, other = first.resolve().parts, second.resolve().parts
    for depth in range(1, max(len(one), len(other)) + 1):
        if one[-depth:] != other[-depth:]:
            return "/".join(one[-depth:]), "/".join(other[-depth:])
    return f"{first.name} (A)", f"{second.name} (B)"


def moves(before: Findings, after: Findings) -> list[Move]:
    """Every model on every data set of either store, in the order of the second, then of the first."""
    rows = {name: _rows(findings) for name, findings in (("before", before), ("after", after))}
    keys = list(dict.fromkeys((*rows["after"], *rows["before"])))
    pending = [_move(rows["before"].get(key), rows["after"].get(key)) for key in keys]
    compared = [move.difference.p_value for move in pending if move.difference]
    adjusted = iter(evaluation.holm(compared))
    return [
        Move(**{**vars(move), "adjusted_p": next(adjusted)}) if move.difference is not None else move
        for move in pending
    ]


def _rows(findings: Findings) -> dict[tuple[str, str], tuple[DataResult, ModelResult]]:
    return {(data.name, row.model): (data, row) for data in findings.data for row in data.results}


def _move(before: tuple[DataResult, ModelResult] | None, after: tuple[DataResult, ModelResult] | None) -> Move:
    known = after or before
    assert known is not None  # noqa: S101 - every key comes from one of the two
    data, row = known
    first = before[1].image_area if before else None
    second = after[1].image_area if after else None
    reason = ""
    if before is None or after is None:
        reason = "only in the second" if before is None else "only in the first"
    elif first is None or second is None:
        reason = "no result in one"
    elif not _same_images(before[0], after[0]):
        reason = "other test images"
    difference, seed_error = None, 0.0
    if before and after and first is not None and second is not None and not reason:
        difference = evaluation.paired_difference(
            (second.value, second.draws), (first.value, first.draws), data.subjects
        )
        seed_error = _seed_error((before[1], after[1]))
    return Move(data.name, protocol_of(data), row.model, row.role, first, second, difference, 1.0, seed_error, reason)


def _same_images(one: DataResult, other: DataResult) -> bool:
    digest = images_digest(one)
    return digest is not None and digest == images_digest(other)


def answer(found: Sequence[Move], names: tuple[str, str]) -> str:
    """One sentence on what moved."""
    verdicts = [move.verdict for move in found if move.difference is not None]
    if not verdicts:
        return "No result is in both stores on the same test images, so nothing can be compared."
    better, worse, noise = (verdicts.count(verdict) for verdict in ("better", "worse", "within noise"))
    results = "1 result" if len(verdicts) == 1 else f"{len(verdicts)} results"
    return f"Of {results} in both, {names[1]} is better in {better}, worse in {worse} and within noise in {noise}."


def move_table(found: Sequence[Move], names: tuple[str, str]) -> Table:
    """The main table of the comparison."""
    columns = ("Model", "Data set", names[0], names[1], "Moved (points)", "Adjusted p", "Verdict")
    rows = tuple(
        Row(
            (
                Cell(move.model, ROLES.get(move.role, move.role)),
                Cell(move.data, move.protocol),
                area_cell(move.first, bar=True),
                area_cell(move.second, bar=True),
                _moved(move.difference),
                Cell(_p_value(move)),
                Cell(move.verdict),
            ),
            move.role,
            (move.data, move.protocol),
        )
        for move in found
    )
    caption = "Image AUROC, mean over seeds, and what moved; in brackets 95 % intervals over test subjects."
    return Table(caption, columns, rows, frozenset(columns[2:6]), ("Data set", "Protocol"))


def _p_value(move: Move) -> str:
    if move.difference is None:
        return MISSING
    return adjusted(move.adjusted_p)


def _moved(difference: evaluation.Difference | None) -> Cell:
    if difference is None:
        return Cell(MISSING)
    return Cell(signed_points(difference.value), bracketed_points(difference.interval))


def _settings(findings: Findings) -> list[tuple[str, str]]:
    """What each model was built with and allowed, and on which data."""
    facts = []
    for data in findings.data:
        facts.append((f"{data.name}: split", str(data.card.get("split_sha256", "not known"))))
        facts += [(f"{data.name}: {name}", value) for name, value in image_parameters(data).items()]
        for row in data.results:
            for run in row.runs[:1]:
                facts.append((f"{row.model} on {data.name}: arguments", flattened(run.model_arguments) or "defaults"))
                facts.append((f"{row.model} on {data.name}: budget", flattened(run.budget) or MISSING))
    return facts


def _changed(
    before: list[tuple[str, str]], after: list[tuple[str, str]], names: tuple[str, str], title: str
) -> Table | None:
    """What differs between two lists of facts, or None where nothing does."""
    first, second = dict(before), dict(after)
    rows = tuple(
        Row((Cell(key), Cell(first.get(key, MISSING)), Cell(second.get(key, MISSING))))
        for key in dict.fromkeys((*first, *second))
        if first.get(key) != second.get(key)
    )
    return Table(f"{title}: what differs.", (title, *names), rows) if rows else None


def csv_rows(found: Sequence[Move]) -> list[dict[str, str]]:
    """The moves with plain numbers."""
    rows = []
    for move in found:
        difference = move.difference
        numbers = {
            "first": move.first.value if move.first else None,
            "second": move.second.value if move.second else None,
            "moved": difference.value if difference else None,
            "moved_low": difference.interval.low if difference else None,
            "moved_high": difference.interval.high if difference else None,
            "adjusted_p": move.adjusted_p if difference else None,
        }
        shown = {name: "" if value is None else f"{value:.10g}" for name, value in numbers.items()}
        words = {"data": move.data, "protocol": move.protocol, "model": move.model, "role": move.role}
        rows.append(words | shown | {"verdict": move.verdict})
    return rows
