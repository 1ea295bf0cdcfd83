# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Splits by subject."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomalib_patchgan.data.splits import GROUPS, check_disjoint, read_split, split_sha256, split_subjects, write_split
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


def test_a_written_split_is_read_back(tmp_path):
    groups = split_subjects(grades(20), FRACTIONS, 3)
    write_split(tmp_path / "folder" / "split.json", groups)
    assert read_split(tmp_path / "folder" / "split.json", grades(20)) == groups
    assert json.loads((tmp_path / "folder" / "split.json").read_text())["sha256"] == split_sha256(groups)


def test_a_split_that_was_changed_by_hand_is_refused(tmp_path):
    path = tmp_path / "split.json"
    write_split(path, split_subjects(grades(20), FRACTIONS, 3))
    content = json.loads(path.read_text())
    content["groups"]["train"].append(content["groups"]["test"].pop())
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"split\.json: found a split that does not have the hash it states"):
        read_split(path, grades(20))


def test_a_split_of_other_subjects_is_refused(tmp_path):
    path = tmp_path / "split.json"
    write_split(path, split_subjects(grades(20), FRACTIONS, 3))
    with pytest.raises(InputError, match="found the subject subject0019 which is not there"):
        read_split(path, grades(19))
    with pytest.raises(InputError, match="found the subject subject0020 not listed, though it is there"):
        read_split(path, grades(21))


@pytest.mark.parametrize("text", ["", "[]", '{"groups": {}}', '{"groups": {"train": 1}, "sha256": ""}', "\x00"])
def test_a_file_that_is_no_split_is_refused(tmp_path, text):
    path = tmp_path / "split.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r'split\.json: found no split .*expected \{"sha256": \.\.\., "groups"'):
        read_split(path, [])


@given(st.integers(10, 60), st.integers(0, 1000), st.data())
def test_no_subject_can_be_moved_without_the_hash_noticing(number, seed, data):
    groups = split_subjects(grades(number), FRACTIONS, seed)
    before = split_sha256(groups)
    source, target = data.draw(st.permutations(GROUPS))[:2]
    groups[target].append(groups[source].pop())
    assert split_sha256(groups) != before
