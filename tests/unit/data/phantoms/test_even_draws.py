# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Draws by index are uniform over seeds and even within a cohort, however large it is."""

import numpy as np
import pytest

from anomalib_patchgan.data.phantoms.even import even_draws


def cohort(seed, size):
    return np.array([even_draws(seed, index, 3) for index in range(size)])


def test_a_draw_depends_on_seed_and_index_alone():
    np.testing.assert_array_equal(cohort(5, 40)[17], even_draws(5, 17, 3))


@pytest.mark.parametrize("seed", [0, 1, 20260301])
@pytest.mark.parametrize("size", [20, 60, 120])
def test_every_beginning_of_a_cohort_has_each_share_of_its_range_as_often_as_it_should(seed, size):
    drawn = cohort(seed, size)
    for share in (0.2, 0.35, 0.55, 0.8):
        found = (drawn < share).sum(axis=0)
        # Of 120 independent draws, half of which should lie below a limit, five or six more or fewer are usual.
        assert np.abs(found - share * size).max() <= 2.5


def test_pairs_of_draws_are_even_too():
    drawn = cohort(3, 128)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        counts, _, _ = np.histogram2d(drawn[:, first], drawn[:, second], bins=4, range=[[0, 1], [0, 1]])
        assert counts.min() >= 4
        assert counts.max() <= 12


def test_another_seed_draws_otherwise():
    assert np.abs(cohort(1, 10) - cohort(2, 10)).min() > 0


def test_over_seeds_the_first_subject_is_anywhere():
    first = np.array([even_draws(seed, 0, 3) for seed in range(400)])
    assert first.min() >= 0
    assert first.max() < 1
    np.testing.assert_allclose(first.mean(axis=0), 0.5, atol=0.06)
    np.testing.assert_allclose(first.std(axis=0), np.sqrt(1 / 12), atol=0.03)
