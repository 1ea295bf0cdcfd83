# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Samples of prepared volumes: which a protocol selects, and how they are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anomalib_patchgan.data.cache import entries_sha256
from anomalib_patchgan.data.protocols import (
    NORMAL,
    AxialSliceProtocol,
    Eligibility,
    PatchProtocol,
    SubjectStack,
    join_tables,
)
from anomalib_patchgan.data.volumes import Window


@dataclass(frozen=True)
class StackReader:
    """Reads samples from prepared stacks.

    Attributes:
        stacks: The stacks of each subject.
    """

    stacks: dict[str, SubjectStack]

    @property
    def fingerprint(self) -> str:
        """Changes whenever a source file changes."""
        return entries_sha256(
            prepared.folder
            for _, stack in sorted(self.stacks.items())
            for prepared in (*stack.intensities, stack.lesions)
            if prepared is not None
        )

    def read(self, sample: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a sample.

        Args:
            sample: Row with ``subject_id, slice_index, top, left, height, width``.

        Returns:
            Image in [0, 1], float32 ``[channels, height, width]``, and lesion mask, bool ``[height, width]``.
        """
        stack = self.stacks[sample["subject_id"]]
        window = Window(sample["top"], sample["left"], sample["height"], sample["width"])
        index = sample["slice_index"]
        channels = [channel.read_intensities(index, window) for channel in stack.intensities]
        return np.stack(channels), stack.read_lesion(index, window)


@dataclass(frozen=True)
class CohortReader:
    """Reads normal samples from a healthy cohort and abnormal ones from patients, who may have the same names.

    Attributes:
        healthy: Reads the healthy cohort.
        patients: Reads the patients.
    """

    healthy: StackReader
    patients: StackReader

    @property
    def fingerprint(self) -> str:
        """Changes whenever a source file changes."""
        return f"{self.healthy.fingerprint}{self.patients.fingerprint}"

    def read(self, sample: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a sample.

        Args:
            sample: Row with ``label_index`` and what :meth:`StackReader.read` needs.

        Returns:
            Image in [0, 1], float32 ``[channels, height, width]``, and lesion mask, bool ``[height, width]``.
        """
        return (self.healthy if sample["label_index"] == NORMAL else self.patients).read(sample)


class Selection(Protocol):
    """Applies a protocol to a collection of stacks."""

    @property
    def protocol(self) -> AxialSliceProtocol | PatchProtocol:
        """The protocol."""

    def samples_of(self, stack: SubjectStack) -> Eligibility:
        """Find the eligible samples of a subject."""

    def select_test(self, samples: pd.DataFrame) -> Eligibility:
        """Choose among the samples of all test subjects."""


@dataclass(frozen=True)
class SliceSelection:
    """Takes whole slices, and test slices in matched pairs.

    Attributes:
        protocol: The protocol.
    """

    protocol: AxialSliceProtocol

    def samples_of(self, stack: SubjectStack) -> Eligibility:
        """Find the eligible slices of a subject."""
        return self.protocol.samples_of(stack)

    def select_test(self, samples: pd.DataFrame) -> Eligibility:
        """Keep the test slices that can be matched."""
        return self.protocol.select_test(samples)


@dataclass(frozen=True)
class PatchSelection:
    """Takes patches of slices.

    Attributes:
        protocol: The protocol.
        slice_spacing: Distance in mm between the slices that are used.
    """

    protocol: PatchProtocol
    slice_spacing: float

    def samples_of(self, stack: SubjectStack) -> Eligibility:
        """Find the eligible patches of a subject and draw among them."""
        window = stack.field_of_view
        tables, excluded = [], Counter[str]()
        for index in stack.sampled_slices(self.slice_spacing):
            if not stack.intensities[0].counts[index]:
                continue
            background = stack.intensities[0].read(index, window) == 0
            eligible = self.protocol.samples_of(stack.read_lesion(index, window), background, stack.subject, index)
            tables.append(eligible.samples)
            excluded += eligible.excluded
        samples = join_tables(tables)
        if not samples.empty:
            samples["top"] += window.top
            samples["left"] += window.left
        capped = self.protocol.cap(samples, stack.subject)
        return Eligibility(capped.samples, excluded + capped.excluded, capped.spare)

    def select_test(self, samples: pd.DataFrame) -> Eligibility:
        """Keep all test patches."""
        return Eligibility(samples)
