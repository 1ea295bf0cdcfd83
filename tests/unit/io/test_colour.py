# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Colour constancy of photographs."""

import numpy as np
import pytest

from anomalib_patchgan.io import balance_colours, skin_balance

SKIN = np.array([210, 160, 130])


def photograph(cast=(1.0, 1.0, 1.0), skin=SKIN, frame=0, side=60):
    """Mottled skin with a dark lesion in the middle, under a coloured light, in a dark frame; uint8 [side, side, 3]."""
    mottle = np.random.default_rng(0).normal(1, 0.02, (side, side, 1))
    colours = skin * mottle * np.asarray(cast)
    colours[20:40, 20:40] = (60, 30, 25)
    for edge in (slice(0, frame), slice(side - frame, side)):
        colours[edge] = colours[:, edge] = 4
    return colours.clip(0, 255).round().astype(np.uint8)


def mean_colour(colours, balance):
    image = balance_colours(colours[8:16, 8:16].transpose(2, 0, 1).astype(np.float32) / 255, balance)
    return image.mean(axis=(1, 2))


def test_skin_becomes_grey_and_keeps_its_brightness():
    colours = photograph()
    found = mean_colour(colours, skin_balance(colours))
    np.testing.assert_allclose(found, SKIN.mean() / 255, atol=0.01)


@pytest.mark.parametrize("cast", [(1.2, 1.0, 0.8), (1.1, 0.8, 0.6)])
def test_the_colour_of_the_light_is_taken_away(cast):
    colours = photograph(cast)
    found = mean_colour(colours, skin_balance(colours))
    assert np.ptp(found) < 0.01
    assert np.ptp(mean_colour(colours, np.ones(3, dtype=np.float32))) > 0.2


def test_neither_lesion_nor_dark_frame_is_taken_for_skin():
    np.testing.assert_allclose(skin_balance(photograph(frame=5)), skin_balance(photograph()), rtol=0.01)


def test_where_the_rim_is_all_frame_the_rest_is_taken():
    framed = photograph(frame=7)
    assert (framed[:6] < 5).all()
    np.testing.assert_allclose(skin_balance(framed), skin_balance(photograph()), rtol=0.02)


@pytest.mark.parametrize("colours", [np.zeros((20, 20, 3), np.uint8), np.zeros((1, 1, 3), np.uint8)])
def test_a_black_photograph_stays_as_it_is(colours):
    assert skin_balance(colours).tolist() == [1, 1, 1]


def test_a_channel_without_light_stays_without_and_nothing_is_above_one():
    colours = np.zeros((20, 20, 3), np.uint8)
    colours[..., 0] = 250
    balance = skin_balance(colours)
    assert np.isfinite(balance).all()
    image = balance_colours(np.ones((3, 2, 2), np.float32), np.array([0.5, 1.0, 3.0], np.float32))
    assert (image.dtype, image[:, 0, 0].tolist()) == (np.float32, [0.5, 1.0, 1.0])
