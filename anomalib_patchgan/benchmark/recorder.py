# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What a job keeps of a training: raw scores and maps, the model's labels, the curves, the times.

A user's callback runs before anomalib's post-processor, which normalises and clamps the scores; so the values read when
a batch ends are raw. The model's own label is what its post-processor makes of them, as in its ``forward`` and in an
exported model.
"""

# ruff: noqa: ARG002 - the signatures are Lightning's

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import torch
from anomalib.data import InferenceBatch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import SequentialSampler

from anomalib_patchgan.store.maps import stored_map_size

TrackEpoch = Callable[[str, int, int], None]


class _Batches:
    """Raw values of the batches of one pass over a data set."""

    def __init__(self) -> None:
        self.scores: list[torch.Tensor] = []
        self.maps: list[torch.Tensor] = []
        self.reconstructions: list[torch.Tensor] = []
        self.ground_truth: list[torch.Tensor] = []
        self.labels: list[torch.Tensor] = []
        self.image_paths: list[str] = []

    def add(self, outputs: Any) -> None:
        """Keep a copy of a batch's scores.

        A model that gives only a map gets the map's maximum as its score, as in the post-processor's ``forward``; it is
        set in the batch, or the post-processor would calibrate no score.
        """
        if outputs.pred_score is None:
            if outputs.anomaly_map is None:
                raise RuntimeError("the model gives neither a score nor an anomaly map")
            outputs.pred_score = torch.amax(outputs.anomaly_map, dim=(-2, -1)).reshape(-1)
        self.scores.append(outputs.pred_score.detach().reshape(-1).double().cpu().clone())
        self.ground_truth.append(outputs.gt_label.detach().reshape(-1).cpu().clone())
        self.image_paths += [str(path) for path in outputs.image_path or []]

    def add_maps(self, anomaly_map: torch.Tensor, image_size: tuple[int, int]) -> None:
        """Keep a copy of a batch's maps at an image size."""
        maps = anomaly_map.detach().reshape(-1, 1, *anomaly_map.shape[-2:]).float().cpu()
        if maps.shape[-2:] != image_size:
            maps = torch.nn.functional.interpolate(maps, image_size, mode="bilinear", align_corners=False)
        self.maps.append(maps[:, 0].clone())

    def add_reconstructions(self, images: torch.Tensor, image_size: tuple[int, int]) -> None:
        """Keep a copy of a batch of reconstructed images, [N, C, H, W] in [0, 1], at an image size."""
        images = images.detach().float().cpu()
        if images.shape[-2:] != image_size:
            images = torch.nn.functional.interpolate(images, image_size, mode="bilinear", antialias=True)
        self.reconstructions.append((images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1))

    def add_labels(self, outputs: Any, post_processor: Any) -> None:
        """Keep what a model says of a batch: its own label, or that of its post-processor."""
        labels = outputs.pred_label
        if labels is None and post_processor is not None:
            raw = InferenceBatch(pred_score=outputs.pred_score, anomaly_map=outputs.anomaly_map)
            labels = post_processor(raw).pred_label
        if labels is None or labels.dtype is not torch.bool:
            raise RuntimeError("the model gives no label; its post-processor has to set a threshold")
        self.labels.append(labels.detach().reshape(-1).cpu().clone())

    def check_against(self, samples: pd.DataFrame) -> None:
        """Check that the values belong, row by row, to a data set's table of samples."""
        found = torch.cat(self.ground_truth).int().tolist() if self.ground_truth else []
        if found != samples["label_index"].astype(int).tolist():
            raise RuntimeError(f"{len(found)} scores do not follow the order of the {len(samples)} samples")
        expected = [str(path) for path in samples["image_path"]]
        # A datamodule may show a preview instead of the file it read; then the labels have to do.
        if set(expected) == set(self.image_paths) and expected != self.image_paths:
            raise RuntimeError("the images were not read in the order of the samples")

    def raw_scores(self) -> np.ndarray:
        """Scores [N]; they have to be finite."""
        scores = torch.cat(self.scores).numpy()
        if not np.isfinite(scores).all():
            raise RuntimeError(f"{int((~np.isfinite(scores)).sum())} of {len(scores)} scores are not finite")
        return scores

    def raw_maps(self) -> np.ndarray | None:
        """Maps [N, H, W] as float16, or None for a model that gives none."""
        if not self.maps:
            return None
        maps = torch.cat(self.maps).numpy().astype(np.float16)
        if not np.isfinite(maps).all():
            raise RuntimeError("the anomaly maps are not finite, or too large for half precision")
        return maps


