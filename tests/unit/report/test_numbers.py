# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Every number beside the image AUROC, recomputed from the stored scores by other means."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from sklearn import metrics

from anomalib_patchgan.evaluation import aupimo, draw_subjects, rank_maps, smallest_calibration_size
from anomalib_patchgan.report import figures, scores, tables
from anomalib_patchgan.report.findings import DataResult, Findings, ModelResult, collect, ranked_models
from anomalib_patchgan.report.results_csv import csv_rows
from anomalib_patchgan.report.scores import AreaScore, SeedScore, run_thresholds, score_run
from anomalib_patchgan.report.verdict import overall_verdict, verdict_headline, verdict_sentences
from anomalib_patchgan.store import Store


@pytest.fixture(scope="module")
def brain(write_store, tmp_path_factory):
    """The findings on one data set, its method's row in the CSV file, and what they were made from."""
    root = write_store(tmp_path_factory.mktemp("numbers"), names=("brain phantoms",))
    store = Store(root)
    findings = collect(store)
    rows = {row["model"]: row for row in csv_rows(findings)}
    jobs = [job for job in store.load_plan()["jobs"] if job["model"] == "Patch-GAN"]
    runs = [store.load_run(job["key"], with_maps=True) for job in jobs]
    return findings, rows, runs, store.load_data(runs[0].data_key)


def number(rows, name, model="Patch-GAN"):
    return float(rows[model][name])


def test_what_the_label_threshold_did_is_that_of_the_models_own_labels(brain):
    _, rows, runs, record = brain
    labels = record.samples["label"].to_numpy()
    predicted = [run.scores["predicted_label"].to_numpy() for run in runs]
    assert number(rows, "f1") == pytest.approx(np.mean([metrics.f1_score(labels, one) for one in predicted]))
    assert number(rows, "sensitivity") == pytest.approx(np.mean([one[labels == 1].mean() for one in predicted]))
    assert number(rows, "false_positive_rate") == pytest.approx(np.mean([one[labels == 0].mean() for one in predicted]))
    # Two normal samples of each subject, so both ways of counting agree.
    assert number(rows, "false_positive_rate_by_subject") == pytest.approx(number(rows, "false_positive_rate"))
    assert rows["Patch-GAN"]["threshold_rule"] == "conformal; largest"
    assert run_thresholds(runs[0])[0].subjects == 20 >= smallest_calibration_size(0.05)


def test_pixel_numbers_are_those_of_scikit_learn(brain):
    _, rows, runs, record = brain
    masks, threshold = record.masks, runs[0].thresholds["pixel"]
    flat = [run.maps.astype(np.float64) for run in runs]
    assert number(rows, "pixel_auroc") == pytest.approx(
        np.mean([metrics.roc_auc_score(masks.ravel(), one.ravel()) for one in flat])
    )
    f1_scores = [metrics.f1_score(masks.ravel(), (one > threshold).ravel()) for one in flat]
    assert number(rows, "dice") == pytest.approx(np.mean(f1_scores))
    lesion = masks.any(axis=(1, 2))
    per_image = [
        [metrics.f1_score(masks[index].ravel(), (one[index] > threshold).ravel()) for index in np.flatnonzero(lesion)]
        for one in flat
    ]
    assert number(rows, "dice_per_image") == pytest.approx(np.mean(per_image))
    ceiling = []
    for one in flat:
        precision, recall, _ = metrics.precision_recall_curve(masks.ravel(), one.ravel())
        ceiling.append(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12)))
    assert number(rows, "dice_ceiling_oracle") == pytest.approx(np.mean(ceiling))
    areas = [(one[~lesion] > threshold).mean() for one in flat]
    assert number(rows, "false_positive_area") == pytest.approx(np.mean(areas))
    low, high = number(rows, "pixel_average_precision_low"), number(rows, "pixel_average_precision_high")
    assert low < number(rows, "pixel_average_precision") < high


def test_an_abnormal_image_whose_lesion_is_lost_at_the_size_of_the_maps_is_no_normal_image(brain):
    _, _, (run, _), record = brain
    labels = record.samples["label"].to_numpy()
    lost = np.flatnonzero(labels)[0]
    kept = np.arange(len(labels)) != lost
    masks, maps = record.masks.copy(), run.maps.copy()
    masks[lost], maps[lost] = False, 9.0
    test = scores.TestData(record, masks, draw_subjects(record.samples["subject_id"].tolist()))
    pixel = score_run(replace(run, maps=maps), test).pixel
    called = maps[labels == 0].astype(np.float64) > run.thresholds["pixel"]
    assert pixel.declared.normal_area == pytest.approx(called.mean())
    assert pixel.aupimo == pytest.approx(aupimo(rank_maps(maps[kept]), masks[kept]).mean())


