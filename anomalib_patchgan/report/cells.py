# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What tables are made of: cells and rows, and how numbers are written in them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from anomalib_patchgan import evaluation
from anomalib_patchgan.report.findings import SIGNIFICANCE, Area

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


def share(value: float | None) -> str:
    """A value in [0, 1]."""
    return MISSING if value is None else f"{value:.3f}"


def percent(value: float | None) -> str:
    """A value in [0, 1] as a percentage."""
    return MISSING if value is None else f"{100.0 * value:.1f} %"


def seconds(value: float | None) -> str:
    """A time."""
    return MISSING if value is None else f"{value:.1f}"


def number(value: Any, pattern: str = "{:.3g}") -> str:
    """A number after a pattern of :func:`str.format`."""
    return MISSING if value is None else pattern.format(value)


def whole_percent(rate: float) -> str:
    """A rate in [0, 1] as a percentage without decimals."""
    return f"{100.0 * rate:.0f} %"


def adjusted(p_value: float) -> str:
    """An adjusted p-value; one that rounding would carry to 0.050 from below is said to be below it."""
    if p_value < 0.001:
        return "< 0.001"
    text = f"{p_value:.3f}"
    return "< 0.050" if p_value < SIGNIFICANCE and text == f"{SIGNIFICANCE:.3f}" else text


def bracketed(interval: evaluation.Interval | None) -> str:
    """An interval in [0, 1] in brackets, or nothing."""
    return "" if interval is None else f"[{interval.low:.3f}, {interval.high:.3f}]"


def area_cell(area: Area | None, missing: str = MISSING, bar: bool = False) -> Cell:
    """A ranking with its interval, and with a bar where the page has room for one."""
    if area is None:
        return Cell(missing)
    interval = area.interval
    span = Span(interval.low, area.value, interval.high) if bar and interval else None
    return Cell(share(area.value), bracketed(interval), span)


def flattened(value: Any) -> str:
    """A nested mapping as ``key: value`` pairs in one line."""
    return "; ".join(f"{key}: {leaf}" for key, leaf in leaves(value or {}))


def leaves(value: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Every value of a nested mapping that is not None, as text, with its keys joined by dots."""
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield from leaves(item, f"{prefix}{key}.")
        elif item is not None:
            yield f"{prefix}{key}", item if isinstance(item, str) else json.dumps(item, ensure_ascii=False, default=str)