class RawScoreRecorder(Callback):
    """Keep what the report is made of.

    Args:
        image_size: Height and width of the data set's images; maps are kept at this size or smaller.
        track: Called with a stage, the steps of it that are done, and all of them.
        reconstructing: Whether to keep the reconstructions of a model whose network has ``reconstructed``.
    """

    def __init__(self, image_size: tuple[int, int], track: TrackEpoch, reconstructing: bool = False) -> None:
        super().__init__()
        self.seconds: dict[str, float] = {}
        self._map_size = stored_map_size(image_size)
        self._track = track
        self._reconstructing = reconstructing
        self._calibration = _Batches()
        self._test = _Batches()
        self._test_batches = 0
        self._test_stage = "test"
        self._curves: list[tuple[int, str, float]] = []
        self._started = perf_counter()

    @property
    def has_calibration(self) -> bool:
        """Whether a pass over the calibration normals was seen."""
        return bool(self._calibration.scores)

    def scores(self, samples: pd.DataFrame) -> pd.DataFrame:
        """Test scores with the identifiers of a data set's samples."""
        self._test.check_against(samples)
        labels = torch.cat(self._test.labels).numpy()
        values = {"raw_score": self._test.raw_scores(), "predicted_label": labels.astype(bool)}
        return pd.DataFrame({"sample_id": samples["sample_id"].to_numpy()} | values)

    def calibration(self, samples: pd.DataFrame) -> pd.DataFrame:
        """Scores of the calibration normals with the identifiers of a data set's samples."""
        self._calibration.check_against(samples)
        identifiers = {name: samples[name].to_numpy() for name in ("sample_id", "subject_id")}
        return pd.DataFrame(identifiers | {"raw_score": self._calibration.raw_scores()})

    def maps(self) -> np.ndarray | None:
        """Raw maps [N, H, W] of the test set as float16, or None for a model that gives none."""
        return self._test.raw_maps()

    def reconstructions(self) -> np.ndarray | None:
        """Reconstructions of the test images, uint8 [N, H, W, 1 or 3], or None where none were kept."""
        kept = self._test.reconstructions
        return torch.cat(kept).numpy() if kept else None

    def start_another_test(self, stage: str) -> None:
        """Forget the test before, and keep no further reconstructions.

        Args:
            stage: What the test is called in the display of progress.
        """
        self._test = _Batches()
        self._test_stage = stage
        self._reconstructing = False

    def curves(self) -> pd.DataFrame:
        """Logged values by epoch: step, name, value."""
        return pd.DataFrame(self._curves, columns=["step", "name", "value"])

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of the training."""
        self._started = perf_counter()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop it."""
        self.seconds["fit"] = perf_counter() - self._started

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell where the training is."""
        self._track("epoch", trainer.current_epoch, trainer.max_epochs or 0)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Forget a calibration of weights that have just changed."""
        self._calibration = _Batches()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep what the model logged in this epoch."""
        for name, value in sorted(trainer.callback_metrics.items()):
            self._curves.append((trainer.current_epoch, name, float(value)))

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the validation before: the last one is the calibration."""
        self._calibration = _Batches()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the raw scores of the calibration normals."""
        self._calibration.add(outputs)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of the test and refuse a shuffled one."""
        self._started = perf_counter()
        loader: Any = trainer.test_dataloaders
        in_order = isinstance(getattr(loader, "sampler", None), SequentialSampler)
        if not in_order:
            raise RuntimeError("the test set is not read in its own order")
        self._test_batches = len(loader)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the raw scores and maps, and the labels."""
        self._test.add(outputs)
        self._test.add_labels(outputs, pl_module.post_processor)
        if outputs.anomaly_map is not None:
            self._test.add_maps(outputs.anomaly_map, self._map_size)
        reconstructed = getattr(pl_module.model, "reconstructed", None)
        if self._reconstructing and reconstructed is not None:
            with torch.no_grad():
                self._test.add_reconstructions(reconstructed(batch.image), self._map_size)
        self._track(self._test_stage, batch_idx + 1, self._test_batches)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock of the test."""
        self.seconds["test"] = perf_counter() - self._started