def test_lesions_found_are_those_that_a_called_pixel_touches(brain):
    _, rows, runs, record = brain
    found = []
    for run in runs:
        for mask, one in zip(record.masks, run.maps, strict=True):
            labels, count = ndimage.label(mask, np.ones((3, 3)))
            found += [(one[labels == index] > run.thresholds["pixel"]).any() for index in range(1, count + 1)]
    assert number(rows, "lesion_recall") == pytest.approx(np.mean(found))


def test_image_auroc_of_a_definition_is_that_of_the_score_read_from_the_map(brain):
    _, rows, runs, record = brain
    labels = record.samples["label"]
    for name, read in (("mean", np.mean), ("maximum", np.max)):
        expected = [metrics.roc_auc_score(labels, read(run.maps.astype(np.float64), axis=(1, 2))) for run in runs]
        assert number(rows, f"image_auroc_of_{name}") == pytest.approx(np.mean(expected), abs=1e-6)


def test_models_without_maps_have_no_numbers_of_maps(brain):
    findings, rows, _, _ = brain
    empty = rows["Mean intensity"]
    for name in ("pixel_auroc", "aupro", "aupimo", "dice", "lesion_recall", "image_auroc_of_mean"):
        assert empty[name] == ""
    assert {one.model for one in findings.data[0].pixel_comparisons} == {"PaDiM", "Patch-GAN, untrained"}


def test_differences_of_images_and_of_pixels_are_one_family(brain):
    findings, _, _, _ = brain
    (data,) = findings.data
    family = [*data.comparisons, *data.pixel_comparisons]
    assert len(family) == 5
    smallest = min(family, key=lambda one: one.difference.p_value)
    assert smallest.adjusted_p == pytest.approx(min(1.0, 5 * smallest.difference.p_value))
    (sentence,) = [one for one in verdict_sentences(data, "Patch-GAN") if one.startswith("On pixels")]
    assert "PaDiM (" in sentence


def test_a_lead_over_a_rival_below_chance_is_said_to_be_one(write_store, tmp_path):
    def reverse(run):
        if run.model == "Mean intensity":
            run.scores["raw_score"] = -run.scores["raw_score"]
        return run

    findings = collect(Store(write_store(tmp_path, names=("skin",), change=reverse)))
    (data,) = findings.data
    assert [one.model for one in data.comparisons if one.inverted] == ["Mean intensity"]
    assert not any(one.inverted for one in data.pixel_comparisons)
    assert "(1 of them of a rival below chance)" in overall_verdict(findings)
    assert "(1 of them below chance)" in verdict_headline(data, "Patch-GAN")
    assert "Mean intensity, below chance, by" in verdict_sentences(data, "Patch-GAN")[0]


def test_intervals_of_one_subject_are_flagged_and_prove_no_inversion(write_store, tmp_path):
    def reverse(run):
        if run.model == "Mean intensity":
            run.scores["raw_score"] *= -1.0
        return run

    store = write_store(tmp_path, names=("skin",), models=("Patch-GAN", "Mean intensity"), change=reverse)
    (path,) = store.glob("data/*/samples.parquet")
    pd.read_parquet(path).assign(subject_id="one").to_parquet(path, index=False)
    (data,) = collect(Store(store)).data
    assert all(any(flag.startswith("one test subject") for flag in row.flags) for row in data.results)
    assert "below chance" in data.results[-1].flags
    assert [one.inverted for one in data.comparisons] == [False]


def test_labels_of_another_threshold_are_flagged(write_store, tmp_path):
    def flip(run):
        if run.model == "PaDiM" and run.seed == 1:
            run.scores["predicted_label"] = ~run.scores["predicted_label"]
        return run

    (data,) = collect(Store(write_store(tmp_path, names=("skin",), change=flip))).data
    flags = {row.model: row.flags for row in data.results}
    assert flags["PaDiM"] == ["seed 1: the model's own label differs from the declared threshold's on 120 samples"]
    assert not flags["Patch-GAN"]


