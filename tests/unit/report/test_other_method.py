# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.report import write_report
from anomalib_patchgan.report.findings import collect
from anomalib_patchgan.store import Store

CHOSEN = "The suite's method is Patch-GAN; PaDiM was put in its place when this page was written."


def rows_of(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "results.csv").open() as table:
        return {row["model"]: row for row in csv.DictReader(table)}


def test_all_rows_are_compared_with_the_one_that_was_chosen(make_store: Callable[..., Path]):
    store = make_store(names=("skin",))
    (planned,) = collect(Store(store)).data
    (chosen,) = collect(Store(store), "PaDiM").data
    there = {one.model: one.difference for one in planned.comparisons}["PaDiM"]
    back = {one.model: one for one in chosen.comparisons}
    assert back["Patch-GAN"].difference.value == pytest.approx(-there.value)
    assert back["Patch-GAN"].role == "comparator"
    assert back["Patch-GAN, untrained"].role == "control"
    assert {row.model: row.role for row in chosen.results}["PaDiM"] == "method"
    assert {run.role for row in chosen.results if row.model == "PaDiM" for run in row.runs} == {"method"}


def test_the_page_says_that_it_is_not_the_suites_own(make_store: Callable[..., Path], tmp_path: Path):
    store = make_store(names=("skin",))
    own, other = tmp_path / "own", tmp_path / "other"
    write_report(store, own)
    write_report(store, other, method="PaDiM")
    repeated = "anomalib-patchgan report STORE --method PaDiM"
    for name in ("README.md", "index.html"):
        assert "put in its place" not in (own / name).read_text()
        text = (other / name).read_text().replace("&#39;", "'")
        assert CHOSEN in text
        # After the suite's own command, and where it is said how this page alone is made.
        assert text.count(repeated) >= 2
        assert "report STORE\n" not in text
        assert "report STORE<" not in text
        assert "report STORE --pdf" not in text
    assert rows_of(own)["PaDiM"]["role"] == "comparator"
    assert rows_of(other)["PaDiM"]["role"] == "method"
    assert rows_of(other)["Patch-GAN"]["image_auroc"] == rows_of(own)["Patch-GAN"]["image_auroc"]


def test_the_suites_method_by_name_gives_the_suites_own_page(make_store: Callable[..., Path], tmp_path: Path):
    store = make_store(names=("skin",))
    own = write_report(store, tmp_path / "own").read_bytes()
    assert write_report(store, tmp_path / "named", method="Patch-GAN").read_bytes() == own


def test_a_row_that_the_plan_lacks_is_a_sentence(make_store: Callable[..., Path]):
    with pytest.raises(InputError, match="'Padim', expected a row of the plan: 'Patch-GAN', 'Patch-GAN, unt"):
        collect(Store(make_store()), "Padim")
