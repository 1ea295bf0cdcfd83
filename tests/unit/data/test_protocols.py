# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What a sample is, and what normal means."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anomalib_patchgan.data.protocols import PatchProtocol, SliceProtocol, SubjectStack, match_pairs
from anomalib_patchgan.data.volumes import ScaledStack, Window

PATCHES = PatchProtocol(
    patch_size=4,
    abnormal_lesion_fraction=0.75,
    maximum_background_fraction=0.25,
    patches_per_subject=5,
    split_seed=0,
)
SLICES = SliceProtocol(
    slice_spacing=1.0,
    lesion_margin=5.0,
    minimum_brain_area=50.0,
    minimum_lesion_area=10.0,
    position_tolerance=0.05,
    area_tolerance=0.1,
)


def stack_of(brain, lesion, spacing=(2.0, 1.0, 1.0)):
    def stored(counts):
        shape = (len(counts), 20, 20)
        # The first pixels of a slice, row by row.
        box = (np.arange(400).reshape(20, 20) < np.array(counts)[:, None, None]).astype(np.uint8)
        return ScaledStack(shape=shape, spacing=spacing, origin=(0, 0, 0), extent=shape, counts=tuple(counts), box=box)

    return SubjectStack("anna", (stored(brain),), stored(lesion), Window(0, 0, 20, 20))


masks = arrays(np.bool_, (13, 18))


@given(masks, masks)
def test_the_lesion_fraction_of_a_patch_is_what_its_mask_says(lesion, background):
    eligible = PATCHES.samples_of(lesion, background, "anna", 3)
    for sample in eligible.samples.to_dict("records"):
        rows = slice(sample["top"], sample["top"] + sample["height"])
        columns = slice(sample["left"], sample["left"] + sample["width"])
        assert lesion[rows, columns].shape == (4, 4)
        assert sample["lesion_fraction"] == lesion[rows, columns].mean()
        assert background[rows, columns].mean() <= 0.25
        assert sample["lesion_fraction"] == 0 if sample["label_index"] == 0 else sample["lesion_fraction"] >= 0.75


@given(masks, masks)
def test_every_patch_is_either_a_sample_or_counted_as_left_out(lesion, background):
    eligible = PATCHES.samples_of(lesion, background, "anna", 3)
    assert len(eligible.samples) + eligible.excluded.total() == (13 // 4) * (18 // 4)


def test_ten_background_pixels_of_1024_are_allowed_and_eleven_are_not():
    protocol = PatchProtocol(32, 0.75, 10 / 1024, 64, 0)
    background = np.zeros((32, 32), dtype=bool)
    background.flat[:10] = True
    nothing = np.zeros((32, 32), dtype=bool)
    assert len(protocol.samples_of(nothing, background, "anna", 0).samples) == 1
    background.flat[10] = True
    assert protocol.samples_of(nothing, background, "anna", 0).excluded == {"patch with too much background": 1}


def test_the_cap_holds_for_each_label_and_counts_the_rest():
    lesion = np.zeros((40, 40), dtype=bool)
    lesion[:20] = True
    samples = PATCHES.samples_of(lesion, np.zeros_like(lesion), "anna", 0).samples
    capped = PATCHES.cap(samples, "anna")
    assert capped.samples["label_index"].value_counts().to_dict() == {0: 5, 1: 5}
    assert capped.excluded.total() == 90
    assert PATCHES.cap(samples, "anna").samples.equals(capped.samples)
    assert not PATCHES.cap(samples, "berta").samples.equals(capped.samples)


def test_a_normal_slice_keeps_its_distance_in_millimetres():
    brain = [100] * 20
    lesion = [0] * 20
    lesion[10] = 30
    eligible = SLICES.samples_of(stack_of(brain, lesion))
    normal = eligible.samples[eligible.samples["label_index"] == 0]
    # Slices are 2 mm apart, so that the nearest that is at least 5 mm away is the third.
    assert set(normal["slice_index"]) == set(range(8)) | set(range(13, 20))
    assert eligible.excluded == {"slice without lesion but too near to one": 4}


def test_slices_with_little_brain_or_little_lesion_are_counted_out():
    brain = [0, 40, 100, 100, 100, 100, 100, 40]
    lesion = [0, 0, 0, 0, 0, 0, 9, 0]
    eligible = SLICES.samples_of(stack_of(brain, lesion))
    assert eligible.excluded["slice with too little brain"] == 3
    assert eligible.excluded["slice with too little lesion"] == 1
    assert set(eligible.samples["slice_index"]) == {2, 3}


def test_a_lesion_counts_as_far_as_it_is_in_the_field_of_view():
    stack = replace(stack_of([400] * 20, [0] * 17 + [20, 0, 60]), field_of_view=Window(1, 0, 19, 20))
    eligible = SLICES.samples_of(stack)
    abnormal = eligible.samples[eligible.samples["label_index"] == 1]
    assert list(abnormal["slice_index"]) == [19]
    assert list(abnormal["lesion_fraction"]) == [40 / 380]
    assert eligible.excluded["slice with its lesion outside the field of view"] == 1
    assert eligible.excluded["slice without lesion but too near to one"] == 3


def test_slices_are_sampled_in_millimetres_and_the_others_counted():
    protocol = replace(SLICES, slice_spacing=4.0)
    eligible = protocol.samples_of(stack_of([100] * 20, [0] * 20))
    assert list(eligible.samples["slice_index"]) == list(range(0, 20, 2))
    assert eligible.excluded == {"slice between the sampled slices": 10}


candidates = st.lists(st.tuples(st.floats(0, 1), st.floats(1, 100)), max_size=30).map(
    lambda rows: np.array(rows, dtype=np.float64).reshape(-1, 2)
)


@given(candidates, candidates)
def test_pairs_are_one_to_one_and_within_tolerance(first, second):
    pairs = match_pairs(first, second, 0.1, 0.2)
    assert len({row for row, _ in pairs}) == len(pairs) == len({column for _, column in pairs})
    for row, column in pairs:
        assert abs(first[row, 0] - second[column, 0]) <= 0.1 * (1 + 1e-12)
        areas = sorted((first[row, 1], second[column, 1]))
        assert areas[1] - areas[0] <= 0.2 * areas[1] * (1 + 1e-12)


def test_no_pair_is_left_that_could_be_made():
    first = np.array([[0.5, 10.0], [0.9, 10.0]])
    second = np.array([[0.51, 10.0], [0.1, 10.0]])
    assert match_pairs(first, second, 0.05, 0.1) == [(0, 0)]


def test_matched_slices_are_balanced_and_the_others_counted():
    lesion = [0] * 40
    lesion[18:24] = [50] * 6
    tables = [SLICES.samples_of(stack_of([100] * 40, lesion)).samples]
    shifted = [0] * 40
    shifted[4:8] = [50] * 4
    tables.append(SLICES.samples_of(stack_of([100] * 40, shifted)).samples)
    samples = pd.concat(tables, ignore_index=True)
    selected = SLICES.select_test(samples)
    assert selected.samples["label_index"].value_counts().to_dict() == {0: 10, 1: 10}
    assert len(selected.samples) + selected.excluded.total() == len(samples)
    by_label = selected.samples.groupby("label_index")["position"].mean()
    assert by_label[0] == pytest.approx(by_label[1], abs=0.05)
