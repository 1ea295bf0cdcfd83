# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Testing a trained model again, under each artefact at each severity."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning import Trainer, seed_everything
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from anomalib_patchgan import evaluation
from anomalib_patchgan.benchmark.recorder import RawScoreRecorder
from anomalib_patchgan.benchmark.suite import ArtefactsEntry
from anomalib_patchgan.data.artefacts import ARTEFACTS
from anomalib_patchgan.data.artefacts.dataset import ArtefactDataset
from anomalib_patchgan.store.maps import at_map_size


def score_under_artefacts(
    artefacts: ArtefactsEntry, model: Any, trainer: Trainer, datamodule: Any, recorder: RawScoreRecorder, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Score the test set of a datamodule under artefacts; nothing is trained or calibrated again.

    The maps of every condition together would be many times larger than all else in the store, so the average precision
    over their pixels is computed at once and the maps are dropped.

    Args:
        artefacts: Which artefacts at which severities.
        model: The trained model.
        trainer: The trainer that trained it, with ``recorder`` among its callbacks.
        datamodule: Where the clean test set comes from.
        recorder: Keeps the scores; what it kept of the test before is lost.
        seed: Set before each condition, so that a model that draws numbers scores it alike, whichever others there are.

    Returns:
        Raw scores with the columns ``artefact, severity, sample_id, raw_score``, and ``artefact, severity,
        pixel_average_precision``, or None for a model that gives no maps and for a collection without masks.
    """
    scores, pixels = [], []
    unmoved: NDArray[np.bool_] | None = None
    for kind in artefacts.kinds:
        for severity in artefacts.severities:
            seed_everything(seed, workers=True, verbose=False)
            dataset = ArtefactDataset(datamodule.test_data, kind, severity)
            loader: DataLoader = DataLoader(
                dataset,
                batch_size=datamodule.eval_batch_size,
                num_workers=datamodule.num_workers,
                collate_fn=datamodule.external_collate_fn or dataset.collate_fn,
            )
            recorder.start_another_test(f"{kind} at severity {severity}")
            trainer.test(model, dataloaders=loader, verbose=False)
            try:
                raw_scores = recorder.scores(dataset.samples)[["sample_id", "raw_score"]]
                maps = recorder.maps()
            except RuntimeError as error:
                raise RuntimeError(f"under {kind} at severity {severity}, {error}") from error
            scores.append(raw_scores.assign(artefact=kind, severity=severity))
            if maps is None or datamodule.test_data.task == "classification":
                continue
            if ARTEFACTS[kind].moves_lesion:
                masks = _lesions(dataset)
            else:
                masks = unmoved = _lesions(dataset) if unmoved is None else unmoved
            if masks.any() and not masks.all():
                precision = evaluation.count_pixels(evaluation.rank_maps(maps), masks).average_precision()
                pixels.append({"artefact": kind, "severity": severity, "pixel_average_precision": precision})
    table = pd.concat(scores, ignore_index=True)[["artefact", "severity", "sample_id", "raw_score"]]
    return table, pd.DataFrame(pixels) if pixels else None


def _lesions(dataset: ArtefactDataset) -> NDArray[np.bool_]:
    return at_map_size(torch.stack([dataset.lesion(index) for index in range(len(dataset))]).numpy())
