# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The numbers in the tables of docs/results.md and of the README are those of the committed reports.

A row whose first cell links a report, ``[data set](../reports/PAGE/README.md)``, is checked cell by cell. A cell holds
the numbers of the model that heads its column, unless it begins with another model's name::

    0.711 [0.630, 0.778], 0.429; +3.6 (0.7 to 6.5); pixels **+6.8 (3.4 to 9.9)**

that is image AUROC with its interval, pixel AP, and by how many points the page's method is ahead of it, in bold where
Holm's adjustment leaves it.
"""

import re
from pathlib import Path

import pandas as pd
import pytest

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "docs/results.md")
ROW = re.compile(r"^\| \[(?P<data>\w+)\]\((?:\.\./)?reports/(?P<page>\w+)/README\.md\)")
NUMBER = r"[+-]?\d+\.\d+"


def lead(name: str) -> str:
    return (
        rf"(?P<{name}bold>\*\*)?(?P<{name}lead>{NUMBER}) \((?P<{name}low>{NUMBER}) to (?P<{name}high>{NUMBER})\)(\*\*)?"
    )


CELL = re.compile(
    rf"^(?P<model>[A-Za-z][\w -]*?)? ?(?P<auroc>{NUMBER})(?: \[(?P<low>{NUMBER}), (?P<high>{NUMBER})\])?"
    rf"(?:, (?P<pixel_ap>{NUMBER}))?(?:; {lead('image_')})?(?:; pixels {lead('pixel_')})?$"
)


def cells() -> list[tuple[str, str, str, str]]:
    """Page, data set, model and text of each number."""
    found = []
    head: list[str] = []
    for line in "\n".join((REPOSITORY / name).read_text() for name in DOCUMENTS).splitlines():
        texts = [text.strip() for text in line.strip("|").split("|")]
        row = ROW.match(line)
        if row is not None and head[0] == "data set":
            models = zip(head[1:], texts[1:], strict=True)
            found += [(row["page"], row["data"], model, text) for model, text in models]
        elif not line.startswith("| ---"):
            head = texts
    return found


def is_rounded(text: str | None, number: float) -> bool:
    """Whether a number was rounded to this text; nothing is claimed where there is no text."""
    return text is None or abs(number - float(text)) <= 0.5001 * 10 ** -len(text.split(".")[1])


def rows_of(page: str, data: str) -> pd.DataFrame:
    """The rows of a page that have a result on a data set, by model."""
    table = pd.read_csv(REPOSITORY / "reports" / page / "results.csv")
    return table[(table["data"] == data) & (table["seeds_scored"] > 0)].set_index("model")


@pytest.mark.parametrize(("page", "data", "model", "text"), cells())
def test_a_number_of_a_document_is_that_of_its_report(page: str, data: str, model: str, text: str) -> None:
    table = rows_of(page, data)
    if text == "not run":
        assert model not in table.index
        return
    cell = CELL.match(text)
    assert cell is not None, f"not of the form that is checked: {text!r}"
    row = table.loc[cell["model"] or model]
    assert is_rounded(cell["auroc"], row["image_auroc"])
    assert is_rounded(cell["low"], row["image_auroc_low"])
    assert is_rounded(cell["high"], row["image_auroc_high"])
    assert is_rounded(cell["pixel_ap"], row["pixel_average_precision"])
    for name, column in (("image_", "method_minus_this"), ("pixel_", "pixel_method_minus_this")):
        assert is_rounded(cell[f"{name}lead"], 100 * row[column])
        assert is_rounded(cell[f"{name}low"], 100 * row[f"{column}_low"])
        assert is_rounded(cell[f"{name}high"], 100 * row[f"{column}_high"])
        if cell[f"{name}lead"] is not None:
            assert (cell[f"{name}bold"] is not None) == (row[f"{column}_adjusted_p"] < 0.05)


def test_the_best_of_the_rest_is_the_best_row_that_has_no_column() -> None:
    named = {(page, data): set() for page, data, _, _ in cells()}
    best = {}
    for page, data, model, text in cells():
        named[page, data].add(model)
        if model == "best of the rest":
            best[page, data] = CELL.match(text)["model"]  # type: ignore[index]
    assert best
    for (page, data), model in best.items():
        table = rows_of(page, data)
        rest = table[(table["role"] != "control") & ~table.index.isin(named[page, data])]
        assert rest["image_auroc"].idxmax() == model
