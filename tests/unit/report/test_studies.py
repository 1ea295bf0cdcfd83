# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The numbers behind the figures, each against a slow and plain computation."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from anomalib_patchgan.report import write_report
from anomalib_patchgan.report.cells import MISSING
from anomalib_patchgan.report.findings import collect
from anomalib_patchgan.report.lesions import lesion_contrast, lesion_studies, lesion_table
from anomalib_patchgan.report.overview import overview_table, seed_table
from anomalib_patchgan.report.precision import RECALL_GRID, mean_precision
from anomalib_patchgan.report.rendering import sort_value
from anomalib_patchgan.report.tradeoffs import Point, front, tradeoff_points
from anomalib_patchgan.report.training import training_figure, training_table
from anomalib_patchgan.store import DataRecord, Store


def add_curves(run):
    """Let Patch-GAN log three epochs and PaDiM one."""
    steps = {"Patch-GAN": 3, "PaDiM": 1}.get(run.model, 0)
    run.curves = pd.DataFrame({"step": range(steps), "name": "train_loss", "value": 1.0 / (1.0 + np.arange(steps))})
    return run


@pytest.fixture(scope="module")
def found(write_store, tmp_path_factory):
    """Findings on one data set, and its record with images."""
    root = write_store(tmp_path_factory.mktemp("studies"), names=("skin",), change=add_curves)
    findings = collect(Store(root))
    return findings, Store(root).load_data(findings.data[0].record.key)


def record_of(image, mask):
    samples = pd.DataFrame({"sample_id": ["a"], "subject_id": ["a"], "label": [1], "lesion_fraction": [mask.mean()]})
    pictures = np.repeat(image.astype(np.uint8)[None, ..., None], 3, axis=3)
    return DataRecord(
        key="", name="", data_class="", data_arguments={}, card={}, samples=samples, images=pictures, masks=mask[None]
    )


@pytest.mark.parametrize(("lesion", "contrast"), [(200, 100 / 255), (0, 100 / 255), (100, 0.0)])
def test_contrast_is_the_distance_from_the_ring_whether_bright_or_dark(lesion, contrast):
    mask = np.zeros((32, 32), bool)
    mask[10:14, 10:14] = True
    image = np.where(mask, lesion, 100)
    image[25:, 25:] = 255  # far from the lesion, so without effect
    assert lesion_contrast(record_of(image, mask), np.array([True]))[0] == pytest.approx(contrast)


@pytest.mark.parametrize("mask", [np.ones((8, 8), bool), np.zeros((8, 8), bool)])
def test_contrast_of_a_lesion_with_nothing_around_it_and_of_none_is_not_known(mask):
    assert np.isnan(lesion_contrast(record_of(np.full((8, 8), 9), mask), np.array([True]))[0])


def test_sensitivity_by_size_is_the_share_called_at_the_specificity(found):
    findings, record = found
    data = findings.data[0]
    study = next(one for one in lesion_studies(data, record) if one.measure == "size")
    line = next(one for one in study.lines if one.model == "PaDiM")
    row = next(one for one in data.results if one.model == "PaDiM")
    labels, sizes = record.samples["label"].to_numpy(), record.samples["lesion_fraction"].to_numpy()
    order = np.argsort(np.where(labels == 1, sizes, np.inf), kind="stable")[: labels.sum()]
    smallest = order[: study.images[0]]
    shares = []
    for run in row.runs:
        scores = run.scores["raw_score"].to_numpy()
        normal = np.sort(scores[labels == 0])[::-1]
        threshold = normal[int(0.05 * normal.size)]  # three of sixty normals may be above it
        shares.append(np.mean(scores[smallest] > threshold))
    assert sum(study.images) == labels.sum()
    assert line.sensitivity[0] == pytest.approx(np.mean(shares))
    assert line.intervals[0].low <= line.sensitivity[0] <= line.intervals[0].high


def test_lesions_that_fill_an_image_are_said_to_have_no_contrast_and_a_whole_is_a_hundred_percent(found):
    findings, record = found
    abnormal = np.flatnonzero(record.samples["label"] == 1)
    filled = abnormal[::2]
    masks = record.masks.copy()
    masks[filled] = True
    fractions = record.samples["lesion_fraction"].to_numpy().copy()
    fractions[filled] = 1.0
    changed = DataRecord(
        **{**vars(record), "masks": masks, "samples": record.samples.assign(lesion_fraction=fractions)}
    )
    data = findings.data[0]
    size, contrast = lesion_studies(data, changed)
    assert size.groups[-1].endswith("–100 %")
    assert (sum(size.images), size.left_out) == (abnormal.size, 0)
    assert (sum(contrast.images), contrast.left_out) == (abnormal.size - filled.size, filled.size)
    assert lesion_table(data, size).caption == "skin: sensitivity by lesion size."
    assert "contrast; 30 of 60 abnormal images are in no group." in lesion_table(data, contrast).caption


