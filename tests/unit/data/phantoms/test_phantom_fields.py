# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Random fields have the statistics that the generators count on."""

import numpy as np
import pytest

from anomalib_patchgan.data.phantoms.fields import fine_field, ramp, smooth_field


def test_smooth_field_has_zero_mean_and_unit_variance():
    field = smooth_field(np.random.default_rng(0), (400, 400), 1.0, 4.0)
    assert abs(field.mean()) < 0.05
    assert field.std() == pytest.approx(1.0, abs=0.05)


def test_smooth_field_keeps_its_variance_at_the_border():
    random = np.random.default_rng(0)
    corners = [smooth_field(random, (20, 20), 1.0, 8.0)[0, 0] for _ in range(2000)]
    assert np.std(corners) == pytest.approx(1.0, abs=0.06)


def test_smooth_field_is_the_same_on_a_finer_grid():
    coarse = smooth_field(np.random.default_rng(0), (21, 21), 2.0, 8.0)
    fine = smooth_field(np.random.default_rng(0), (41, 41), 1.0, 8.0)
    np.testing.assert_allclose(fine[::2, ::2], coarse, atol=1e-4)


def test_smooth_field_correlates_over_its_scale():
    field = smooth_field(np.random.default_rng(0), (300, 300), 1.0, 10.0)
    near = np.corrcoef(field[:, :-2].ravel(), field[:, 2:].ravel())[0, 1]
    far = np.corrcoef(field[:, :-60].ravel(), field[:, 60:].ravel())[0, 1]
    assert near > 0.95
    assert abs(far) < 0.15


def test_fine_field_has_unit_variance():
    assert fine_field(np.random.default_rng(0), (64, 64, 8), 1.0).std() == pytest.approx(1.0, abs=1e-3)


def test_ramp_rises_or_falls_between_its_ends():
    values = np.array([0.0, 1.0, 2.0, 3.0], dtype=np.float32)
    np.testing.assert_allclose(ramp(values, 1, 2), [0, 0, 1, 1])
    np.testing.assert_allclose(ramp(values, 3, 1), [1, 1, 0.5, 0])
