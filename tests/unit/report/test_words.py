# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from anomalib_patchgan.report.examples import choose
from anomalib_patchgan.report.verdict import points


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
