# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What one sample is, and what normal means: decided from image and mask alone, before anything is scored."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from anomalib_patchgan.data.volumes import Window

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from anomalib_patchgan.data.volumes import PreparedStack

NORMAL = 0
ABNORMAL = 1


@dataclass(frozen=True)
class SubjectStack:
    """The prepared slices of one subject.

    Attributes:
        subject: Its name.
        intensities: One stack of codes for each channel; the first tells brain from background.
        lesions: Mask of its lesions; None for a subject of a healthy cohort.
        field_of_view: Rectangle, the same in every slice, that a sample is taken from.
    """

    subject: str
    intensities: tuple[PreparedStack, ...]
    lesions: PreparedStack | None
    field_of_view: Window

    @property
    def lesion_counts(self) -> NDArray[np.int64]:
        """Lesion pixels of every slice, ``[slices]``."""
        if self.lesions is None:
            return np.zeros(self.intensities[0].shape[0], dtype=np.int64)
        return np.asarray(self.lesions.counts, dtype=np.int64)

    @property
    def lesion_counts_in_view(self) -> NDArray[np.int64]:
        """Lesion pixels of every slice that lie in the field of view, ``[slices]``."""
        counts = self.lesion_counts
        for index in np.flatnonzero(counts):
            counts[index] = np.count_nonzero(self.read_lesion(int(index), self.field_of_view))
        return counts

    def read_lesion(self, slice_index: int, window: Window) -> NDArray[np.bool_]:
        """Read a window of the lesion mask, bool ``[window.height, window.width]``.

        Args:
            slice_index: Index of the slice.
            window: Rectangle in pixels of the whole slice.
        """
        if self.lesions is None:
            return np.zeros((window.height, window.width), dtype=bool)
        return self.lesions.read(slice_index, window)

    @property
    def pixel_area(self) -> float:
        """Area of a pixel in mm2."""
        _, rows, columns = self.intensities[0].spacing
        return rows * columns

    def sampled_slices(self, slice_spacing: float) -> range:
        """Indices of slices at about ``slice_spacing`` mm, at least every slice."""
        stack = self.intensities[0]
        return range(0, stack.shape[0], max(1, round(slice_spacing / stack.spacing[0])))


@dataclass
class Eligibility:
    """Samples that a protocol lets in, and how many it left out for which reason.

    Attributes:
        samples: One row a sample.
        excluded: Number of candidates left out, by reason.
        spare: Normal samples among those left out; the leak meter trains on those of test subjects.
    """

    samples: pd.DataFrame
    excluded: Counter[str] = field(default_factory=Counter)
    spare: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass(frozen=True)
