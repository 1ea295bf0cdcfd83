# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Calibration of scores on normal validation images, and the label that follows from it."""

from typing import Any

import torch
from anomalib.post_processing import PostProcessor
from lightning import LightningModule, Trainer
from torch import Tensor

from anomalib_patchgan.evaluation.thresholds import conformal_threshold

# Pixels of one map at most that enter the pixel threshold; more would only cost memory.
PIXELS_PER_MAP = 4096


class CalibratedPostProcessor(PostProcessor):
    """Thresholds from normal validation images alone, and scores that are calibrated without being clamped.

    The image threshold is the split-conformal quantile of the normal validation scores at a declared false-positive
    rate; with too few normal images for that rate it is their largest score. The pixel threshold is a quantile of the
    normal maps' pixels at a declared false-positive area. Validation images that are labelled abnormal are ignored.

    Scores become ``0.5 + 0.5 u / (1 + |u|)`` with ``u = (raw - threshold) / (threshold - median of the normals)``:
    strictly monotone, so no metric changes, and above 0.5 exactly where the raw score is above the threshold.
    anomalib's own normalisation clamps to [0, 1], which ties all scores beyond the validation set's range.

    Args:
        false_positive_rate (float): Target share of normal images above the image threshold, in (0, 1).
            Defaults to ``0.05``.
        false_positive_area (float): Target share of normal pixels above the pixel threshold, in (0, 1).
            Defaults to ``0.01``.
    """

    def __init__(self, false_positive_rate: float = 0.05, false_positive_area: float = 0.01) -> None:
        super().__init__()
        self.false_positive_rate = false_positive_rate
        self.false_positive_area = false_positive_area
        self._scores: list[Tensor] = []
        self._pixels: list[Tensor] = []

    @property
    def _checkpoint_config_keys(self) -> tuple[str, ...]:
        return (*super()._checkpoint_config_keys, "false_positive_rate", "false_positive_area")

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the scores of an earlier validation."""
        del trainer, pl_module
        self._scores, self._pixels = [], []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Collect raw scores and map pixels of the batch's normal images."""
        del trainer, pl_module, args, kwargs
        scores, maps = outputs.pred_score, outputs.anomaly_map
        if scores is None and maps is not None:
            scores = maps.flatten(1).amax(dim=1)
        normal = torch.ones_like(scores, dtype=torch.bool)
        if outputs.gt_label is not None:
            normal = outputs.gt_label.flatten() == 0
        self._scores.append(scores.flatten()[normal].detach().float().cpu())
        if maps is not None:
            pixels = maps[normal].flatten(1).detach().float().cpu()
            step = max(1, pixels.shape[1] // PIXELS_PER_MAP)
            self._pixels.append(pixels[:, ::step].flatten())

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set thresholds and scales."""
        del trainer, pl_module
        scores = torch.cat(self._scores) if self._scores else torch.empty(0)
        if len(scores):
            threshold = conformal_threshold(scores.numpy(), self.false_positive_rate)
            self._image_threshold.fill_(scores.max() if threshold is None else threshold)
            self.image_min.fill_(scores.median())
            self.image_max.fill_(scores.max())
        pixels = torch.cat(self._pixels) if self._pixels else torch.empty(0)
        if len(pixels):
            rank = min(len(pixels), int((1 - self.false_positive_area) * len(pixels)) + 1)
            self._pixel_threshold.fill_(pixels.kthvalue(rank).values)
            self.pixel_min.fill_(pixels.median())
            self.pixel_max.fill_(pixels.max())
        self._scores, self._pixels = [], []

    @staticmethod
    def _normalize(preds: Tensor | None, norm_min: Tensor, norm_max: Tensor, threshold: Tensor) -> Tensor | None:
        """Calibrate raw values; ``norm_min`` is the median of the normals. Without calibration they stay raw."""
        if preds is None:
            return None
        scale = (threshold - norm_min).clamp_min(1e-6 * threshold.abs() + 1e-12)
        distance = (preds - threshold) / scale
        calibrated = 0.5 + 0.5 * distance / (1 + distance.abs())
        known = ~(torch.isnan(threshold) | torch.isnan(norm_min) | torch.isnan(norm_max))
        return torch.where(known, calibrated, preds)
