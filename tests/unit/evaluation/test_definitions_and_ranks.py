# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from scipy import stats

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.evaluation import DEFINITIONS, definition_scores, mean_ranks, rank_maps


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_every_definition_equals_its_formula_on_the_sorted_pixels(kind):
    maps = np.random.default_rng(2).normal(size=(70, 20, 25)).astype(kind)
    scores = definition_scores(rank_maps(maps))
    pixels = -np.sort(-maps.reshape(70, -1).astype(np.float64), axis=1)
    harmonic = 1.0 / np.arange(1, 501)
    assert tuple(scores) == DEFINITIONS
    assert scores["mean"] == pytest.approx(pixels.mean(axis=1))
    assert scores["maximum"] == pytest.approx(pixels[:, 0])
    assert scores["top-k"] == pytest.approx(pixels[:, :5].mean(axis=1))
    assert scores["rank-weighted"] == pytest.approx(pixels @ harmonic / harmonic.sum())


def test_mean_ranks_and_friedmans_test_equal_scipy():
    values = np.random.default_rng(4).random((12, 4)) + np.array([0.0, 0.1, 0.2, 0.3])
    values[0, :2] = 0.5
    found = mean_ranks(values)
    assert found.ranks == pytest.approx(stats.rankdata(-values, axis=1).mean(axis=0))
    assert found.p_value == pytest.approx(stats.friedmanchisquare(*values.T).pvalue)


@pytest.mark.parametrize(("models", "quantile"), [(3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_critical_difference_is_that_of_the_published_table(models, quantile):
    # Table 5 of Demšar, Statistical comparisons of classifiers over multiple data sets, JMLR 7, 2006.
    values = np.random.default_rng(models).random((14, models))
    expected = quantile * np.sqrt(models * (models + 1) / (6 * 14))
    assert mean_ranks(values).critical_difference == pytest.approx(expected, abs=2e-3)


def test_groups_hold_what_cannot_be_told_apart():
    # Model 2 is always first and model 0 always last; model 1 lies between.
    values = np.tile([0.1, 0.2, 0.3], (30, 1))
    assert mean_ranks(values).groups == ()
    values[::2, :2] = [0.2, 0.1]
    found = mean_ranks(values)
    assert found.ranks == pytest.approx([2.5, 2.5, 1.0])
    assert [set(group) for group in found.groups] == [{0, 1}]


def test_models_tied_on_every_data_set_are_one_group():
    found = mean_ranks(np.full((6, 3), 0.5))
    assert found.p_value == 1.0
    assert found.groups == ((0, 1, 2),)


@pytest.mark.parametrize("shape", [(4, 5), (5, 2)])
def test_too_few_data_sets_or_models_are_refused(shape):
    with pytest.raises(InputError, match="expected at least 5 and 3"):
        mean_ranks(np.zeros(shape))


def test_a_missing_result_is_refused():
    values = np.random.default_rng(0).random((6, 3))
    values[2, 1] = np.nan
    with pytest.raises(InputError, match="not finite"):
        mean_ranks(values)
