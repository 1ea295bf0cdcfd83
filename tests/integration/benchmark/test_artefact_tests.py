# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pandas as pd
import pytest
import yaml

from anomalib_patchgan import evaluation
from anomalib_patchgan.cli import main
from anomalib_patchgan.store import Store

ARTEFACTS = {"kinds": ["noise", "rotation"], "severities": [1, 5]}


def run_suite(folder, artefacts, model="TinyModel", data="TinyData"):
    """Run the tiny model once on a folder of its own and return its run and its data record."""
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "file").write_text("content")
    init_args = {"root": str(folder / "data"), "cache_dir": str(folder / "cache")}
    suite = {
        "name": "tiny",
        "question": "Does the tiny model bear noise?",
        "method": "Tiny",
        "seeds": [0],
        "store": str(folder / "store"),
        "report": str(folder / "report"),
        "data": {"squares": {"class_path": f"tiny_benchmark.{data}", "init_args": init_args}},
        "models": {"Tiny": {"class_path": f"tiny_benchmark.{model}", "trainer": {"max_epochs": 2}}},
        "artefacts": artefacts,
    }
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite, sort_keys=False))
    assert main(["benchmark", str(folder / "suite.yaml")]) == 0
    store = Store(folder / "store")
    run = store.load_run(store.load_plan()["jobs"][0]["key"], with_maps=True)
    return run, store.load_data(run.data_key)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return run_suite(tmp_path_factory.mktemp("clean"), None)


@pytest.fixture(scope="module")
def tested(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tested")
    return *run_suite(folder, ARTEFACTS), folder


def test_every_sample_is_scored_under_every_artefact_in_the_order_of_the_test_set(tested):
    run, record, _ = tested
    conditions = run.artefacts.groupby(["artefact", "severity"], sort=False)
    assert list(conditions.groups) == [("noise", 1), ("noise", 5), ("rotation", 1), ("rotation", 5)]
    for _, condition in conditions:
        assert condition["sample_id"].tolist() == record.samples["sample_id"].tolist()


def test_scores_differ_between_artefacts_and_severities(tested):
    run, _, _ = tested
    means = run.artefacts.groupby(["artefact", "severity"])["raw_score"].mean()
    assert means.nunique() == len(means)


def test_artefacts_change_nothing_of_the_clean_test(clean, tested):
    pd.testing.assert_frame_equal(tested[0].scores, clean[0].scores)
    pd.testing.assert_frame_equal(tested[0].calibration, clean[0].calibration)
    np.testing.assert_array_equal(tested[0].maps, clean[0].maps)


def test_pixel_average_precision_is_kept_for_every_condition(tested):
    run, record, _ = tested
    assert run.artefact_pixels[["artefact", "severity"]].drop_duplicates().shape == (4, 2)
    assert run.artefact_pixels["pixel_average_precision"].between(0, 1).all()
    weak = run.artefact_pixels.query("artefact == 'rotation' and severity == 1")["pixel_average_precision"].item()
    # Three degrees hardly move a lesion of four pixels in the turned mask or the map.
    clean = evaluation.count_pixels(evaluation.rank_maps(run.maps), record.masks).average_precision()
    assert weak == pytest.approx(clean, abs=0.2)


def test_maps_of_a_model_that_resizes_are_measured_at_the_size_of_the_data_set(tmp_path):
    run, _ = run_suite(tmp_path, {"kinds": ["rotation"], "severities": [1]}, "ResizingModel")
    assert run.maps.shape[1:] == (16, 16)
    assert len(run.artefact_pixels) == 1


def test_a_collection_without_masks_is_scored_by_image_alone(tmp_path):
    run, record = run_suite(tmp_path, ARTEFACTS, data="UnmaskedData")
    assert len(run.artefacts) == 4 * len(record.samples)
    assert run.artefact_pixels is None
    assert (tmp_path / "report" / "robustness.csv").is_file()


def test_suite_that_asks_for_no_artefacts_stores_and_reports_none(clean, tested):
    assert clean[0].artefacts is None
    assert "artefacts" not in clean[0].timings
    assert tested[0].timings["artefacts"] > 0


def test_report_of_the_suite_has_the_section(tested):
    report = tested[2] / "report"
    assert 'id="robustness"' in (report / "index.html").read_text()
    assert len((report / "robustness.csv").read_text().splitlines()) == 1 + 4