class AxialSliceProtocol(ABC):
    """A sample is an axial slice; what makes one normal is for the subclasses to say.

    Attributes:
        slice_spacing: Distance in mm between the slices that are looked at.
        minimum_brain_area: Area in mm2 of brain that a slice needs.
        minimum_lesion_area: Area in mm2 of lesion that makes a slice abnormal; less, but some, leaves it out.
        position_tolerance: Largest difference in height, as a share of the brain's height, of a matched test pair.
        area_tolerance: Largest relative difference in brain area of a matched test pair.
    """

    slice_spacing: float
    minimum_brain_area: float
    minimum_lesion_area: float
    position_tolerance: float
    area_tolerance: float

    @property
    @abstractmethod
    def normal_means(self) -> str:
        """What a normal sample is, in a sentence."""

    @abstractmethod
    def reason_against_normal(self, stack: SubjectStack, lesion_distance: float) -> str | None:
        """Why a slice without lesion is no normal sample, or None if it is one.

        Args:
            stack: The subject.
            lesion_distance: Distance in mm to the nearest slice with a lesion; infinite where the subject has none.
        """

    def sample_id(self, stack: SubjectStack, slice_index: int) -> str:
        """Name of a sample, unique in the collection."""
        return f"{stack.subject}_z{slice_index:03d}"

    def samples_of(self, stack: SubjectStack) -> Eligibility:
        """Find the eligible slices of a subject.

        Args:
            stack: The subject.

        Returns:
            Rows with ``subject_id, sample_id, slice_index, label_index, lesion_fraction``, the place of the sample
            (``top, left, height, width``), and what slices are matched by (``position`` in [0, 1] from the lowest to
            the highest slice with brain, ``brain_area`` in mm2).
        """
        brain = np.asarray(stack.intensities[0].counts)
        lesion = stack.lesion_counts_in_view
        with_brain = np.flatnonzero(brain)
        lowest, highest = int(with_brain[0]), int(with_brain[-1])
        with_lesion = np.flatnonzero(stack.lesion_counts)
        window = stack.field_of_view
        sampled = stack.sampled_slices(self.slice_spacing)
        excluded = Counter({"slice between the sampled slices": len(brain) - len(sampled)})
        rows = []
        for index in sampled:
            distance = np.abs(with_lesion - float(index)).min(initial=np.inf) * stack.intensities[0].spacing[0]
            reason = self._reason_to_leave_out(
                stack, brain[index] * stack.pixel_area, lesion[index] * stack.pixel_area, float(distance)
            )
            if reason is not None:
                excluded[reason] += 1
                continue
            rows.append(
                {
                    "subject_id": stack.subject,
                    "sample_id": self.sample_id(stack, index),
                    "slice_index": index,
                    "label_index": ABNORMAL if lesion[index] else NORMAL,
                    "lesion_fraction": float(lesion[index]) / (window.height * window.width),
                    "position": (index - lowest) / max(1, highest - lowest),
                    "brain_area": float(brain[index] * stack.pixel_area),
                    "top": window.top,
                    "left": window.left,
                    "height": window.height,
                    "width": window.width,
                }
            )
        return Eligibility(pd.DataFrame(rows), +excluded)

    def _reason_to_leave_out(
        self, stack: SubjectStack, brain_area: float, lesion_area: float, lesion_distance: float
    ) -> str | None:
        if brain_area < self.minimum_brain_area:
            return "slice with too little brain"
        if 0 < lesion_area < self.minimum_lesion_area:
            return "slice with too little lesion"
        if lesion_area == lesion_distance == 0:
            return "slice with its lesion outside the field of view"
        return self.reason_against_normal(stack, lesion_distance) if lesion_area == 0 else None

    def alike(self, first: pd.DataFrame, second: pd.DataFrame) -> list[tuple[int, int]]:
        """Pair slices alike in position and brain area one to one.

        Args:
            first: Rows of :meth:`samples_of`.
            second: Others.

        Returns:
            Numbers of rows of ``first`` and ``second``.
        """
        one, other = (rows[["position", "brain_area"]].to_numpy(dtype=np.float64) for rows in (first, second))
        return match_pairs(one, other, self.position_tolerance, self.area_tolerance)

    def select_test(self, samples: pd.DataFrame) -> Eligibility:
        """Pair normal with abnormal slices alike in position and brain area, and leave the others out.

        Lesions are found in the middle of the brain more often than at its ends, so that without pairs position and
        brain area would tell the label.

        Args:
            samples: Test rows of :meth:`samples_of`.
        """
        normal = samples[samples["label_index"] == NORMAL]
        abnormal = samples[samples["label_index"] == ABNORMAL]
        pairs = self.alike(normal, abnormal)
        kept = pd.concat([normal.iloc[[pair[0] for pair in pairs]], abnormal.iloc[[pair[1] for pair in pairs]]])
        excluded = Counter(
            {
                "normal test slice without an abnormal one alike in position and brain area": len(normal) - len(pairs),
                "abnormal test slice without a normal one alike in position and brain area": len(abnormal) - len(pairs),
            }
        )
        return Eligibility(kept, +excluded, normal.drop(normal.index[[pair[0] for pair in pairs]]))


