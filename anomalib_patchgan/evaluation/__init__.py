# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Metrics, thresholds, intervals and paired tests: pure functions of arrays."""

from anomalib_patchgan.evaluation.bootstrap import (
    DRAWS,
    Difference,
    Interval,
    SubjectDraws,
    auroc_draws,
    draw_subjects,
    holm,
    paired_difference,
    percentile_interval,
)
from anomalib_patchgan.evaluation.image import (
    auroc,
    average_precision,
    prevalence,
    roc_curve,
    sensitivity_at_specificity,
)
from anomalib_patchgan.evaluation.pixel import PixelCounts, count_pixels, dice
from anomalib_patchgan.evaluation.sanity import ranking_flags, score_flags
from anomalib_patchgan.evaluation.thresholds import (
    conformal_threshold,
    false_positive_rate,
    smallest_calibration_size,
)

__all__ = [
    "DRAWS",
    "Difference",
    "Interval",
    "PixelCounts",
    "SubjectDraws",
    "auroc",
    "auroc_draws",
    "average_precision",
    "conformal_threshold",
    "count_pixels",
    "dice",
    "draw_subjects",
    "false_positive_rate",
    "holm",
    "paired_difference",
    "percentile_interval",
    "prevalence",
    "ranking_flags",
    "roc_curve",
    "score_flags",
    "sensitivity_at_specificity",
    "smallest_calibration_size",
]
