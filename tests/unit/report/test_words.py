# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from anomalib_patchgan.evaluation import Difference, Interval
from anomalib_patchgan.report.cells import adjusted
from anomalib_patchgan.report.examples import choose
from anomalib_patchgan.report.findings import Comparison, DataResult, Findings, ModelResult
from anomalib_patchgan.report.verdict import bracketed_points, overall_verdict, points, signed_points, verdict_headline


def test_examples_are_chosen_by_rank_by_lesion_and_by_threshold():
    labels = np.array([0, 0, 1, 1, 1, 1, 1])
    scores = np.array([0.1, 0.9, 1.0, 0.8, 0.7, 0.4, 0.2])
    fractions = np.array([0.0, 0.0, 0.1, 0.1, 0.1, 0.3, 0.2])
    chosen = choose(labels, scores, fractions, threshold=0.5)
    assert chosen == {2: "Best", 4: "Median", 6: "Worst", 5: "Missed", 1: "False alarm"}


def test_one_image_chosen_by_two_rules_is_shown_once():
    chosen = choose(np.array([0, 1]), np.array([0.1, 0.2]), np.array([0.0, np.nan]), threshold=0.5)
    assert chosen == {1: "Best, median, worst, missed"}


def test_without_a_threshold_nothing_is_called_missed():
    chosen = choose(np.array([0, 1, 1]), np.array([0.3, 0.1, 0.2]), np.zeros(3), threshold=None)
    assert chosen == {2: "Best, median", 1: "Worst"}


@pytest.mark.parametrize(("value", "text"), [(0.0312, "3.1"), (-0.0312, "−3.1"), (-0.0001, "0.0")])
def test_points_have_a_true_minus_and_no_negative_zero(value, text):
    assert points(value) == text


def test_a_difference_has_its_sign_and_its_interval_brackets():
    assert [signed_points(value) for value in (0.04, -0.04, 0.0)] == ["+4.0", "−4.0", "0.0"]
    assert bracketed_points(Interval(-0.012, 0.069, 2000)) == "[−1.2, 6.9]"
    assert bracketed_points(None) == ""


@pytest.mark.parametrize(
    ("p_value", "text"),
    [(0.0004, "< 0.001"), (0.0494, "0.049"), (0.0496, "< 0.050"), (0.05, "0.050"), (0.0504, "0.050"), (1.0, "1.000")],
)
def test_a_p_value_is_written_on_the_side_of_the_level_that_its_verdict_is_on(p_value, text):
    assert adjusted(p_value) == text


def against(model, verdict, role="comparator"):
    value = -0.05 if verdict == "behind" else 0.05
    difference = Difference(value, Interval(value - 0.01, value + 0.01, 2000), p_value=0.01)
    return Comparison(model, role, difference, adjusted_p=0.5 if verdict == "unclear" else 0.01, inverted=False)


@pytest.mark.parametrize(
    ("rivals", "sentence"),
    [
        ({}, "No verdict: M has no rival with a usable result on this data set."),
        ({"A": "ahead"}, "M is ahead of its only rival."),
        ({"A": "unclear"}, "M is not separable from its only rival."),
        ({"A": "ahead", "B": "ahead"}, "M is ahead of all 2 rivals."),
        ({"A": "unclear", "B": "unclear"}, "M is not separable from any of its 2 rivals."),
        (
            {"A": "ahead", "B": "unclear"},
            "M is ahead of 1 of 2 rivals and not separable from the other; none is ahead of it.",
        ),
        (
            {"A": "ahead", "B": "unclear", "C": "unclear"},
            "M is ahead of 1 of 3 rivals and not separable from the others; none is ahead of it.",
        ),
        (
            {"A": "behind"},
            "M loses here: it is behind A by 5.0 points (95 % interval 4.0 to 6.0).",
        ),
        (
            {"A": "behind", "B": "behind", "C": "ahead", "D": "unclear"},
            "M loses here: it is behind A by 5.0 points (95 % interval 4.0 to 6.0) and B by 5.0 (4.0 to 6.0), and "
            "ahead of 1 of 4 rivals.",
        ),
    ],
)
def test_the_headline_says_plainly_who_is_ahead(rivals, sentence):
    comparisons = [against(model, verdict) for model, verdict in rivals.items()]
    method = ModelResult("M", "method", "", seeds=[object()])
    data = DataResult("brain", results=[method], comparisons=[*comparisons, against("M untrained", "ahead", "control")])
    assert verdict_headline(data, "M") == sentence
    method.seeds.clear()
    assert verdict_headline(data, "M") == "No verdict: M has no usable result on this data set."


def test_a_page_of_controls_alone_counts_them():
    controls = [against("M untrained", "ahead", "control"), against("No masks", "unclear", "control")]
    data = [DataResult("brain", results=[], comparisons=controls)]
    findings = Findings(plan={"method": "M"}, data=data, failures=[])
    assert overall_verdict(findings) == (
        "No rival has a result. Over 2 comparisons with controls, M is ahead in 1, behind in 0 and not separable in 1."
    )
