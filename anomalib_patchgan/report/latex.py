# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Tables for a paper, in LaTeX with booktabs."""

import re
import textwrap

from anomalib_patchgan.report.cells import Cell, Table

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after a line's end, a bracket would be taken for that line's option
    "−": "$-$",
    "–": "--",
    "·": r"$\cdot$",
    "×": r"$\times$",
    "→": r"$\to$",
    "…": r"\ldots{}",
}
_LAST_LATIN = 0x17F
_HEAD_WIDTH = 13
_DETAIL_WIDTH = 24


def latex_table(table: Table, label: str) -> str:
    """A table as a float to be included; it needs the packages ``booktabs`` and, for accents, a T1 font.

    The first column's second lines and the column of flags are left out: a page is narrow.

    Args:
        table: What to print.
        label: For references to it; letters, digits, hyphens and colons.
    """
    kept = [number for number, column in enumerate(table.columns) if column != "Flags"]
    heads = [_stacked(textwrap.wrap(table.columns[number], _HEAD_WIDTH), table, number) for number in kept]
    lines = [" & ".join(_cell(row.cells[number], table, number) for number in kept) + r" \\" for row in table.rows]
    alignment = "".join("r" if table.columns[number] in table.numeric else "l" for number in kept)
    return "\n".join(
        (
            "% Needs \\usepackage{booktabs}",
            r"\begin{table}",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
            rf"\caption{{{escaped(table.caption)}}}",
            rf"\label{{{label}}}",
            rf"\begin{{tabular}}{{@{{}}{alignment}@{{}}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        )
    )


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is; a character that its standard fonts lack is named by its code point."""
    return "".join(_escaped_character(character) for character in re.sub(r"\s+", " ", text))


def _escaped_character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    # The quarter of Latin-1 below its letters is partly missing in the fonts.
    known = character.isascii() or (character.isalpha() and ord(character) <= _LAST_LATIN)
    return character if known and character.isprintable() else rf"\texttt{{U+{ord(character):04X}}}"


def _cell(cell: Cell, table: Table, number: int) -> str:
    detail = cell.detail if number else ""
    return _stacked([cell.text, *textwrap.wrap(detail, _DETAIL_WIDTH)], table, number, second=r"\scriptsize ")


def _stacked(parts: list[str], table: Table, number: int, second: str = "") -> str:
    if len(parts) == 1:
        return escaped(parts[0])
    side = "r" if table.columns[number] in table.numeric else "l"
    shown = [escaped(parts[0]), *(f"{{{second}{escaped(part)}}}" for part in parts[1:])]
    return rf"\shortstack[{side}]{{" + r" \\ ".join(shown) + "}"
