# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Budgets in minutes: turned into steps when the plan is written, so that no result depends on a clock."""

from dataclasses import dataclass
from typing import Any

MINUTES = "max_minutes"


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast a model trains on a data set.

    It is measured once and kept in the plan, so that a suite has the same steps at every start.

    Attributes:
        model: Name of the row.
        data: Name of the data set.
        steps_per_second: Optimiser steps, as Lightning's ``max_steps`` counts them.
    """

    model: str
    data: str
    steps_per_second: float


def without_minutes(trainer: dict[str, Any]) -> dict[str, Any]:
    """Trainer arguments without a budget in minutes."""
    return {key: value for key, value in trainer.items() if key != MINUTES}


def in_steps(trainer: dict[str, Any], speed: Speed | None) -> dict[str, Any] | None:
    """Trainer arguments with a budget in minutes turned into steps.

    Args:
        trainer: The arguments, with a budget of whatever kind.
        speed: How fast the training is, where that is known.

    Returns:
        Arguments that Lightning's trainer takes, or None where the speed is needed and not known.
    """
    if MINUTES not in trainer:
        return trainer
    if speed is None:
        return None
    steps = max(1, round(60 * trainer[MINUTES] * speed.steps_per_second))
    return without_minutes(trainer) | {"max_steps": steps}
