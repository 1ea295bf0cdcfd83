# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Paired differences that do not depend on rounding.

Apart from the bootstrap, since a job that exports its model is keyed by that file, and would run again for a p-value.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from anomalib_patchgan.evaluation import bootstrap

# Above what rounding leaves of a difference of equal numbers, and far below any that a score makes.
_ROUNDING = 1e-12


def paired_difference(
    first: tuple[float, NDArray[np.float64]], second: tuple[float, NDArray[np.float64]], subjects: int
) -> bootstrap.Difference | None:
    """The :func:`~anomalib_patchgan.evaluation.bootstrap.paired_difference`, its p-value free of rounding.

    Where every draw gives the same difference but for rounding, the p-value is that of the sign test of S subjects who
    all agree, and 1 where there is no difference.

    Args:
        first: Statistic of the first model, and [draws] the same statistic in every draw.
        second: The same of the second model, over the same draws.
        subjects: Number of subjects S.

    Returns:
        First minus second, or None when no draw defines it.
    """
    difference = bootstrap.paired_difference(first, second, subjects)
    if difference is None or np.nanstd(first[1] - second[1]) > _ROUNDING:
        return difference
    return replace(difference, p_value=1.0 if abs(difference.value) <= _ROUNDING else 2.0 ** (1 - subjects))
