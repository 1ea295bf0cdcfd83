# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Draws that spread evenly over a cohort, so that a small one holds neither too many plain lesions nor too few."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

# The third number keeps these draws apart from those of subjects, skin and healthy cohorts.
EVEN_STREAM = 4


def even_draws(seed: int, index: int, count: int) -> NDArray[np.float64]:
    """Draws what is uniform over seeds, and over the indices of one seed as even as a Sobol sequence.

    A Sobol point (Joe and Kuo, SIAM Journal on Scientific Computing 2008), shifted by the seed modulo 1 (Cranley and
    Patterson, SIAM Journal on Numerical Analysis 1976). It depends on seed and index alone, so the first subjects of a
    cohort are the same however many follow, and every beginning of a cohort is even. Independent draws are not: of 80
    kinds with a probability of one half, 31 to 49 are usual.

    Args:
        seed: Of the cohort.
        index: Of the subject, from 0.
        count: Number of draws.

    Returns:
        Numbers in [0, 1) [count].
    """
    shift = np.random.default_rng([seed, 0, EVEN_STREAM]).random(count)
    # The first point of the sequence is the origin, and scipy does not jump by no point at all.
    point = qmc.Sobol(count, scramble=False).fast_forward(index + 1).random(1)[0]
    return (point + shift) % 1.0
