# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The intensity scorers see brightness inside the mask, and nothing else."""

import numpy as np
import pytest

from anomalib_patchgan.data.phantoms.intensity_scorers import SCALES, intensity_scores, scorer_names, smooth_within
from anomalib_patchgan.errors import InputError


def flat(level=0.5, size=48):
    image, mask = np.zeros((size, size), dtype=np.float32), np.zeros((size, size), dtype=bool)
    mask[8:-8, 8:-8] = True
    image[mask] = level
    return image, mask


def with_spot(change):
    image, mask = flat()
    image[20:28, 20:28] += change
    return intensity_scores(image, mask)


def test_there_are_fifteen_of_distinct_names():
    assert len(set(scorer_names())) == 15
    assert list(intensity_scores(*flat())) == scorer_names()


@pytest.mark.parametrize("scale", SCALES)
def test_background_does_not_leak_into_the_mean(scale):
    image, mask = flat(0.7)
    assert smooth_within(image, mask, scale)[mask] == pytest.approx(0.7, abs=1e-5)
    assert not smooth_within(image, mask, scale)[~mask].any()


def test_flat_tissue_has_its_level_as_extremes_and_no_deviation():
    scores = intensity_scores(*flat(0.7))
    assert scores["maximum 3 px"] == pytest.approx(0.7, abs=1e-5)
    assert scores["minimum 3 px"] == pytest.approx(-0.7, abs=1e-5)
    assert scores["deviation 3 px"] == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize(("change", "raised"), [(0.3, {"maximum", "deviation"}), (-0.3, {"minimum", "deviation"})])
def test_a_spot_raises_the_scores_of_its_sign_only(change, raised):
    scores, healthy = with_spot(change), intensity_scores(*flat())
    higher = {name.split()[0] for name in scores if scores[name] > healthy[name] + 0.01}
    assert higher == raised


def test_a_wide_kernel_sees_less_of_a_small_spot():
    deviations = [with_spot(0.3)[f"deviation {scale:g} px"] for scale in SCALES]
    assert deviations == sorted(deviations, reverse=True)


def test_what_lies_outside_the_mask_does_not_matter():
    image, mask = flat()
    brighter = np.where(mask, image, np.float32(9.0))
    assert intensity_scores(brighter, mask) == pytest.approx(intensity_scores(image, mask))


def test_an_empty_mask_is_refused():
    image, mask = flat()
    with pytest.raises(InputError, match="with 0 pixels"):
        intensity_scores(image, np.zeros_like(mask))