def test_lesions_of_one_size_cannot_be_grouped(found):
    findings, record = found
    samples = record.samples.assign(lesion_fraction=np.where(record.samples["label"] == 1, 0.5, 0.0))
    alike = DataRecord(**{**vars(record), "samples": samples})
    assert [one.measure for one in lesion_studies(findings.data[0], alike)] == ["contrast"]


def test_precision_is_that_of_the_strictest_threshold_that_reaches_the_recall(found):
    findings, record = found
    labels = record.samples["label"].to_numpy()
    row = findings.data[0].results[0]
    expected = []
    for run in row.runs:
        scores = run.scores["raw_score"].to_numpy()
        curve = []
        for recall in RECALL_GRID:
            enough = [one for one in np.unique(scores) if np.mean(scores[labels == 1] >= one) >= recall - 1e-9]
            curve.append(metrics.precision_score(labels, scores >= max(enough)))
        expected.append(curve)
    np.testing.assert_allclose(mean_precision(row, labels), np.mean(expected, axis=0))


def test_front_holds_what_nothing_dominates():
    points = [
        Point(name, "comparator", auroc, cost, None, ())
        for name, auroc, cost in (("a", 0.9, 9.0), ("b", 0.8, 2.0), ("c", 0.7, 3.0), ("d", 0.6, 1.0), ("e", 0.95, None))
    ]
    assert [point.model for point in front(points, lambda point: point.milliseconds)] == ["d", "b", "a"]


def test_equal_points_are_both_on_the_front():
    points = [Point(name, "comparator", 0.9, 1.0, None, ()) for name in "ab"]
    assert len(front(points, lambda point: point.milliseconds)) == 2


def test_time_for_an_image_is_the_pass_over_the_test_set_shared_out(found):
    point = next(one for one in tradeoff_points(found[0].data[0]) if one.model == "Patch-GAN")
    assert point.milliseconds == pytest.approx(1000.0 * 1.25 / 120)
    assert {one.backend for one in point.exported} == {"pytorch_fp32", "openvino_fp32"}


def test_timed_backends_of_pytorch_are_not_called_exported(make_store, tmp_path):
    page = write_report(make_store(names=("skin",), models=("Patch-GAN",)), tmp_path)
    text = " ".join(page.read_text().split())
    assert "diamonds are backends" in text
    assert "diamonds are exported models" not in text.lower()


def test_training_of_one_epoch_is_in_the_table_and_not_in_the_figure(found):
    table = training_table(found[0].data[0])
    assert table.groupby("model").size().to_dict() == {"PaDiM": 2, "Patch-GAN": 6}
    drawing = training_figure(table)
    assert ">Patch-GAN<" in drawing.svg
    assert ">PaDiM<" not in drawing.svg
    assert training_figure(table[table["model"] == "PaDiM"]) is None


def test_overview_has_the_lead_over_each_rival_and_none_over_itself(found):
    rows = {row.cells[0].text: row.cells for row in overview_table(found[0]).rows}
    assert rows["Patch-GAN"][3].text == MISSING
    assert rows["Mean intensity"][3].text.startswith("+")
    assert rows["Mean intensity"][3].detail.endswith("ahead")
    span = rows["PaDiM"][2].span
    assert span.low < span.value < span.high
    assert rows["PaDiM"][2].text == f"{span.value:.3f}"


def test_seeds_stand_beside_their_mean(found):
    cells = seed_table(found[0].data[0]).rows[0].cells
    one, other, mean = (float(cell.text) for cell in cells[1:4])
    assert mean == pytest.approx((one + other) / 2, abs=1e-3)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.656", "0.656"), ("−3.1", "-3.1"), ("+4.7", "+4.7"), ("12.1 %", "12.1"), ("1,300,000", "1300000"), ("–", ""),
     ("no map", ""), ("2.31 ×", "2.31"), ("< 0.001", "0.001"), ("1.2e-05", "1.2e-05")],
)  # fmt: skip
def test_columns_of_numbers_are_sorted_by_the_number_in_the_text(text, value):
    assert sort_value(text) == value
