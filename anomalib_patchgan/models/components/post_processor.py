# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Calibration of scores on normal validation images, and the label that follows from it."""

from typing import Any

import numpy as np
import torch
from anomalib.post_processing import PostProcessor
from lightning import LightningModule, Trainer
from torch import Tensor

from anomalib_patchgan.evaluation.thresholds import (
    FALSE_POSITIVE_AREA,
    FALSE_POSITIVE_RATE,
    area_threshold,
    declared_threshold,
)

# Pixels of one map at least that enter the pixel threshold; all of them would only cost memory.
PIXELS_PER_MAP = 4096
# The smallest single-precision number above one half.
_ABOVE_HALF = 0.5 + 2.0**-24


class CalibratedPostProcessor(PostProcessor):
    """Thresholds from normal validation images alone, and scores that are calibrated without being clamped.

    The image threshold is the conformal quantile of the normal validation scores at a declared false-positive rate, by
    subject where the validation set names the subjects; what follows when there are too few is said in
    :func:`~anomalib_patchgan.evaluation.thresholds.declared_threshold`. The pixel threshold is a quantile of the normal
    maps' pixels at a declared false-positive area. Validation images that are labelled abnormal are ignored.

    Scores become ``0.5 + 0.5 u / (1 + |u|)`` with ``u = (raw - threshold) / (threshold - median of the normals)``:
    monotone and not clamped, so no metric changes, and above 0.5 exactly where the raw score is above the threshold.
    anomalib's own normalisation clamps to [0, 1], which ties all scores beyond the validation set's range.

    Args:
        false_positive_rate (float): Target share of normal images above the image threshold, in (0, 1).
            Defaults to :data:`~anomalib_patchgan.evaluation.thresholds.FALSE_POSITIVE_RATE`.
        false_positive_area (float): Target share of normal pixels above the pixel threshold, in (0, 1).
            Defaults to :data:`~anomalib_patchgan.evaluation.thresholds.FALSE_POSITIVE_AREA`.
    """

    def __init__(
        self, false_positive_rate: float = FALSE_POSITIVE_RATE, false_positive_area: float = FALSE_POSITIVE_AREA
    ) -> None:
        super().__init__()
        self.false_positive_rate = false_positive_rate
        self.false_positive_area = false_positive_area
        self._forget()

    def _forget(self) -> None:
        self._scores: list[Tensor] = []
        self._normal: list[Tensor] = []
        self._pixels: list[Tensor] = []

    @property
    def _checkpoint_config_keys(self) -> tuple[str, ...]:
        return (*super()._checkpoint_config_keys, "false_positive_rate", "false_positive_area")

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the scores of an earlier validation."""
        del trainer, pl_module
        self._forget()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Collect raw scores and map pixels of the batch."""
        del trainer, pl_module, args, kwargs
        scores, maps = outputs.pred_score, outputs.anomaly_map
        if scores is None and maps is not None:
            scores = maps.flatten(1).amax(dim=1)
        normal = torch.ones_like(scores, dtype=torch.bool)
        if outputs.gt_label is not None:
            normal = outputs.gt_label.flatten() == 0
        self._scores.append(scores.flatten().detach().float().cpu())
        self._normal.append(normal.cpu())
        if maps is not None:
            pixels = maps.flatten(1).detach().float().cpu()
            # An odd step visits every column of a map whose width is even.
            step = max(1, pixels.shape[1] // PIXELS_PER_MAP - 1) | 1
            self._pixels.append(pixels[:, ::step])

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set thresholds and scales, the same in every process that validates."""
        normal = _of_all_processes(trainer, pl_module, self._normal)
        if normal.any():
            scores = _of_all_processes(trainer, pl_module, self._scores)[normal]
            subjects = _subject_ids(trainer, len(normal))
            own = None if subjects is None else subjects[normal.numpy()].tolist()
            self._image_threshold.fill_(declared_threshold(scores.numpy(), self.false_positive_rate, own).value)
            self.image_min.fill_(scores.median())
            self.image_max.fill_(scores.max())
        if normal.any() and self._pixels:
            pixels = _of_all_processes(trainer, pl_module, self._pixels)[normal].flatten()
            self._pixel_threshold.fill_(area_threshold(pixels.numpy(), self.false_positive_area))
            self.pixel_min.fill_(pixels.median())
            self.pixel_max.fill_(pixels.max())
        self._forget()

    @staticmethod
    def _normalize(preds: Tensor | None, norm_min: Tensor, norm_max: Tensor, threshold: Tensor) -> Tensor | None:
        """Calibrate raw values; ``norm_min`` is the median of the normals. Without calibration they stay raw."""
        if preds is None:
            return None
        scale = (threshold - norm_min).clamp_min(1e-6 * threshold.abs() + 1e-12)
        distance = (preds - threshold) / scale
        calibrated = 0.5 + 0.5 * distance / (1 + distance.abs())
        # Within a rounding error of the threshold the side of one half is settled by the raw value itself.
        calibrated = torch.where(preds > threshold, calibrated.clamp_min(_ABOVE_HALF), calibrated.clamp_max(0.5))
        known = ~(torch.isnan(threshold) | torch.isnan(norm_min) | torch.isnan(norm_max))
        return torch.where(known, calibrated, preds)


def _of_all_processes(trainer: Trainer, pl_module: LightningModule, own: list[Tensor]) -> Tensor:
    """Join what the batches gave, [n, ...], in the order of the validation set.

    Of several processes each reads every so many-th sample; those that are read twice, so that all have as many, come
    last.
    """
    joined = torch.cat(own) if own else torch.empty(0, dtype=torch.bool)
    if trainer.world_size == 1:
        return joined
    every: Any = pl_module.all_gather(joined.to(pl_module.device))
    loader: Any = trainer.val_dataloaders
    return every.cpu().transpose(0, 1).flatten(end_dim=1)[: len(loader.dataset)]


def _subject_ids(trainer: Trainer, count: int) -> np.ndarray | None:
    """[count] the subjects of the validation samples, in the order they are read; None where they are not known."""
    loader: Any = getattr(trainer, "val_dataloaders", None)
    samples = getattr(getattr(loader, "dataset", None), "samples", None)
    if samples is None or "subject_id" not in samples or len(samples) < count:
        return None
    return samples["subject_id"].astype(str).to_numpy()[:count]
