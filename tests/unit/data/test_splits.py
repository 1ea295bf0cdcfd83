# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Splits by subject."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomalib_patchgan.data.splits import GROUPS, check_disjoint, split_sha256, split_subjects
from anomalib_patchgan.errors import InputError

FRACTIONS = {"train": 0.5, "reference": 0.15, "calibration": 0.15, "test": 0.2}


def grades(number):
    return {f"subject{index:04d}": "LGG" if index % 4 == 0 else "HGG" for index in range(number)}


def test_the_phantoms_can_be_used_without_torch():
    code = "import sys, anomalib_patchgan.data; sys.exit(bool({'torch', 'anomalib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(
    st.dictionaries(st.text(min_size=1, max_size=8), st.sampled_from(["HGG", "LGG"]), min_size=10, max_size=80),
    st.integers(0, 2**32 - 1),
)
def test_every_subject_is_in_exactly_one_group(strata, seed):
    groups = split_subjects(strata, FRACTIONS, seed)
    dealt = [subject for subjects in groups.values() for subject in subjects]
    assert sorted(dealt) == sorted(strata)
    check_disjoint(groups)


@given(st.integers(20, 400), st.integers(0, 1000))
def test_each_grade_is_dealt_in_the_same_proportions(number, seed):
    strata = grades(number)
    groups = split_subjects(strata, FRACTIONS, seed)
    for grade in ("HGG", "LGG"):
        size = sum(value == grade for value in strata.values())
        for group, share in FRACTIONS.items():
            found = sum(strata[subject] == grade for subject in groups[group])
            assert abs(found - share * size) < 2


def test_the_seed_changes_the_split_and_the_order_of_subjects_does_not():
    strata = grades(40)
    assert split_subjects(strata, FRACTIONS, 0) == split_subjects(dict(reversed(strata.items())), FRACTIONS, 0)
    assert split_subjects(strata, FRACTIONS, 0) != split_subjects(strata, FRACTIONS, 1)


def test_too_few_subjects_are_refused():
    with pytest.raises(InputError, match="found 3 subjects, too few"):
        split_subjects(grades(3), FRACTIONS, 0)


def test_a_shared_subject_is_refused():
    with pytest.raises(InputError, match="subject b: found in the groups train and test"):
        check_disjoint({"train": ["a", "b"], "test": ["b", "c"]})


def test_the_fingerprint_depends_on_the_groups_and_not_on_the_order():
    first = {"train": ["a", "b"], "test": ["c"]}
    assert split_sha256(first) == split_sha256({"test": ["c"], "train": ["b", "a"]})
    assert split_sha256(first) != split_sha256({"train": ["a"], "test": ["b", "c"]})
    assert set(split_subjects(grades(10), FRACTIONS, 0)) == set(GROUPS)
