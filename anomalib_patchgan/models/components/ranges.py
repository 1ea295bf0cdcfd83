# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Refusing a model's arguments that are out of their range, in a sentence that names them."""

import math

from anomalib_patchgan.errors import InputError


def check_at_least(least: float, **values: float) -> None:
    """Refuse numbers below the least, infinite ones, and what is no number.

    Args:
        least: The least that each may be.
        **values: Arguments by name.

    Raises:
        InputError: One of them is out of range; the first is named.
    """
    for name, value in values.items():
        if not least <= value < math.inf:
            raise InputError(f"{name}: found {value:g}, expected {least:g} or more.")


def check_multiple(step: int, **values: int) -> None:
    """Refuse numbers that are no positive multiple of a step.

    Args:
        step: What each has to be a multiple of.
        **values: Arguments by name.

    Raises:
        InputError: One of them is none; the first is named.
    """
    for name, value in values.items():
        if value < step or value % step:
            raise InputError(f"{name}: found {value}, expected a multiple of {step}.")


def check_share(**values: float) -> None:
    """Refuse numbers outside of [0, 1].

    Args:
        **values: Arguments by name.

    Raises:
        InputError: One of them is out of range; the first is named.
    """
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise InputError(f"{name}: found {value:g}, expected a share from 0 to 1.")
