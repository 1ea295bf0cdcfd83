# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.evaluation import (
    Interval,
    auroc_draws,
    average_precision_draws,
    count_pixels,
    draw_subjects,
    holm,
    label_flags,
    map_flags,
    paired_difference,
    percentile_interval,
    rank_maps,
    ranking_flags,
    score_flags,
    subject_histograms,
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
    assert paired_difference((0.5, undefined), (0.5, undefined), 9) is None


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


def test_paired_difference_is_narrower_than_the_two_intervals_together(cohort):
    subjects, labels, scores = cohort
    draws = draw_subjects(subjects)
    better = scores + 0.05 * labels
    first, second = (auroc_draws(labels, one, draws) for one in (better, scores))
    difference = paired_difference((first.mean(), first), (second.mean(), second), draws.subjects)
    assert difference is not None
    assert difference.value > 0.0
    assert difference.interval.high - difference.interval.low < 0.2 * np.ptp(np.percentile(first, [2.5, 97.5]))
    assert difference.p_value < 0.01


def test_a_model_against_itself_is_not_separable(cohort):
    subjects, labels, scores = cohort
    statistics = auroc_draws(labels, scores, draw_subjects(subjects))
    difference = paired_difference((0.7, statistics), (0.7, statistics), 40)
    assert difference is not None
    assert (difference.value, difference.interval.low, difference.p_value) == (0.0, 0.0, 1.0)


def test_models_that_are_alike_are_called_different_one_time_in_twenty():
    generator = np.random.default_rng(21)
    subject = np.repeat(np.arange(30), 4)
    labels = np.tile([0, 0, 1, 1], 30)
    draws = draw_subjects(subject.astype(str), draws=400)
    p_values = []
    for _ in range(300):
        shared = generator.normal(0.0, 0.7, 30)[subject] + labels
        both = [shared + generator.normal(0.0, 1.0, 120) for _ in range(2)]
        statistics = [auroc_draws(labels, one, draws) for one in both]
        values = [metrics.roc_auc_score(labels, one) for one in both]
        difference = paired_difference((values[0], statistics[0]), (values[1], statistics[1]), 30)
        assert difference is not None
        p_values.append(difference.p_value)
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.03)


def test_p_value_is_students_t_of_the_draws_standard_deviation():
    first = np.random.default_rng(0).normal(0.1, 0.02, 2000)
    difference = paired_difference((0.1, first), (0.0, np.zeros(2000)), 12)
    assert difference is not None
    assert difference.p_value == pytest.approx(2.0 * stats.t.sf(0.1 / first.std(), 11))


@pytest.mark.parametrize(("subjects", "p_value"), [(1, 1.0), (2, 0.5), (11, 2.0**-10)])
def test_a_difference_that_is_the_same_in_every_draw_is_a_sign_test(subjects, p_value):
    difference = paired_difference((1.0, np.ones(9)), (0.5, np.full(9, 0.5)), subjects)
    assert difference is not None
    assert difference.p_value == p_value


@pytest.mark.parametrize(("first", "second", "p_value"), [(1.0, 2.0 / 3.0, 2.0**-3), (0.1 + 0.2, 0.3, 1.0)])
def test_a_difference_that_is_the_same_but_for_rounding_is_a_sign_test(first, second, p_value):
    difference = paired_difference((first, np.full(2000, first)), (second, np.full(2000, second)), 4)
    assert difference is not None
    assert difference.p_value == p_value


def test_average_precision_of_pixels_in_every_draw_is_that_of_the_resampled_subjects():
    generator = np.random.default_rng(6)
    masks = generator.random((12, 20, 20)) < 0.1
    masks[9:] = False
    maps = generator.normal(masks * 1.5, 1.0).astype(np.float16)
    draws = draw_subjects([f"subject {index // 3}" for index in range(12)], draws=30)
    statistics = average_precision_draws(*subject_histograms(rank_maps(maps), masks, draws.subject_of_sample), draws)
    weights = draws.counts[:, draws.subject_of_sample].repeat(400, axis=1)
    flat = maps.astype(np.float64).ravel()
    expected = [metrics.average_precision_score(masks.ravel(), flat, sample_weight=row) for row in weights]
    assert statistics == pytest.approx(expected, abs=2e-3)
    once = draw_subjects(["a"] * 12, draws=1)
    (whole,) = average_precision_draws(*subject_histograms(rank_maps(maps), masks, once.subject_of_sample), once)
    assert whole == pytest.approx(count_pixels(rank_maps(maps), masks).average_precision(), abs=1e-3)


def test_average_precision_is_not_defined_in_a_draw_without_a_lesion():
    draws = draw_subjects(["a", "b"], draws=60)
    statistics = average_precision_draws(np.array([[0.0, 3.0], [0.0, 0.0]]), np.ones((2, 2)), draws)
    assert np.array_equal(np.isnan(statistics), draws.counts[:, 0] == 0)


def test_holm_on_the_example_of_the_definition():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_draws_over_other_samples_are_refused():
    with pytest.raises(InputError, match="expected 2"):
        auroc_draws([0, 1], [0.0, 1.0], draw_subjects(["a", "b", "c"]))


def test_gates_name_what_is_suspicious():
    assert score_flags([0.1, np.nan, np.inf]) == ["2 of 3 scores are not finite"]
    assert score_flags([0.5, 0.5])[0].startswith("constant")
    assert score_flags([0.1, 0.2]) == []
    assert ranking_flags(0.6, None) == []
    assert ranking_flags(0.45, Interval(0.4, 0.55, 2000)) == ["below chance"]
    assert ranking_flags(0.2, Interval(0.1, 0.3, 2000))[0].startswith("inverted")
    assert "0.800" in ranking_flags(0.2, Interval(0.1, 0.3, 2000))[0]


def test_labels_of_another_threshold_are_counted():
    assert label_flags([True, False, False], [0.9, 0.5, 0.1], 0.5) == []
    assert "on 1 samples" in label_flags([True, True, False], [0.9, 0.5, 0.1], 0.5)[0]


def test_a_map_that_ranks_lesions_low_is_flagged():
    assert map_flags(0.5) == []
    assert "0.400" in map_flags(0.4)[0]
