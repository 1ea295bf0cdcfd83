# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""How figures look: one drawing, coloured for a white sheet or by the page's own style sheet."""

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anomalib_patchgan.report.findings import DataResult, ModelResult

# Colours that no two parts share, so that each can be handed over to the style sheet of the page.
INK = "#1b1f24"
FAINT = "#d3d8de"
METHOD = "#b3261e"
CONTROL = "#7b8087"
PAPER = "#fffffe"
SERIES = ("#0b6aa2", "#1a7f5a", "#8a5a00", "#6a3fa0", "#00797f", "#a8327a", "#4a5d23", "#3f51b5")
_PALETTES = {"method": (METHOD,), "control": (CONTROL, *SERIES)}
# The lines of a role: the first, and what follows where the role's colours come again.
_LINES: dict[str, tuple[Any, ...]] = {
    "comparator": ("-", "-.", (0, (9, 1.5, 1, 1.5, 1, 1.5)), (0, (5, 1.5, 1, 1.5, 1, 1.5, 1, 1.5))),
    "trivial": ("--", (0, (7, 3)), (0, (2, 1))),
    "control": (":", (0, (1, 4)), (0, (1, 7))),
}
_STYLE_SHEET = {INK: "ink", FAINT: "line", METHOD: "method", CONTROL: "control", PAPER: "paper"} | {
    colour: f"series-{index}" for index, colour in enumerate(SERIES)
}
_FONT = "'DejaVu Sans'"
_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "anomalib-patchgan",
    # Text stays text: it takes the page's own font, can be selected, and is a fraction of the size of its outlines.
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.titlesize": 9.0,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@dataclass(frozen=True)
class Drawing:
    """A finished figure.

    Attributes:
        svg: The figure as SVG, in the colours of a white sheet.
        tips: What a pointer over a marked part says, by the part's identifier.
        figure: The figure itself, laid out.
    """

    svg: str
    tips: dict[str, str]
    figure: Figure

    def pdf(self) -> bytes:
        """The figure as PDF with its fonts embedded; slower than the SVG, so it is made when asked for."""
        buffer = io.BytesIO()
        with mpl.rc_context(_SETTINGS):
            undated = {"CreationDate": None, "Creator": None, "Producer": None}
            self.figure.savefig(buffer, format="pdf", transparent=True, metadata=undated)
        return buffer.getvalue()

    def for_file(self) -> bytes:
        """The SVG as a file of its own, on a white sheet, so that it can be read on a dark page too."""
        sheet = re.sub(r"(<svg\b[^>]*>)", r'\1<rect width="100%" height="100%" fill="#ffffff"/>', self.svg, count=1)
        # Verdana has the widths of DejaVu Sans, in which the figure was laid out.
        return sheet.replace(f"font-family: {_FONT}", f"font-family: {_FONT}, Verdana, sans-serif").encode()

    def for_page(self, prefix: str, label: str) -> str:
        """The figure as an element of a page.

        Args:
            prefix: Makes the identifiers unique in the page; letters, digits and hyphens.
            label: Text that stands for the figure.

        Returns:
            One ``svg`` element whose colours are custom properties of the page's style sheet.
        """
        element = self.svg[self.svg.index("<svg") :]
        element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
        for name, text in self.tips.items():
            element = element.replace(f'<g id="{name}">', f'<g id="{name}"><title>{escape(text)}</title>', 1)
        element = re.sub(r'\bid="', f'id="{prefix}-', element)
        element = re.sub(r'href="#', f'href="#{prefix}-', element)
        element = element.replace("url(#", f"url(#{prefix}-")
        element = element.replace(f"font-family: {_FONT}; ", "").replace(f"font-family: {_FONT}", "")
        # Text without a fill of its own is in the page's ink.
        element = element.replace("<svg ", '<svg fill="var(--ink)" ', 1)
        for colour, name in _STYLE_SHEET.items():
            element = element.replace(colour, f"var(--{name})")
        # The view box alone gives the proportions; the page gives the width.
        element = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", element, count=1)
        element = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", element, count=1)
        return element.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)


@dataclass
class Sheet:
    """A figure that is being drawn.

    Attributes:
        figure: Where to draw.
        tips: What has been marked so far.
    """

    figure: Figure
    tips: dict[str, str] = field(default_factory=dict)

    def tip(self, artist: Artist, text: str) -> None:
        """Let a pointer over a part of the figure say something; the same must be in a table."""
        name = f"tip{len(self.tips)}"
        artist.set_gid(name)
        self.tips[name] = text

    def finish(self) -> Drawing:
        """Lay the sheet out and draw it."""
        svg = io.StringIO()
        # The date and the version of the drawing library would change the bytes of an unchanged result.
        self.figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        self.figure.set_layout_engine("none")
        return Drawing(svg.getvalue(), self.tips, self.figure)


@contextmanager
def sheet(width: float, height: float) -> Iterator[Sheet]:
    """Begin a figure of a size in inches, in the report's style."""
    with mpl.rc_context(_SETTINGS):
        yield Sheet(Figure(figsize=(width, height), layout="constrained"))


def legend_below(drawn: Sheet, axes: Axes, columns: int = 2) -> None:
    """Put one legend for all panels below them."""
    handles = axes.get_legend_handles_labels()
    drawn.figure.legend(
        *handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=8, handlelength=3.0
    )


def _looks(data: DataResult) -> dict[str, tuple[str, Any]]:
    """Colour and line of each model, by its name among all models planned, so that a failed job changes neither.

    Rows of one role that share a colour do not share a line.
    """
    found: dict[str, tuple[str, Any]] = {}
    numbers: Counter[str] = Counter()
    drawn: Counter[tuple[str, str]] = Counter()
    for row in sorted(data.results, key=lambda row: row.model):
        palette = _PALETTES.get(row.role, SERIES)
        group = row.role if row.role in _PALETTES else ""
        colour = palette[numbers[group] % len(palette)]
        role = row.role if row.role in _LINES else "comparator"
        lines = _LINES[role]
        found[row.model] = colour, lines[drawn[role, colour] % len(lines)]
        numbers[group] += 1
        drawn[role, colour] += 1
    return found


def dashes(data: DataResult, model: str) -> Any:
    """The line of a model as matplotlib takes it: with dashes for trivial baselines, with dots alone for controls."""
    return _looks(data)[model][1]


def colours(data: DataResult, results: Sequence[ModelResult]) -> list[str]:
    """A colour for each model; controls are gray first, and coloured where there are several."""
    looks = _looks(data)
    return [looks[row.model][0] for row in results]


def shortened(name: str) -> str:
    """A name that fits beside an axis."""
    return name if len(name) <= 26 else f"{name[:25]}…"
