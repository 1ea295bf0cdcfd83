# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Which threshold a model of a benchmark labels by."""

from math import isfinite, nan

from anomalib.models import AnomalibModule
from anomalib.post_processing import PostProcessor

from anomalib_patchgan.models.components.post_processor import CalibratedPostProcessor


def declare_thresholds(model: AnomalibModule) -> None:
    """Give a model that has anomalib's own post-processor the calibrated one, so that all are labelled alike.

    anomalib's looks for the threshold of the best F1 score, which normal images alone leave at their largest score.
    """
    if type(model.post_processor) is PostProcessor:
        model.post_processor = CalibratedPostProcessor()


def declared_thresholds(model: AnomalibModule) -> dict[str, float]:
    """The raw thresholds of a calibrated model, ``image`` and ``pixel``, as far as they are set."""
    found = {name: float(getattr(model.post_processor, f"_{name}_threshold", nan)) for name in ("image", "pixel")}
    return {name: value for name, value in found.items() if isfinite(value)}