@dataclass(frozen=True)
class SliceProtocol(AxialSliceProtocol):
    """Normal and abnormal slices are of the same patients.

    Attributes:
        lesion_margin: Distance in mm that a normal slice keeps from any slice with a lesion.
    """

    lesion_margin: float

    @property
    def normal_means(self) -> str:
        """What a normal sample is, in a sentence."""
        return (
            f"An axial slice without lesion, at least {self.lesion_margin:g} mm from any slice with a lesion, of a "
            "patient who has a tumour elsewhere in the brain."
        )

    def reason_against_normal(self, stack: SubjectStack, lesion_distance: float) -> str | None:  # noqa: ARG002
        """Why a slice without lesion is no normal sample: it may be too near to one with a lesion."""
        return "slice without lesion but too near to one" if lesion_distance < self.lesion_margin else None


@dataclass(frozen=True)
class SubjectProtocol(AxialSliceProtocol):
    """Normal slices are of a healthy cohort, abnormal ones of patients."""

    @property
    def normal_means(self) -> str:
        """What a normal sample is, in a sentence."""
        return (
            "An axial slice of a subject of the healthy cohort; where that cohort comes from another scanner, centre "
            "or generator than the patients (domain shift), a score can come from this difference alone."
        )

    def sample_id(self, stack: SubjectStack, slice_index: int) -> str:
        """Name of a sample, unique in the collection even if a patient's healthy twin has the patient's name."""
        name = super().sample_id(stack, slice_index)
        return f"{name}_healthy" if stack.lesions is None else name

    def reason_against_normal(self, stack: SubjectStack, lesion_distance: float) -> str | None:  # noqa: ARG002
        """Why a slice without lesion is no normal sample: it may be a patient's."""
        return None if stack.lesions is None else "slice without lesion of a patient"


@dataclass(frozen=True)
class DiagnosisProtocol:
    """A sample is a whole image.

    Attributes:
        normal: Which images count as normal, in words that end the sentence of :attr:`normal_means`.
    """

    normal: str

    @property
    def normal_means(self) -> str:
        """What a normal sample is, in a sentence."""
        return f"A whole image {self.normal}."


