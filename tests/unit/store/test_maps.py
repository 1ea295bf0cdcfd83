# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from anomalib_patchgan.store.maps import at_map_size, stored_map_size


@pytest.mark.parametrize(
    ("image", "stored"),
    [((64, 64), (64, 64)), ((256, 200), (256, 200)), ((512, 384), (256, 192)), ((1, 5000), (1, 256))],
)
def test_maps_are_kept_at_the_images_size_or_at_most_256_pixels_a_side(image, stored):
    assert stored_map_size(image) == stored


def test_masks_of_small_images_stay_as_they_are():
    masks = np.zeros((2, 32, 32), bool)
    assert at_map_size(masks) is masks


def test_masks_of_large_images_are_sampled_where_the_map_is():
    masks = np.zeros((1, 512, 512), bool)
    masks[0, 100:200, 300:400] = True
    small = at_map_size(masks)
    assert small.shape == (1, 256, 256)
    expected = np.zeros((256, 256), bool)
    expected[50:100, 150:200] = True
    np.testing.assert_array_equal(small[0], expected)
