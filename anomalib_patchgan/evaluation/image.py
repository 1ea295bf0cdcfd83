# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Metrics of an image score: one label and one score per sample.

Everywhere label 1 is abnormal, a higher score is more abnormal, and a sample is called abnormal when its score lies
*above* the threshold.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics

from anomalib_patchgan.errors import InputError


def checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Bring labels and scores to arrays on which a ranking metric is defined.

    Args:
        labels: [N], 0 for normal and 1 for abnormal.
        scores: [N], finite.

    Returns:
        Labels [N] and scores [N].

    Raises:
        InputError: When the shapes differ, a score is not finite, or one of the two classes is absent.
    """
    label_array = np.asarray(labels).astype(np.int64).ravel()
    score_array = np.asarray(scores, dtype=np.float64).ravel()
    if label_array.shape != score_array.shape:
        raise InputError(f"scores: found {score_array.size}, expected one for each of {label_array.size} labels.")
    not_finite = int(np.count_nonzero(~np.isfinite(score_array)))
    if not_finite:
        raise InputError(f"scores: found {not_finite} that are not finite, expected finite numbers only.")
    abnormal = int(np.count_nonzero(label_array == 1))
    normal = int(np.count_nonzero(label_array == 0))
    if not abnormal or not normal or abnormal + normal != label_array.size:
        raise InputError(
            f"labels: found {normal} normal and {abnormal} abnormal of {label_array.size}, "
            "expected both classes and no other label."
        )
    return label_array, score_array


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: the chance that an abnormal sample outscores a normal one, ties counting half.

    Args:
        labels: [N], 0 or 1.
        scores: [N].

    Returns:
        A number in [0, 1].
    """
    return float(metrics.roc_auc_score(*checked(labels, scores)))


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Average precision. A score without information gives the :func:`prevalence`, so the two are read together.

    Args:
        labels: [N], 0 or 1.
        scores: [N].

    Returns:
        A number in [0, 1].
    """
    return float(metrics.average_precision_score(*checked(labels, scores)))


def prevalence(labels: ArrayLike) -> float:
    """Share of abnormal samples among the labels [N], in [0, 1]."""
    return float(np.mean(np.asarray(labels, dtype=np.float64)))


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Every point of the ROC curve that a threshold can reach.

    Args:
        labels: [N], 0 or 1.
        scores: [N].

    Returns:
        False-positive rates [K] and true-positive rates [K], both ascending from 0 to 1.
    """
    false_positive_rate, true_positive_rate, _ = metrics.roc_curve(*checked(labels, scores), drop_intermediate=False)
    return false_positive_rate, true_positive_rate


def sensitivity_at_specificity(labels: ArrayLike, scores: ArrayLike, specificity: float = 0.95) -> float:
    """Best sensitivity among the thresholds whose specificity is at least the one asked for.

    No interpolation: only what a real threshold reaches on these samples counts.

    Args:
        labels: [N], 0 or 1.
        scores: [N].
        specificity: Smallest specificity allowed, in (0, 1].

    Returns:
        A number in [0, 1].
    """
    false_positive_rate, true_positive_rate = roc_curve(labels, scores)
    # 1 - 0.95 is a little more than 0.05 in binary, so one rounding error must not decide over one sample.
    allowed = false_positive_rate <= 1.0 - specificity + 1e-12
    return float(true_positive_rate[allowed].max())


def f1_score(labels: ArrayLike, scores: ArrayLike, threshold: float) -> float:
    """F1 score of the samples above a declared threshold: 2 TP / (2 TP + FP + FN), 0 when no sample is called rightly.

    Args:
        labels: [N], 0 or 1.
        scores: [N].
        threshold: In the unit of the scores, declared without looking at a test label.

    Returns:
        A number in [0, 1].
    """
    label_array, score_array = checked(labels, scores)
    return float(metrics.f1_score(label_array, score_array > threshold, zero_division=0.0))


def sensitivity(labels: ArrayLike, scores: ArrayLike, threshold: float) -> float:
    """Share of the abnormal samples [N] above a declared threshold, in [0, 1]."""
    label_array, score_array = checked(labels, scores)
    return float(np.mean(score_array[label_array == 1] > threshold))