def test_subjects_have_a_table_where_some_are_normal(brain, write_store, tmp_path):
    assert tables.subject_table(brain[0].data[0]) is None
    root = write_store(tmp_path, names=("skin",), models=("Patch-GAN",))
    (path,) = root.rglob("samples.parquet")
    samples = pd.read_parquet(path)
    # Two subjects for every old one: one with its normal samples, one with its abnormal ones.
    samples["subject_id"] += np.where(samples["label"] == 1, "-patient", "-volunteer")
    samples.to_parquet(path, index=False)
    (data,) = collect(Store(root)).data
    (row,) = data.results
    samples = samples.assign(**{str(run.seed): run.scores["raw_score"] for run in row.runs})
    subjects = samples.groupby("subject_id")[["label", "0", "1"]].max()
    expected = [metrics.roc_auc_score(subjects["label"], subjects[seed]) for seed in ("0", "1")]
    assert row.subject_area.value == pytest.approx(np.mean(expected))
    caption = tables.subject_table(data).caption
    assert "30 are abnormal and 30 normal" in caption
    assert "maximum" in caption


def test_four_normal_subjects_are_too_few_to_rank_subjects(write_store, tmp_path):
    root = write_store(tmp_path, names=("skin",), models=("Patch-GAN",))
    (path,) = root.rglob("samples.parquet")
    samples = pd.read_parquet(path)
    few = samples["subject_id"].isin([f"subject{number:02d}" for number in range(4)]) & (samples["label"] == 0)
    samples["subject_id"] += np.where(few, "-volunteer", "")
    samples.to_parquet(path, index=False)
    (data,) = collect(Store(root)).data
    assert samples.groupby("subject_id")["label"].max().value_counts()[0] == 4
    assert tables.subject_table(data) is None


def row_of(model, auroc):
    area = AreaScore(auroc, np.full(9, auroc))
    seed = SeedScore(0, area, 0.5, 0.5, None, (), None, {}, np.zeros(201), (), ())
    return ModelResult(model, "comparator", "", 1, [], [seed])


def test_mean_ranks_are_shown_with_five_data_sets_or_more():
    third = [0.6, 0.7] * 3
    data = [
        DataResult(f"set {index}", results=[row_of("A", 0.9), row_of("B", 0.8), row_of("C", value)])
        for index, value in enumerate(third)
    ]
    ranked = ranked_models(Findings({}, data, []))
    assert ranked is not None
    assert ranked[0] == ["A", "B", "C"]
    assert ranked[1].ranks == pytest.approx([1.0, 2.0, 3.0])
    table = tables.rank_table(Findings({}, data, []))
    assert [row.cells[0].text for row in table.rows] == ["A", "B", "C"]
    assert table.rows[0].cells[2].text == "B"
    drawn = figures.rank_figure(Findings({"method": "B"}, data, []))
    assert list(drawn.tips.values()) == [f"{name}: mean rank {rank}.00" for rank, name in enumerate("ABC", 1)]
    assert "critical difference" in drawn.svg
    assert figures.rank_figure(Findings({}, data[:4], [])) is None
    assert tables.rank_table(Findings({}, data[:4], [])) is None
    data[0].results.pop()
    assert tables.rank_table(Findings({}, data, [])) is None


def test_data_sets_of_one_collection_count_as_one_in_the_mean_ranks(write_store, tmp_path):
    """The same subjects, read in another way, are no second piece of evidence."""
    record = collect(Store(write_store(tmp_path, names=("brain",), models=("Patch-GAN",)))).data[0].record
    data = [
        DataResult(
            f"set {index}",
            record=replace(record, data_arguments={"root": root}),
            results=[row_of("A", first), row_of("B", 0.8), row_of("C", 0.5)],
        )
        for index, (root, first) in enumerate([("a", 0.9), ("a", 0.6), ("b", 0.9), ("c", 0.9), ("d", 0.9), ("e", 0.9)])
    ]
    _, found = ranked_models(Findings({}, data, []))
    # In the mean of its two sets A is behind B in one collection of five.
    assert found.data_sets == 5
    assert found.ranks == pytest.approx([1.2, 1.8, 3.0])
    assert (
        "over 5 data sets, those that show the same subjects counted as one"
        in tables.rank_table(Findings({}, data, [])).caption
    )
    assert ranked_models(Findings({}, data[:5], [])) is None
