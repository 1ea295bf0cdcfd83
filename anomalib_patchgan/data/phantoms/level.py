# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""How hard a phantom's lesions are to see, and what else a phantom population is made of."""

from typing import Literal, get_args

from anomalib_patchgan.errors import InputError

Level = Literal["easy", "medium", "hard", "shifted"]
"""The first three differ in their lesions only. "shifted" is another population: other lesions, anatomy and scanner."""


def check_level(level: str) -> None:
    """Refuses a level that has no lesion ranges.

    Raises:
        InputError: If ``level`` is not one of ``Level``.
    """
    if level not in get_args(Level):
        raise InputError(f"phantoms: level is {level!r}, expected one of {', '.join(get_args(Level))}")


def check_at_least(name: str, found: float, smallest: float) -> None:
    """Refuses a number below the smallest that makes sense.

    Raises:
        InputError: If ``found`` is smaller than ``smallest``.
    """
    if not found >= smallest:
        raise InputError(f"phantoms: {name} is {found}, expected {smallest} or more")


def check_at_most(name: str, found: float, largest: float) -> None:
    """Refuses a number above the largest that makes sense.

    Raises:
        InputError: If ``found`` is larger than ``largest``.
    """
    if not found <= largest:
        raise InputError(f"phantoms: {name} is {found}, expected at most {largest}")
