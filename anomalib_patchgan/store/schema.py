# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What the store holds: the outcome of a job and the test data it was measured on."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

SCHEMA_VERSION = 2


@dataclass(kw_only=True)
class Run:
    """The outcome of one job: one model, one data set, one seed.

    The raw scores are the record; every metric is computed from them later, so a new metric needs no new training.

    Attributes:
        key: Hash of everything that determines the outcome.
        model: Name of the model's row in the suite.
        role: ``method``, ``comparator``, ``trivial`` or ``control``.
        note: What a reader has to know about the row, such as where its weights come from.
        model_class: Dotted path of the model's class.
        model_arguments: Constructor arguments after the suite's overrides for this data set.
        data: Name of the data set in the suite.
        data_key: Key of the :class:`DataRecord` that the scores belong to.
        protocol: What one sample is, for instance ``slice``.
        seed: Seed set before model and data were built.
        status: ``finished`` or ``failed``.
        error: One sentence, for a failed run.
        traceback: Full traceback, for a failed run.
        budget: What the training was allowed and what it used, such as epochs and optimiser steps.
        threads: Number of CPU threads given to torch.
        parameters: Number of parameters of the network (elements, trainable or not).
        timings: Seconds spent in each stage.
        environment: Versions, processor and so on.
        deployment: One row for each backend that was measured.
        thresholds: Raw scores above which the model itself calls an ``image`` or a ``pixel`` abnormal, as far as set.
        scores: Columns ``sample_id``, ``raw_score``, ``predicted_label`` (bool, the model's own), in test-set order.
        calibration: Columns ``sample_id``, ``subject_id``, ``raw_score`` of the calibration normals.
        maps: Raw anomaly maps, float16 ``[N, H, W]``, in test-set order at the data set's image size, or at
            most :data:`~anomalib_patchgan.store.maps.LARGEST_MAP_SIDE` pixels a side.
        reconstructions: Reconstructions, uint8 ``[N, H, W, 1 or 3]``, in test-set order at the size of the maps; None
            for a model that gives none, and for rows other than the method's.
        curves: Columns ``step`` (epoch, from 0), ``name``, ``value``.
        artefacts: Columns ``artefact``, ``severity`` (1 to 5), ``sample_id``, ``raw_score``: the test set again, in its
            order, under each artefact; None where no artefacts were asked for.
        artefact_pixels: Columns ``artefact``, ``severity``, ``pixel_average_precision``; the maps are not kept. None
            where no artefacts were asked for or the model gives no maps.
    """

    key: str
    model: str
    role: str
    note: str
    model_class: str
    model_arguments: dict[str, Any]
    data: str
    data_key: str
    protocol: str
    seed: int
    status: str
    threads: int
    error: str | None = None
    traceback: str | None = None
    parameters: int | None = None
    budget: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    deployment: list[dict[str, Any]] = field(default_factory=list)
    thresholds: dict[str, float] = field(default_factory=dict)
    scores: pd.DataFrame | None = None
    calibration: pd.DataFrame | None = None
    maps: np.ndarray | None = None
    reconstructions: np.ndarray | None = None
    curves: pd.DataFrame | None = None
    artefacts: pd.DataFrame | None = None
    artefact_pixels: pd.DataFrame | None = None

    def check(self) -> None:
        """Check what the store expects of a run.

        Raises:
            ValueError: The status is unknown, or a finished run has no scores or maps of another length.
        """
        if self.status not in {"finished", "failed"}:
            raise ValueError(f"run {self.key} has status {self.status!r}, expected 'finished' or 'failed'")
        if self.status == "finished" and self.scores is None:
            raise ValueError(f"run {self.key} is finished but has no scores")
        for name, pictures in (("maps", self.maps), ("reconstructions", self.reconstructions)):
            if self.scores is not None and pictures is not None and len(pictures) != len(self.scores):
                raise ValueError(f"run {self.key} has {len(pictures)} {name} for {len(self.scores)} scores")


@dataclass(kw_only=True)
class DataRecord:
    """The test data of one data set as every model saw it.

    Attributes:
        key: Hash of class, arguments and content of the data set.
        name: Name of the data set in the suite.
        data_class: Dotted path of the datamodule's class.
        data_arguments: Its constructor arguments.
        card: What the datamodule says about itself: protocol, groups, exclusions, hash of the split.
        samples: Test samples: ``sample_id``, ``subject_id``, ``label`` (0 or 1), ``lesion_fraction``, ``slice_index``.
        images: Test images, uint8 ``[N, H, W, 3]``, or None when they were not loaded.
        masks: Ground truth, bool ``[N, H, W]``, or None when it was not loaded.
        twins: The abnormal images without their lesions, uint8 ``[N, H, W, 3]``, zero for normal ones; None when they
            were not loaded (the store reads them apart) or there are none.
    """

    key: str
    name: str
    data_class: str
    data_arguments: dict[str, Any]
    card: dict[str, Any]
    samples: pd.DataFrame
    images: np.ndarray | None = None
    masks: np.ndarray | None = None
    twins: np.ndarray | None = None
