# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Groups of subjects: `train`, `reference`, `calibration` and `test`."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

GROUPS = ("train", "reference", "calibration", "test")


def split_subjects(strata: Mapping[str, str], fractions: Mapping[str, float], seed: int) -> dict[str, list[str]]:
    """Deal subjects to groups, each stratum in the same proportions.

    Subjects are shuffled within their stratum, and one after the other goes to the group that is furthest behind its
    share. Any run of subjects, and so any stratum, is therefore dealt in the right proportions to within one subject.

    Args:
        strata: Stratum of each subject, for instance the grade of its tumour.
        fractions: Share of each group, positive, summing to 1. Ties go to the group named first.
        seed: Seed of the shuffle; nothing else changes the outcome.

    Returns:
        Sorted subjects of each group.

    Raises:
        InputError: If there are too few subjects for every group to have one.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for subject in sorted(strata):
        members[strata[subject]].append(subject)
    generator = np.random.default_rng(seed)
    groups: dict[str, list[str]] = {group: [] for group in fractions}
    dealt = 0
    for stratum in sorted(members):
        for position in generator.permutation(len(members[stratum])):
            dealt += 1
            behind = {group: share * dealt - len(groups[group]) for group, share in fractions.items()}
            groups[max(behind, key=lambda group: round(behind[group], 9))].append(members[stratum][position])
    empty = [group for group, subjects in groups.items() if not subjects]
    if empty:
        raise InputError(
            f"found {dealt} subjects, too few to give one to each of the groups {', '.join(fractions)} "
            f"({', '.join(empty)} would be empty), expected more subjects or other fractions."
        )
    return {group: sorted(subjects) for group, subjects in groups.items()}


def check_disjoint(groups: Mapping[str, Iterable[str]]) -> None:
    """Refuse groups that share a subject.

    Args:
        groups: Subjects of each group.

    Raises:
        InputError: If a subject is in two groups.
    """
    home: dict[str, str] = {}
    for group, subjects in groups.items():
        for subject in sorted(set(subjects)):
            if subject in home:
                raise InputError(
                    f"subject {subject}: found in the groups {home[subject]} and {group}, expected it in one only."
                )
            home[subject] = group


def split_sha256(groups: Mapping[str, Sequence[str]]) -> str:
    """Fingerprint of a split: SHA-256 of the sorted (group, subject) pairs as JSON.

    Args:
        groups: Subjects of each group.
    """
    pairs = sorted([group, subject] for group, subjects in groups.items() for subject in set(subjects))
    return hashlib.sha256(json.dumps(pairs, separators=(",", ":")).encode()).hexdigest()


def write_split(path: Path, groups: Mapping[str, Sequence[str]]) -> None:
    """Write a split and its hash as JSON, whole or not at all.

    Args:
        path: Where to; missing folders are made.
        groups: Subjects of each group.
    """
    content = {"sha256": split_sha256(groups), "groups": {group: sorted(groups[group]) for group in groups}}
    write_whole(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def read_split(path: Path, expected: Iterable[str]) -> dict[str, list[str]]:
    """Read a split and check it against its hash and against the subjects that there are.

    Args:
        path: File of :func:`write_split`.
        expected: The subjects that there are.

    Returns:
        Sorted subjects of each group.

    Raises:
        InputError: If the file is no split, was changed, or is a split of other subjects.
    """
    form = 'expected {"sha256": ..., "groups": {' + ", ".join(f'"{group}": [...]' for group in GROUPS) + "}}"
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        groups = {group: sorted(map(str, content["groups"][group])) for group in GROUPS}
        stated = content["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: found no split ({type(error).__name__}: {error}), {form}.") from error
    check_disjoint(groups)
    if split_sha256(groups) != stated:
        raise InputError(f"{path}: found a split that does not have the hash it states, expected an unchanged file.")
    listed, there = {subject for subjects in groups.values() for subject in subjects}, set(expected)
    for subject in sorted(listed ^ there):
        found = "which is not there" if subject in listed else "not listed, though it is there"
        raise InputError(f"{path}: found the subject {subject} {found}, expected a split of the same subjects.")
    return groups