@dataclass(frozen=True)
class PatchProtocol:
    """A sample is a square patch of a grid without overlap.

    Attributes:
        patch_size: Side of a patch in pixels.
        abnormal_lesion_fraction: Smallest share of lesion pixels of an abnormal patch; less, but some, leaves it out.
        maximum_background_fraction: Largest share of background pixels of a patch.
        patches_per_subject: Most patches of each label that a subject gives, drawn by ``split_seed``.
        split_seed: Seed of that draw.
    """

    patch_size: int
    abnormal_lesion_fraction: float
    maximum_background_fraction: float
    patches_per_subject: int
    split_seed: int

    @property
    def normal_means(self) -> str:
        """What a normal sample is, in a sentence."""
        return (
            "A patch without a single lesion pixel, of a subject who has a lesion elsewhere; in an abnormal patch "
            f"lesion covers at least {100 * self.abnormal_lesion_fraction:g} % of the pixels."
        )

    def samples_of(
        self, lesion: NDArray[np.bool_], background: NDArray[np.bool_], subject: str, slice_index: int
    ) -> Eligibility:
        """Find the eligible patches of one image; what is left of the grid at its right and lower end is not used.

        Args:
            lesion: Mask, bool ``[rows, columns]``.
            background: Pixels that show nothing, bool ``[rows, columns]``.
            subject: Whose image it is.
            slice_index: Which slice of the subject it is, or -1.

        Returns:
            Rows with ``subject_id, sample_id, slice_index, label_index, lesion_fraction`` and the place of the patch
            in the image (``top, left, height, width``).
        """
        size = self.patch_size
        fractions = _means_on_grid(lesion, size)
        emptiness = _means_on_grid(background, size)
        too_empty = emptiness > self.maximum_background_fraction + 1e-9
        partly = ~too_empty & (fractions > 0) & (fractions < self.abnormal_lesion_fraction)
        excluded = Counter(
            {
                "patch with too much background": int(too_empty.sum()),
                "patch partly lesion": int(partly.sum()),
            }
        )
        name = subject if slice_index < 0 else f"{subject}_z{slice_index:03d}"
        rows = [
            {
                "subject_id": subject,
                "sample_id": f"{name}_r{row * size:04d}_c{column * size:04d}",
                "slice_index": slice_index,
                "label_index": ABNORMAL if fractions[row, column] > 0 else NORMAL,
                "lesion_fraction": float(fractions[row, column]),
                "top": row * size,
                "left": column * size,
                "height": size,
                "width": size,
            }
            for row, column in np.argwhere(~too_empty & ~partly).tolist()
        ]
        return Eligibility(pd.DataFrame(rows), +excluded)

    def cap(self, samples: pd.DataFrame, subject: str) -> Eligibility:
        """Draw at most ``patches_per_subject`` patches of each label.

        The draw depends on the seed and on the subject's name only, not on which other subjects there are.

        Args:
            samples: Rows of one subject.
            subject: Its name.
        """
        if samples.empty:
            return Eligibility(samples)
        digest = hashlib.sha256(f"{self.split_seed}/{subject}".encode()).digest()
        generator = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        kept, spare = [], samples.iloc[:0]
        for label, rows in samples.groupby("label_index", sort=True):
            order = generator.permutation(len(rows))
            kept.append(rows.iloc[np.sort(order[: self.patches_per_subject])])
            if label == NORMAL:
                spare = rows.iloc[np.sort(order[self.patches_per_subject : 2 * self.patches_per_subject])]
        chosen = pd.concat(kept)
        return Eligibility(chosen, Counter({"patch beyond patches_per_subject": len(samples) - len(chosen)}), spare)


def join_tables(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put tables of samples below each other.

    Args:
        tables: Any number of them, some perhaps without a row, whose columns must not set the types of the others.
    """
    filled = [table for table in tables if not table.empty]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()


def match_pairs(
    first: NDArray[np.float64], second: NDArray[np.float64], position_tolerance: float, area_tolerance: float
) -> list[tuple[int, int]]:
    """Pair rows one to one, the most alike first.

    Args:
        first: Position and positive area of each candidate, ``[n, 2]``.
        second: The same of the candidates on the other side, ``[m, 2]``.
        position_tolerance: Largest difference in position.
        area_tolerance: Largest difference in area, as a share of the larger area.

    Returns:
        Indices into ``first`` and ``second``.
    """
    if not len(first) or not len(second):
        return []
    position_gap = np.abs(first[:, None, 0] - second[None, :, 0]) / position_tolerance
    larger = np.maximum(first[:, None, 1], second[None, :, 1])
    area_gap = np.abs(first[:, None, 1] - second[None, :, 1]) / (larger * area_tolerance)
    gap = np.maximum(position_gap, area_gap)
    rows, columns = np.nonzero(gap <= 1)
    free_first, free_second = np.ones(len(first), dtype=bool), np.ones(len(second), dtype=bool)
    pairs = []
    for candidate in np.argsort(gap[rows, columns], kind="stable"):
        row, column = int(rows[candidate]), int(columns[candidate])
        if free_first[row] and free_second[column]:
            free_first[row] = free_second[column] = False
            pairs.append((row, column))
    return pairs


def _means_on_grid(mask: NDArray[np.bool_], size: int) -> NDArray[np.float64]:
    rows, columns = mask.shape[0] // size, mask.shape[1] // size
    cells = mask[: rows * size, : columns * size].reshape(rows, size, columns, size)
    return cells.mean(axis=(1, 3), dtype=np.float64)
