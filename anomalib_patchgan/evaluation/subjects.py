# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""From samples to subjects: one label and one score for each subject."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

AGGREGATION = "maximum"
"""How the scores of a subject's samples become its score."""
SMALLEST_CLASS = 5
"""With fewer normal or fewer abnormal subjects a ranking of subjects says nothing, so none is made."""


def by_subject(
    labels: ArrayLike, scores: ArrayLike, subject_ids: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.float64], list[str]]:
    """Aggregate samples to subjects: abnormal when any sample is, and the largest score.

    The maximum of many samples is larger than that of few, so subjects should have about as many samples each.

    Args:
        labels: [N], 0 or 1.
        scores: [N].
        subject_ids: [N] the subject of each sample.

    Returns:
        Labels [S], scores [S] and the subjects' identifiers, in their order.
    """
    subjects, position = np.unique(np.asarray(subject_ids, dtype=str), return_inverse=True)
    subject_labels = np.zeros(subjects.size, dtype=np.int64)
    subject_scores = np.full(subjects.size, -np.inf)
    np.maximum.at(subject_labels, position, np.asarray(labels).astype(np.int64))
    np.maximum.at(subject_scores, position, np.asarray(scores, dtype=np.float64))
    return subject_labels, subject_scores, subjects.tolist()
