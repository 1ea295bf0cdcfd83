# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Values from JSON and the types that they are to have."""

from typing import Any

import pytest

from anomalib_patchgan.deploy.plain import fits


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("a", str),
        (1, int),
        (1, float),
        (0.5, float),
        (True, bool),
        (None, int | None),
        ([1, 2], tuple[int, int]),
        ((1, 2), tuple[int, int]),
        (["a"], tuple[str, ...]),
        ([], tuple[str, ...]),
        (["a"], list[str]),
        ({"a": 1}, dict[str, Any]),
        ([1, 2.5], tuple[float, float] | None),
    ],
)
def test_a_value_of_the_declared_type_fits(value, kind):
    assert fits(value, kind)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, str),
        (1.5, int),
        (True, int),
        (True, float),
        (None, int),
        ("big", tuple[int, int]),
        ([1], tuple[int, int]),
        ([1, "a"], tuple[int, int]),
        (["a", 1], tuple[str, ...]),
        ([1], dict[str, Any]),
        ("a", tuple[float, float] | None),
    ],
)
def test_a_value_of_another_type_does_not_fit(value, kind):
    assert not fits(value, kind)
