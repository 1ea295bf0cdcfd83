# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Checking what was read from JSON against what a dataclass declares."""

from types import UnionType
from typing import Any, get_args, get_origin


def fits(value: Any, kind: Any) -> bool:
    """Whether a value that was read from JSON is of a declared type.

    Args:
        value: The value; a list stands for a tuple.
        kind: What a field of a dataclass declares: a plain type, a tuple, list or dictionary, or a union of them.
    """
    origin, inner = get_origin(kind) or kind, get_args(kind)
    if origin is UnionType:
        return any(fits(value, one) for one in inner)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return False
        kinds = inner[:1] * len(value) if inner[-1] is ... else inner
        return len(value) == len(kinds) and all(map(fits, value, kinds))
    if isinstance(value, bool):
        return origin is bool
    return isinstance(value, int | float if origin is float else origin)
