# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Bootstrap over subjects: intervals and paired differences of the image AUROC and the pixels' average precision.

Samples of one subject are alike, so whole subjects are drawn, not samples. The draws depend on nothing but the list of
subjects, so every model and every seed of a data set is judged on the very same draws, which is what makes a difference
between two models a paired one. Seeds and subjects are crossed: within one draw the statistic is the mean over seeds.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.evaluation.image import checked

DRAWS = 2000
"""Number of bootstrap draws behind every interval."""

_FIXED_SEED = 20190126
# Above what rounding leaves of a difference of equal numbers, and far below any that a score makes.
_ROUNDING = 1e-12
# Draws are weighed a block at a time, so that the block of weights stays small whatever the number of draws.
_BLOCK = 1_000_000


@dataclass(frozen=True)
class SubjectDraws:
    """How often each sample counts in each draw.

    Attributes:
        subject_of_sample: [N] position of each sample's subject.
        counts: [draws, S] how often each subject was drawn; every row sums to S.
    """

    subject_of_sample: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def subjects(self) -> int:
        """Number of subjects, S."""
        return self.counts.shape[1]


@dataclass(frozen=True)
class Interval:
    """A percentile interval.

    Attributes:
        low: Lower bound.
        high: Upper bound.
        draws: Number of draws in which the statistic was defined.
    """

    low: float
    high: float
    draws: int


@dataclass(frozen=True)
class Difference:
    """A paired difference of two models.

    Attributes:
        value: Statistic of the first minus that of the second.
        interval: 95 % interval of it.
        p_value: Two-sided p-value, in [0, 1].
    """

    value: float
    interval: Interval
    p_value: float


def draw_subjects(subject_ids: Sequence[str], draws: int = DRAWS) -> SubjectDraws:
    """Draw subjects with replacement, by a seed made from the list of subjects.

    Args:
        subject_ids: [N] the subject of each sample.
        draws: Number of draws.

    Returns:
        The same draws for the same subjects, whatever the order of the samples.
    """
    subjects, subject_of_sample = np.unique(np.asarray(subject_ids, dtype=str), return_inverse=True)
    digest = hashlib.sha256("\n".join(subjects.tolist()).encode()).digest()
    generator = np.random.default_rng([_FIXED_SEED, int.from_bytes(digest[:8], "big")])
    counts = generator.multinomial(subjects.size, np.full(subjects.size, 1.0 / subjects.size), size=draws)
    return SubjectDraws(subject_of_sample, counts)


def auroc_draws(labels: ArrayLike, scores: ArrayLike, draws: SubjectDraws) -> NDArray[np.float64]:
    """Image AUROC in every draw.

    The normal samples are sorted once; a draw only changes how often each counts, so its AUROC is one weighted
    cumulative sum, looked up where the abnormal ones lie.

    Args:
        labels: [N], 0 or 1.
        scores: [N].
        draws: Draws over the subjects of these N samples.

    Returns:
        [draws]; NaN where a draw holds no normal or no abnormal sample.
    """
    label_array, score_array = checked(labels, scores)
    if draws.subject_of_sample.size != label_array.size:
        raise InputError(f"draws: found {draws.subject_of_sample.size} samples, expected {label_array.size}.")
    abnormal = label_array == 1
    order = np.argsort(score_array[~abnormal], kind="stable")
    normal_scores = score_array[~abnormal][order]
    normal_subjects = draws.subject_of_sample[~abnormal][order]
    abnormal_subjects = draws.subject_of_sample[abnormal]
    # A pair is won above, half won at equal scores: half of the normals below and half of those not above are won.
    below, not_above = (np.searchsorted(normal_scores, score_array[abnormal], side) for side in ("left", "right"))
    result = np.empty(len(draws.counts))
    rows = max(1, _BLOCK // label_array.size)
    for first in range(0, len(draws.counts), rows):
        counts = draws.counts[first : first + rows].astype(np.float64)
        weights = counts[:, abnormal_subjects]
        passed = np.zeros((len(counts), normal_subjects.size + 1))
        np.cumsum(counts[:, normal_subjects], axis=1, out=passed[:, 1:])
        pairs = weights.sum(axis=1) * passed[:, -1]
        wins = 0.5 * np.einsum("ij,ij->i", weights, passed[:, below] + passed[:, not_above])
        result[first : first + rows] = np.divide(wins, pairs, out=np.full(len(wins), np.nan), where=pairs > 0)
    return result


def average_precision_draws(
    abnormal: NDArray[np.float64], normal: NDArray[np.float64], draws: SubjectDraws
) -> NDArray[np.float64]:
    """Average precision of the pixels in every draw, from the histograms of the subjects.

    Args:
        abnormal: [S, B] number of lesion pixels of each subject in each bin of map values, ascending.
        normal: [S, B] the same for the other pixels.
        draws: Draws over these S subjects.

    Returns:
        [draws]; NaN where a draw holds no lesion pixel.
    """
    counts = draws.counts.astype(np.float64)
    positives = (counts @ abnormal)[:, ::-1]
    true_positives = np.cumsum(positives, axis=1)
    called = true_positives + np.cumsum((counts @ normal)[:, ::-1], axis=1)
    precision = np.divide(true_positives, called, out=np.zeros_like(called), where=called > 0)
    total = true_positives[:, -1]
    hits = np.einsum("ij,ij->i", positives, precision)
    return np.divide(hits, total, out=np.full(len(total), np.nan), where=total > 0)


def percentile_interval(statistics: NDArray[np.float64], coverage: float = 0.95) -> Interval | None:
    """Percentile interval of a statistic over draws (Efron and Tibshirani, An Introduction to the Bootstrap, 1993).

    Args:
        statistics: [draws], NaN where the statistic is not defined.
        coverage: Share of the draws inside, in (0, 1).

    Returns:
        The interval, or None when the statistic was defined in no draw.
    """
    defined = statistics[np.isfinite(statistics)]
    if not defined.size:
        return None
    tail = 100.0 * (1.0 - coverage) / 2.0
    low, high = np.percentile(defined, [tail, 100.0 - tail])
    return Interval(float(low), float(high), int(defined.size))


def paired_difference(
    first: tuple[float, NDArray[np.float64]], second: tuple[float, NDArray[np.float64]], subjects: int
) -> Difference | None:
    """Difference of two models on the same draws.

    The p-value is that of Student's t with S - 1 degrees of freedom, the standard deviation over the draws taken as
    the standard error (Cameron and Miller, A practitioner's guide to cluster-robust inference, Journal of Human
    Resources 50, 2015). Counting draws beyond zero instead could give nothing below 1 / draws, which no comparison
    in a family of fifty would survive.

    Args:
        first: Statistic of the first model, and [draws] the same statistic in every draw.
        second: The same of the second model, over the same draws.
        subjects: Number of subjects S.

    Returns:
        First minus second, or None when no draw defines it.
    """
    differences = first[1] - second[1]
    interval = percentile_interval(differences)
    if interval is None:
        return None
    value = first[0] - second[0]
    error = float(np.std(differences[np.isfinite(differences)]))
    if error > _ROUNDING:
        p_value = float(2.0 * stats.t.sf(abs(value) / error, subjects - 1))
    else:
        # Every draw gives the same difference; then the sign test of S subjects that all agree is what can be said.
        p_value = 1.0 if abs(value) <= _ROUNDING else 2.0 ** (1 - subjects)
    return Difference(value, interval, p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (Scandinavian Journal of Statistics 6, 1979).

    Args:
        p_values: Family of p-values.

    Returns:
        Adjusted p-values, in the order given.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        adjusted[position] = largest
    return adjusted
