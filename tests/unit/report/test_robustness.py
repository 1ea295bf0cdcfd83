# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import csv
import json

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from anomalib_patchgan.data.artefacts import describe
from anomalib_patchgan.report import write_report
from anomalib_patchgan.store import Run, Store

KINDS, SEVERITIES = ["noise", "rotation"], [1, 3, 5]


def add_artefacts(run: Run) -> Run:
    """Repeat the scores under artefacts that drown them more and more."""
    assert run.scores is not None
    generator = np.random.default_rng([run.seed, len(run.model)])
    tables = []
    for kind in KINDS:
        for severity in SEVERITIES:
            drowned = run.scores["raw_score"] + generator.normal(0, severity, len(run.scores))
            condition = {"artefact": kind, "severity": severity}
            tables.append(
                pd.DataFrame({"sample_id": run.scores["sample_id"], "raw_score": drowned}).assign(**condition)
            )
    run.artefacts = pd.concat(tables, ignore_index=True)
    if run.maps is not None:
        rows = [(kind, severity, 0.5 / severity) for kind in KINDS for severity in SEVERITIES]
        run.artefact_pixels = pd.DataFrame(rows, columns=["artefact", "severity", "pixel_average_precision"])
    return run


def declare(store):
    """Say in the plan what the artefacts were."""
    path = store / "plan.json"
    asked = {"kinds": KINDS, "severities": SEVERITIES, "parameters": describe(KINDS, SEVERITIES)}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"artefacts": asked}))
    return store


@pytest.fixture(scope="module")
def tested(write_store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("robustness")
    store = declare(write_store(folder / "store", names=("brain phantoms",), change=add_artefacts))
    return store, write_report(store, folder / "out").parent


def rows_of(folder):
    with (folder / "robustness.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_auroc_under_an_artefact_is_the_mean_of_the_seeds(tested):
    store, folder = Store(tested[0]), tested[1]
    row = next(
        row for row in rows_of(folder) if (row["model"], row["artefact"], row["severity"]) == ("PaDiM", "noise", "3")
    )
    runs = [store.load_run(job["key"]) for job in store.load_plan()["jobs"] if job["model"] == "PaDiM"]
    labels = store.load_data(runs[0].data_key).samples["label"]
    chosen = [run.artefacts.query("artefact == 'noise' and severity == 3")["raw_score"] for run in runs]
    clean = np.mean([metrics.roc_auc_score(labels, run.scores["raw_score"]) for run in runs])
    auroc = np.mean([metrics.roc_auc_score(labels, scores) for scores in chosen])
    assert float(row["image_auroc"]) == pytest.approx(auroc)
    assert float(row["drop"]) == pytest.approx(clean - auroc)


def test_the_interval_of_the_drop_is_around_it_at_the_highest_severity(tested):
    rows = rows_of(tested[1])
    assert len(rows) == 4 * len(KINDS) * len(SEVERITIES)
    for row in rows:
        if row["severity"] == "5":
            assert float(row["drop_low"]) < float(row["drop"]) < float(row["drop_high"])
        else:
            assert row["drop_low"] == row["drop_high"] == ""


def test_pixel_precision_is_shown_for_models_with_maps_alone(tested):
    assert {row["model"] for row in rows_of(tested[1]) if not row["pixel_average_precision"]} == {"Mean intensity"}


def test_page_and_twin_have_figure_table_and_parameters(tested):
    for name in ("index.html", "README.md"):
        text = (tested[1] / name).read_text()
        for part in ("Robustness", "image AUROC under artefacts", "What the artefacts do", "of the full scale"):
            assert part in text, (name, part)
    assert [path.name for path in (tested[1] / "figures").glob("robustness-*.svg")] == [
        "robustness-1-brain-phantoms.svg"
    ]


def test_report_without_artefacts_says_nothing_of_them_and_removes_what_was_there(make_store, tmp_path):
    output = tmp_path / "out"
    (output / "figures").mkdir(parents=True)
    for old in ("robustness.csv", "figures/robustness-1-brain.svg"):
        (output / old).write_text("old")
    page = write_report(make_store(names=("brain phantoms",)), output)
    assert "robustness" not in page.read_text().lower().replace("robustness-", "")
    assert not list(output.rglob("robustness*"))


def test_run_with_other_samples_under_an_artefact_is_unreadable_and_named(make_store, tmp_path):
    def cut(run):
        run = add_artefacts(run)
        if (run.model, run.seed) == ("PaDiM", 1):
            run.artefacts = run.artefacts.iloc[1:]
        return run

    page = write_report(declare(make_store(names=("brain phantoms",), change=cut)), tmp_path / "out").read_text()
    assert "noise at severity 1: found other test samples" in page
