# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.evaluation import aupimo, aupro, count_lesions, find_regions, rank_maps


def test_regions_touch_at_corners_but_not_across_images():
    masks = np.zeros((2, 4, 4), dtype=bool)
    masks[0, 0, 0] = masks[0, 1, 1] = masks[0, 3, 3] = True
    masks[1, 0, 0] = True
    regions = find_regions(masks)
    assert sorted(regions.areas.tolist()) == [1, 1, 2]
    assert regions.labels[0, 0, 0] == regions.labels[0, 1, 1] != regions.labels[1, 0, 0]


def test_a_map_that_is_the_mask_has_full_overlap_and_its_reverse_none():
    masks = np.zeros((3, 16, 16), dtype=bool)
    masks[0, 2:4, 2:4] = masks[1, 8:14, 8:14] = True
    maps = masks.astype(np.float16)
    assert aupro(rank_maps(maps), find_regions(masks)) == pytest.approx(1.0)
    assert aupimo(rank_maps(maps), masks) == pytest.approx([1.0, 1.0])
    assert aupro(rank_maps(-maps), find_regions(masks)) == pytest.approx(0.0)
    assert aupimo(rank_maps(-maps), masks) == pytest.approx([0.0, 0.0])


def test_a_small_lesion_weighs_as_much_as_a_large_one():
    masks = np.zeros((1, 20, 20), dtype=bool)
    masks[0, :10] = masks[0, 12, 12] = True
    only_large = masks.copy()
    only_large[0, 12, 12] = False
    # The small lesion comes after all other pixels, so half of the overlap is reached within the limit.
    maps = only_large.astype(np.float32) - (masks & ~only_large)
    assert aupro(rank_maps(maps), find_regions(masks)) == pytest.approx(0.5)


def test_rates_that_few_normal_pixels_cannot_reach_are_served_by_the_next_lower_one():
    masks = np.zeros((2, 4, 4), dtype=bool)
    masks[0, 0] = True
    maps = np.zeros((2, 4, 4))
    maps[1, 0, 0] = 1.0
    maps[0, 0] = [0.5, 1.0, 2.0, 3.0]
    # 16 normal pixels: every rate below 1/16 is served by the highest normal value, and 2 of 4 lesion pixels exceed it.
    assert aupimo(rank_maps(maps), masks) == pytest.approx([0.5])
    # From 1/16 on the threshold is 0, which all four exceed; the mean is over the logarithm of the rate.
    between = aupimo(rank_maps(maps), masks, (1 / 64, 1 / 4))
    assert between == pytest.approx([0.75])


def test_an_image_that_is_neither_normal_nor_has_a_lesion_in_its_mask_is_left_out():
    masks = np.zeros((3, 4, 4), dtype=bool)
    masks[0, 0] = True
    maps = np.random.default_rng(3).normal(size=masks.shape)
    maps[2] += 9.0
    normal = np.array([False, True, False])
    alone = aupimo(rank_maps(maps[:2]), masks[:2], (1 / 64, 1 / 4))
    assert aupimo(rank_maps(maps), masks, (1 / 64, 1 / 4), normal) == pytest.approx(alone)
    assert aupimo(rank_maps(maps), masks, normal=np.zeros(3, bool)) is None


def test_overlap_is_not_defined_without_lesions_or_without_normals():
    maps = rank_maps(np.random.default_rng(0).normal(size=(2, 3, 3)))
    none, every = np.zeros((2, 3, 3), bool), np.ones((2, 3, 3), bool)
    assert aupro(maps, find_regions(none)) is None
    assert aupro(maps, find_regions(every)) is None
    assert aupimo(maps, none) is None
    assert aupimo(maps, every) is None


def test_shapes_that_differ_are_refused():
    maps, masks = np.zeros((2, 3, 3)), np.zeros((2, 3, 4), bool)
    for metric in (
        lambda: aupro(rank_maps(maps), find_regions(masks)),
        lambda: aupimo(rank_maps(maps), masks),
        lambda: count_lesions(maps > 0, find_regions(masks)),
    ):
        with pytest.raises(InputError, match="expected that of the masks"):
            metric()


def test_lesions_and_false_alarms_are_counted_by_size():
    masks = np.zeros((3, 100, 100), dtype=bool)
    masks[0, 10:13, 10:13] = True  # 9 pixels: small
    masks[0, 40:48, 40:48] = True  # 64: medium
    masks[1, 0:30, 0:30] = True  # 900: large
    masks[1, 60:63, 60:63] = True  # small
    maps = np.zeros(masks.shape)
    maps[0, 12:20, 12:20] = 1.0  # touches the small one with a corner: found
    maps[0, 44, 44] = 1.0  # one pixel of the medium one
    maps[1, 80:84, 80:84] = 1.0  # 16: a small false alarm
    maps[2, 0:20, 0:20] = 1.0  # 400: a large one
    counts = count_lesions(maps > 0.5, find_regions(masks))
    assert counts.recall == pytest.approx(2 / 4)
    assert counts.recall_by_size == (0.5, 1.0, 0.0)
    assert counts.false_alarms_per_image == pytest.approx((1 / 3, 0.0, 1 / 3))


def test_recall_of_a_size_that_does_not_occur_is_not_defined():
    masks = np.zeros((1, 10, 10), dtype=bool)
    assert count_lesions(masks, find_regions(masks)).recall is None
    masks[0, 0, 0] = True
    assert count_lesions(masks, find_regions(masks)).recall_by_size == (None, None, 1.0)


@settings(deadline=None)
@given(arrays(np.int8, (3, 5, 5), elements=st.integers(-9, 9)), arrays(np.bool_, (3, 5, 5)), st.floats(0.05, 1.0))
def test_overlap_is_a_share_and_depends_on_the_order_of_the_values_alone(values, masks, limit):
    regions = find_regions(masks)
    plain, cubed = rank_maps(values.astype(np.float32)), rank_maps(values.astype(np.float64) ** 3)
    for metric in (lambda maps: aupro(maps, regions, limit), lambda maps: aupimo(maps, masks, (0.01, limit))):
        found, again = metric(plain), metric(cubed)
        assert (found is None) == (again is None)
        if found is not None:
            assert found == pytest.approx(again)
            assert np.all((np.asarray(found) >= -1e-12) & (np.asarray(found) <= 1.0 + 1e-12))
