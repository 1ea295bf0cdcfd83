# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import time

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.evaluation import (
    Interval,
    auroc_draws,
    conformal_threshold,
    draw_subjects,
    false_positive_rate,
    holm,
    paired_difference,
    percentile_interval,
    ranking_flags,
    score_flags,
    smallest_calibration_size,
)


@pytest.fixture
def cohort() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Subjects, labels and tied scores of 300 samples of 40 subjects."""
    generator = np.random.default_rng(11)
    subjects = generator.integers(0, 40, 300).astype(str)
    labels = (generator.random(300) < 0.4).astype(int)
    return subjects, labels, np.round(generator.normal(labels * 0.7, 1.0), 1)


def test_every_draw_equals_scikit_learn_on_the_resampled_subjects(cohort):
    subjects, labels, scores = cohort
    draws = draw_subjects(subjects, draws=25)
    weights = draws.counts[:, draws.subject_of_sample]
    expected = [metrics.roc_auc_score(labels, scores, sample_weight=row) for row in weights]
    repeated = [metrics.roc_auc_score(np.repeat(labels, row), np.repeat(scores, row)) for row in weights]
    assert auroc_draws(labels, scores, draws) == pytest.approx(expected, abs=1e-12)
    assert expected == pytest.approx(repeated)


def test_draws_do_not_depend_on_the_order_of_samples_but_on_the_subjects(cohort):
    subjects, _, _ = cohort
    shuffled = np.random.default_rng(0).permutation(subjects)
    assert np.array_equal(draw_subjects(subjects).counts, draw_subjects(shuffled).counts)
    others = np.where(subjects == "7", "another", subjects)
    assert not np.array_equal(draw_subjects(subjects).counts, draw_subjects(others).counts)


def test_a_draw_with_one_class_only_is_not_defined():
    draws = draw_subjects(["a", "b"], draws=200)
    statistics = auroc_draws([0, 1], [0.0, 1.0], draws)
    only_one = (draws.counts == 2).any(axis=1)
    assert np.isnan(statistics[only_one]).all()
    assert (statistics[~only_one] == 1.0).all()
    interval = percentile_interval(statistics)
    assert interval is not None
    assert interval.draws == np.count_nonzero(~only_one)


def test_no_interval_when_no_draw_is_defined():
    undefined = np.full(5, np.nan)
    assert percentile_interval(undefined) is None
    assert paired_difference((0.5, undefined), (0.5, undefined)) is None


def test_interval_equals_scipys_percentile_bootstrap_in_width():
    generator = np.random.default_rng(2)
    labels = np.repeat([0, 1], 150)
    scores = generator.normal(labels * 1.0, 1.0)
    ours = percentile_interval(auroc_draws(labels, scores, draw_subjects([str(i) for i in range(300)])))
    assert ours is not None

    def statistic(index):
        return metrics.roc_auc_score(labels[index], scores[index])

    theirs = stats.bootstrap(
        (np.arange(300),), statistic, vectorized=False, n_resamples=1000, method="percentile", rng=generator
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.012)
    assert ours.high == pytest.approx(theirs.high, abs=0.012)


def test_clustered_samples_widen_the_interval():
    generator = np.random.default_rng(4)
    subject = np.repeat(np.arange(20), 30)
    labels = subject % 2
    scores = np.repeat(generator.normal(0.0, 1.0, 20), 30) + labels + generator.normal(0.0, 0.1, 600)
    clustered = percentile_interval(auroc_draws(labels, scores, draw_subjects(subject.astype(str))))
    naive = percentile_interval(auroc_draws(labels, scores, draw_subjects(np.arange(600).astype(str))))
    assert clustered is not None
    assert naive is not None
    assert clustered.high - clustered.low > 2.0 * (naive.high - naive.low)


def test_2000_draws_of_10000_samples_take_less_than_5_seconds():
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, 10_000)
    scores = generator.normal(labels, 1.0)
    start = time.perf_counter()
    auroc_draws(labels, scores, draw_subjects(generator.integers(0, 500, 10_000).astype(str)))
    assert time.perf_counter() - start < 5.0


def test_paired_difference_is_narrower_than_the_two_intervals_together(cohort):
    subjects, labels, scores = cohort
    draws = draw_subjects(subjects)
    better = scores + 0.05 * labels
    first, second = (auroc_draws(labels, one, draws) for one in (better, scores))
    difference = paired_difference((first.mean(), first), (second.mean(), second))
    assert difference is not None
    assert difference.value > 0.0
    assert difference.interval.high - difference.interval.low < 0.2 * np.ptp(np.percentile(first, [2.5, 97.5]))
    assert difference.p_value < 0.01


def test_a_model_against_itself_is_not_separable(cohort):
    subjects, labels, scores = cohort
    statistics = auroc_draws(labels, scores, draw_subjects(subjects))
    difference = paired_difference((0.7, statistics), (0.7, statistics))
    assert difference is not None
    assert (difference.value, difference.interval.low, difference.p_value) == (0.0, 0.0, 1.0)


def test_holm_on_the_example_of_the_definition():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_draws_over_other_samples_are_refused():
    with pytest.raises(InputError, match="expected 2"):
        auroc_draws([0, 1], [0.0, 1.0], draw_subjects(["a", "b", "c"]))


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


def test_gates_name_what_is_suspicious():
    assert score_flags([0.1, np.nan, np.inf]) == ["2 of 3 scores are not finite"]
    assert score_flags([0.5, 0.5])[0].startswith("constant")
    assert score_flags([0.1, 0.2]) == []
    assert ranking_flags(0.6, None) == []
    assert ranking_flags(0.45, Interval(0.4, 0.55, 2000)) == ["below chance"]
    assert ranking_flags(0.2, Interval(0.1, 0.3, 2000))[0].startswith("inverted")
    assert "0.800" in ranking_flags(0.2, Interval(0.1, 0.3, 2000))[0]
