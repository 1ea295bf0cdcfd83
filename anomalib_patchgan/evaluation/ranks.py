# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Mean ranks of models over many data sets, with the critical difference."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from anomalib_patchgan.errors import InputError

SMALLEST_NUMBER_OF_DATA_SETS = 5
"""Below this a comparison of mean ranks says next to nothing, so none is made."""


@dataclass(frozen=True)
class MeanRanks:
    """Models ranked over data sets.

    Attributes:
        data_sets: Number of data sets ranked over.
        ranks: [M] mean rank of each model, 1 the best.
        p_value: Friedman's test of the hypothesis that all models are alike.
        critical_difference: Two mean ranks that differ by less cannot be told apart at 5 %.
        groups: Positions of the models in each largest set that cannot be told apart, best first.
    """

    data_sets: int
    ranks: NDArray[np.float64]
    p_value: float
    critical_difference: float
    groups: tuple[tuple[int, ...], ...]


def mean_ranks(statistics: NDArray[np.float64]) -> MeanRanks:
    """Rank models on each data set and compare the mean ranks by Nemenyi's test (Demšar, JMLR 7, 2006).

    Args:
        statistics: [D, M] of D data sets and M models, higher is better, such as image AUROC.

    Returns:
        Mean ranks, ties sharing the mean of their ranks, and the critical difference at 5 %.

    Raises:
        InputError: With fewer than five data sets or three models, or with a value that is not finite.
    """
    data_sets, models = statistics.shape
    if data_sets < SMALLEST_NUMBER_OF_DATA_SETS or models < 3:
        raise InputError(
            f"mean ranks: found {data_sets} data sets and {models} models, expected at least "
            f"{SMALLEST_NUMBER_OF_DATA_SETS} and 3."
        )
    if not np.isfinite(statistics).all():
        raise InputError("mean ranks: found values that are not finite, expected every model on every data set.")
    ranks = stats.rankdata(-statistics, axis=1).mean(axis=0)
    # Tied everywhere, the models are alike, and Friedman's statistic is 0 / 0.
    alike = bool(np.all(statistics == statistics[:, :1]))
    p_value = 1.0 if alike else float(stats.friedmanchisquare(*statistics.T).pvalue)
    quantile = float(stats.studentized_range.ppf(0.95, models, np.inf)) / math.sqrt(2.0)
    critical = quantile * math.sqrt(models * (models + 1) / (6.0 * data_sets))
    return MeanRanks(data_sets, ranks, p_value, critical, _groups(ranks, critical))


def _groups(ranks: NDArray[np.float64], critical: float) -> tuple[tuple[int, ...], ...]:
    """Runs of neighbouring ranks that lie within the critical difference and in no longer run."""
    order = np.argsort(ranks, kind="stable")
    ordered = ranks[order]
    groups: list[tuple[int, ...]] = []
    last_end = 0
    for start in range(order.size):
        end = int(np.searchsorted(ordered, ordered[start] + critical, side="left"))
        if end - start > 1 and end > last_end:
            groups.append(tuple(order[start:end].tolist()))
            last_end = end
    return tuple(groups)
