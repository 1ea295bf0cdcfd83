# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Measuring how fast a job trains, in a short training that is thrown away. Imports torch and anomalib."""

# ruff: noqa: ARG002 - the signatures are Lightning's

from time import perf_counter
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from anomalib_patchgan.benchmark.budget import Speed
from anomalib_patchgan.benchmark.job import workplace
from anomalib_patchgan.benchmark.plan import Job
from anomalib_patchgan.benchmark.progress import Track
from anomalib_patchgan.errors import InputError

# The first steps are slower than the rest; then as many batches as it takes to have measured for a while.
WARM_UP_BATCHES, MEASURED_BATCHES, MEASURED_SECONDS = 3, 5, 10.0


def measure_speed(job: Job, track: Track) -> Speed:
    """Train for a few batches and count the steps.

    Args:
        job: A job without a budget in minutes.
        track: Called with a stage, the batches of it that are done, and the least of them.

    Raises:
        InputError: The training has too few batches to be measured.
    """
    clock = _StepClock(track)
    limits = {"max_epochs": -1, "limit_val_batches": 0} | job.trainer
    with workplace(job) as place:
        place.engine([clock], limits, loggers=[]).fit(place.model, datamodule=place.datamodule)
    if clock.steps < 1:
        found = f"ended after {clock.batches} batches"
        raise InputError(f"{job.title}: the training {found}, too few to turn minutes into steps; give max_epochs.")
    return Speed(model=job.model, data=job.data, steps_per_second=clock.steps / clock.seconds)


class _StepClock(Callback):
    """Counts optimiser steps after a warm-up and stops the training when it has seen enough."""

    def __init__(self, track: Track) -> None:
        super().__init__()
        self.batches = 0
        self.steps = 0
        self.seconds = 0.0
        self._track = track
        self._first_step = 0
        self._started = 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count."""
        self.batches += 1
        self._track("measuring the speed", self.batches, WARM_UP_BATCHES + MEASURED_BATCHES)
        if self.batches == WARM_UP_BATCHES:
            self._first_step, self._started = trainer.global_step, perf_counter()
        if self.batches <= WARM_UP_BATCHES:
            return
        self.steps = trainer.global_step - self._first_step
        self.seconds = perf_counter() - self._started
        enough = self.batches >= WARM_UP_BATCHES + MEASURED_BATCHES and self.seconds >= MEASURED_SECONDS
        trainer.should_stop = trainer.should_stop or enough
