# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.evaluation import (
    auroc,
    average_precision,
    by_subject,
    call_pixels,
    count_pixels,
    dice,
    f1_score,
    image_dice,
    prevalence,
    rank_maps,
    roc_curve,
    sensitivity,
    sensitivity_at_specificity,
)


@pytest.fixture
def tied_sample() -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores with many ties between the classes."""
    generator = np.random.default_rng(3)
    labels = (generator.random(400) < 0.3).astype(int)
    return labels, np.round(generator.normal(labels, 1.0), 1)


@pytest.fixture(params=[np.float16, np.float32])
def maps_and_masks(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(5)
    masks = generator.random((6, 9, 11)) < 0.2
    maps = generator.normal(masks * 0.8, 1.0).astype(request.param)
    maps[0, 0] = 0.0
    maps[1, 1] = -0.0
    return maps, masks


def test_image_metrics_equal_scikit_learn_with_ties(tied_sample):
    labels, scores = tied_sample
    assert auroc(labels, scores) == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)
    assert average_precision(labels, scores) == pytest.approx(metrics.average_precision_score(labels, scores))
    assert prevalence(labels) == pytest.approx(labels.mean())


def test_auroc_is_the_share_of_pairs_in_order():
    assert auroc([0, 0, 1, 1], [1.0, 2.0, 2.0, 3.0]) == pytest.approx((1 + 0.5 + 1 + 1) / 4)


def test_roc_curve_encloses_the_auroc(tied_sample):
    false_positive_rate, true_positive_rate = roc_curve(*tied_sample)
    assert np.trapezoid(true_positive_rate, false_positive_rate) == pytest.approx(auroc(*tied_sample))


def test_sensitivity_is_the_best_over_thresholds_that_keep_the_specificity(tied_sample):
    labels, scores = tied_sample
    normal, abnormal = scores[labels == 0], scores[labels == 1]
    candidates = [
        np.mean(abnormal > threshold)
        for threshold in np.concatenate([[-np.inf], np.unique(scores)])
        if np.mean(normal <= threshold) >= 0.95
    ]
    assert sensitivity_at_specificity(labels, scores) == pytest.approx(max(candidates))


def test_one_false_positive_of_twenty_is_allowed_at_95_percent():
    labels = [0] * 20 + [1]
    scores = [*range(19), 100.0, 50.0]
    assert sensitivity_at_specificity(labels, scores) == 1.0


@pytest.mark.parametrize(
    ("labels", "scores", "found"),
    [
        ([0, 1], [0.1], "found 1"),
        ([0, 1], [0.1, np.nan], "not finite"),
        ([1, 1], [0.1, 0.2], "0 normal"),
        ([0, 2], [0.1, 0.2], "0 abnormal"),
    ],
)
def test_a_metric_that_is_not_defined_is_refused_in_words(labels, scores, found):
    with pytest.raises(InputError, match=found):
        auroc(labels, scores)


def test_pixel_metrics_equal_scikit_learn(maps_and_masks):
    maps, masks = maps_and_masks
    counts = count_pixels(rank_maps(maps), masks)
    flat_scores, flat_masks = maps.astype(np.float64).ravel(), masks.ravel()
    assert counts.auroc() == pytest.approx(metrics.roc_auc_score(flat_masks, flat_scores), abs=1e-12)
    assert counts.average_precision() == pytest.approx(metrics.average_precision_score(flat_masks, flat_scores))
    assert counts.prevalence == pytest.approx(masks.mean())


def test_both_zeros_are_one_value(maps_and_masks):
    maps, masks = maps_and_masks
    values = count_pixels(rank_maps(maps), masks).values
    assert values.size == np.unique(maps.astype(np.float64)).size


def test_half_precision_counts_of_a_view_that_is_not_contiguous():
    maps = np.random.default_rng(0).normal(size=(8, 6, 3)).astype(np.float16).T
    masks = np.zeros(maps.shape, bool)
    masks[:, 2:4] = True
    expected = metrics.roc_auc_score(masks.ravel(), maps.ravel())
    assert count_pixels(rank_maps(maps), masks).auroc() == pytest.approx(expected)


@pytest.mark.parametrize("maps_shape", [(2, 4, 5), (2, 4, 4)])
def test_maps_without_a_lesion_or_of_another_shape_are_refused(maps_shape):
    with pytest.raises(InputError, match=r"maps: found the shape|only one class"):
        count_pixels(rank_maps(np.zeros(maps_shape, np.float16)), np.zeros((2, 4, 4), bool))


def test_maps_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="not finite"):
        rank_maps(np.full((1, 2, 2), np.inf, np.float16))


def test_dice_equals_the_f1_score_of_the_pixels(maps_and_masks):
    maps, masks = maps_and_masks
    expected = metrics.f1_score(masks.ravel(), (maps > 0.4).ravel())
    assert dice(maps > 0.4, masks) == pytest.approx(expected)


def test_dice_of_nothing_and_nothing_is_one():
    assert dice(np.zeros((1, 2, 2), bool), np.zeros((1, 2, 2), bool)) == 1.0


def test_dice_of_each_lesion_image_equals_its_f1_score(maps_and_masks):
    maps, masks = maps_and_masks
    masks[2] = False
    expected = [
        metrics.f1_score(mask.ravel(), (one > 0.4).ravel()) for one, mask in zip(maps, masks, strict=True) if mask.any()
    ]
    assert len(expected) == 5
    assert image_dice(maps > 0.4, masks) == pytest.approx(expected)


def test_ceiling_is_the_best_dice_of_all_thresholds(maps_and_masks):
    maps, masks = maps_and_masks
    best = max(dice(maps > threshold, masks) for threshold in [-np.inf, *np.unique(maps)])
    assert count_pixels(rank_maps(maps), masks).best_dice() == pytest.approx(best)


@pytest.mark.parametrize("threshold", [-70000.0, -1.0, 2.3, 2.30078125, 70000.0])
def test_pixels_are_called_above_the_threshold_as_it_is_and_not_as_half_precision_rounds_it(threshold):
    maps = np.array([[[-60000.0, -1.0, 2.298828125, 2.30078125, 60000.0]]], dtype=np.float16)
    expected = maps.astype(np.float64) > threshold
    assert np.array_equal(call_pixels(rank_maps(maps), threshold), expected)
    assert np.array_equal(call_pixels(rank_maps(maps.astype(np.float64)), threshold), expected)


def test_f1_and_sensitivity_at_a_declared_threshold_equal_scikit_learn(tied_sample):
    labels, scores = tied_sample
    assert f1_score(labels, scores, 0.7) == pytest.approx(metrics.f1_score(labels, scores > 0.7))
    assert sensitivity(labels, scores, 0.7) == pytest.approx(metrics.recall_score(labels, scores > 0.7))
    assert f1_score(labels, scores, scores.max()) == 0.0


@settings(deadline=None)
@given(arrays(np.float16, (2, 3, 4), elements=st.floats(-60000, 60000, width=16)))
def test_ranks_are_in_the_order_of_the_values_and_lead_back_to_them(maps):
    ranked = rank_maps(maps)
    assert np.array_equal(ranked.values[ranked.ranks], maps.astype(np.float64))
    assert np.all(np.diff(ranked.values) > 0.0)


def test_subject_is_abnormal_when_any_sample_is_and_has_its_largest_score():
    labels, scores, subjects = by_subject([0, 1, 0, 0], [0.9, 0.2, 0.4, 0.6], ["b", "b", "a", "a"])
    assert (labels.tolist(), scores.tolist(), subjects) == ([0, 1], [0.6, 0.9], ["a", "b"])
