# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anomalib_patchgan.evaluation import bootstrap
from anomalib_patchgan.report import findings, score_cache, scores
from anomalib_patchgan.report.findings import collect
from anomalib_patchgan.report.score_cache import FOLDER
from anomalib_patchgan.store import Store, maps


@pytest.fixture
def store(make_store):
    return Store(make_store(names=("skin",), models=("Patch-GAN", "Mean intensity")))


def assert_same(one, other):
    """The same types with the same values, all the way down."""
    assert type(one) is type(other)
    if is_dataclass(one):
        for field in fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    elif isinstance(one, tuple):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_same(*pair)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    else:
        assert one == other


def seeds(store):
    return [seed for row in collect(store).data[0].results for seed in row.seeds]


def test_kept_scores_are_the_computed_ones_and_nothing_is_computed_twice(store, monkeypatch):
    computed = seeds(store)
    assert any(seed.pixel for seed in computed)
    monkeypatch.setattr(findings, "score_run", lambda *_: pytest.fail("computed again"))
    for one, other in zip(computed, seeds(store), strict=True):
        assert_same(one, other)


def test_a_changed_record_is_computed_again_and_the_old_entry_goes(store):
    before = seeds(store)[0]
    run = next(row.runs[0] for row in collect(store).data[0].results if row.seeds[0].image.value == before.image.value)
    path = store.root / "jobs" / run.key / "scores.parquet"
    table = pd.read_parquet(path)
    table.assign(raw_score=-table["raw_score"]).to_parquet(path, index=False)
    values = [seed.image.value for row in collect(store).data[0].results for seed in row.seeds]
    assert pytest.approx(1.0 - before.image.value) in values
    assert len(list((store.root / FOLDER).glob(f"{run.key}-*.npz"))) == 1


@pytest.mark.parametrize("module", [scores, maps, bootstrap])
def test_other_code_by_which_scores_are_computed_computes_them_again(monkeypatch, module):
    known = score_cache._code_digest.__wrapped__()
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b"#" * (path == Path(module.__file__)))
    assert score_cache._code_digest.__wrapped__() != known


@pytest.mark.parametrize("content", [b"", b"not a zip", "pickle"])
def test_a_damaged_or_foreign_entry_is_computed_again(store, content, tmp_path):
    expected = seeds(store)
    for path in (store.root / FOLDER).glob("*.npz"):
        if content == "pickle":
            np.savez(path, tree=np.array([{"a": 1}], dtype=object))
        else:
            path.write_bytes(content)
    for one, other in zip(expected, seeds(store), strict=True):
        assert_same(one, other)


def test_a_store_that_cannot_be_written_gives_its_report_all_the_same(store):
    (store.root / FOLDER).write_text("a file in the place of the folder")
    assert all(seed.image.value > 0.5 for seed in seeds(store))
