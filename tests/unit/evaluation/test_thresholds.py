# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.evaluation import (
    area_threshold,
    conformal_threshold,
    declared_threshold,
    false_positive_rate,
    smallest_calibration_size,
    subject_false_positive_rate,
)


@pytest.mark.parametrize(("size", "alpha", "rank"), [(19, 0.05, 19), (20, 0.05, 20), (39, 0.05, 38), (99, 0.01, 99)])
def test_conformal_threshold_is_the_kth_smallest_normal_score(size, alpha, rank):
    scores = np.random.default_rng(size).permutation(np.arange(1.0, size + 1.0))
    assert conformal_threshold(scores, alpha) == float(rank)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.1])
def test_a_threshold_is_attainable_from_the_smallest_size_on(alpha):
    size = smallest_calibration_size(alpha)
    assert conformal_threshold(np.arange(size), alpha) is not None
    assert conformal_threshold(np.arange(size - 1), alpha) is None
    assert size == round(1.0 / alpha) - 1


def test_conformal_rate_holds_on_average_over_exchangeable_samples():
    generator = np.random.default_rng(8)
    rates = []
    for _ in range(400):
        threshold = conformal_threshold(generator.normal(size=39), 0.05)
        assert threshold is not None
        rates.append(false_positive_rate(np.zeros(100), generator.normal(size=100), threshold))
    assert np.mean(rates) == pytest.approx(0.05, abs=0.006)


def test_calibration_scores_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="not finite"):
        conformal_threshold([0.1, np.nan], 0.05)


def test_false_positive_rate_counts_normals_strictly_above():
    assert false_positive_rate([0, 0, 0, 0, 1], [1.0, 2.0, 3.0, 4.0, 9.0], 2.0) == 0.5


def cohort(generator, subjects):
    """Scores of subjects that differ from each other more than their own samples do, and unequal numbers of them."""
    sizes = generator.integers(1, 12, subjects)
    subject = np.repeat(np.arange(subjects), sizes)
    scores = generator.normal(0.0, 1.0, subjects)[subject] + generator.normal(0.0, 0.3, subject.size)
    return scores, subject.astype(str)


def test_rate_by_subject_keeps_its_bound_for_subjects_whose_samples_are_alike():
    generator = np.random.default_rng(8)
    rates = []
    for _ in range(400):
        calibration_scores, calibration_subjects = cohort(generator, 39)
        threshold = conformal_threshold(calibration_scores, 0.05, calibration_subjects)
        assert threshold is not None
        scores, subjects = cohort(generator, 60)
        rates.append(subject_false_positive_rate(np.zeros(scores.size), scores, subjects, threshold))
    # The promise is a bound, and a rule that weighs whole subjects stays a little below it.
    assert 0.025 < np.mean(rates) <= 0.05


def test_rule_by_subject_weighs_a_subject_once_however_many_samples_it_has():
    # 39 quiet subjects and one with a hundred loud samples: a pooled quantile would follow the loud one alone.
    scores = np.concatenate([np.arange(39.0), 1000.0 + np.arange(100.0)])
    subjects = np.concatenate([np.arange(39), np.full(100, 39)]).astype(str)
    assert conformal_threshold(scores, 0.05, subjects) == 38.0
    pooled = conformal_threshold(scores, 0.05)
    assert pooled is not None
    assert pooled > 1000.0


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=120), st.floats(0.005, 0.5))
def test_with_one_sample_a_subject_the_rule_is_the_kth_smallest_score(scores, alpha):
    rank = int(np.ceil(round((len(scores) + 1) * (1.0 - alpha), 9)))
    expected = sorted(scores)[rank - 1] if rank <= len(scores) else None
    assert conformal_threshold(scores, alpha, [str(index) for index in range(len(scores))]) == expected
    assert conformal_threshold(scores, alpha) == expected


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-9, 9), st.integers(0, 30)), min_size=1, max_size=150), st.floats(0.02, 0.3))
def test_calibration_subjects_themselves_are_above_at_most_at_the_target_rate(samples, alpha):
    scores, subjects = np.array([score for score, _ in samples]), [str(subject) for _, subject in samples]
    threshold = conformal_threshold(scores, alpha, subjects)
    if threshold is not None:
        assert subject_false_positive_rate(np.zeros(scores.size), scores, subjects, threshold) <= alpha + 1e-9


@pytest.mark.parametrize(
    ("subjects", "per_subject", "rule"),
    [(19, 4, "conformal"), (18, 4, "pooled"), (3, 6, "largest"), (19, 1, "conformal")],
)
def test_declared_threshold_says_by_which_rule_it_was_made(subjects, per_subject, rule):
    scores = np.random.default_rng(1).permutation(np.arange(float(subjects * per_subject)))
    ids = [str(index // per_subject) for index in range(scores.size)]
    declared = declared_threshold(scores, 0.05, ids)
    assert (declared.rule, declared.subjects, declared.samples) == (rule, subjects, scores.size)
    expected = {
        "conformal": conformal_threshold(scores, 0.05, ids),
        "pooled": conformal_threshold(scores, 0.05),
        "largest": scores.max(),
    }
    assert declared.value == expected[rule]


def test_without_a_score_or_a_subject_for_each_there_is_no_threshold():
    with pytest.raises(InputError, match="found none"):
        declared_threshold([], 0.05)
    with pytest.raises(InputError, match="found 1 subjects, expected one for each of 2"):
        conformal_threshold([0.1, 0.2], 0.05, ["a"])
    with pytest.raises(InputError, match="found no pixel"):
        area_threshold([], 0.01)


@pytest.mark.parametrize("size", [1, 99, 100, 101, 1000])
def test_area_above_the_pixel_threshold_is_the_largest_that_does_not_exceed_the_target(size):
    pixels = np.random.default_rng(size).permutation(np.arange(float(size)))
    threshold = area_threshold(pixels, 0.01)
    assert np.mean(pixels > threshold) <= 0.01
    assert threshold == np.quantile(pixels, 0.99, method="inverted_cdf")


def test_rate_by_subject_is_the_mean_of_the_subjects_rates():
    labels, subjects = [0, 0, 0, 0, 1, 0], ["a", "a", "a", "a", "a", "b"]
    assert subject_false_positive_rate(labels, [9, 1, 1, 1, 9, 9], subjects, 5.0) == pytest.approx((0.25 + 1.0) / 2)
