# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

from copy import deepcopy

import pytest

from anomalib_patchgan.benchmark.classes import Blueprint, import_class
from anomalib_patchgan.errors import InputError


class Inner:
    def __init__(self, size: int = 1) -> None:
        self.size = size


class Outer:
    def __init__(self, width: int, inner: Inner | bool = True) -> None:
        self.width = width
        self.inner = inner


def test_arguments_are_typed_by_the_signature_and_nested_classes_are_built():
    inner = {"class_path": f"{__name__}.Inner", "init_args": {"size": 3}}
    built = Blueprint(f"{__name__}.Outer", {"width": 2, "inner": inner}, "models.A").build()
    assert built.width == 2
    assert built.inner.size == 3


def test_given_arguments_stay_as_they_are():
    arguments = {"width": 2, "inner": {"class_path": f"{__name__}.Inner", "init_args": {"size": 3}}}
    given = deepcopy(arguments)
    Blueprint(f"{__name__}.Outer", arguments, "models.A").build()
    assert arguments == given
    assert type(arguments["inner"]["init_args"]) is dict


def test_every_build_gives_a_new_object():
    blueprint = Blueprint(f"{__name__}.Outer", {"width": 2}, "models.A")
    assert blueprint.build() is not blueprint.build()


@pytest.mark.parametrize(
    ("class_path", "message"),
    [
        ("Outer", "models.A.class_path is 'Outer'; expected the dotted path of a class"),
        ("absent_package.Model", "models.A.class_path is 'absent_package.Model', which cannot be imported"),
        ("collections.Absent", "models.A.class_path is 'collections.Absent', which cannot be imported"),
        ("collections.namedtuple", "a function; expected a class"),
    ],
)
def test_wrong_class_path_is_a_sentence_that_names_it(class_path, message):
    with pytest.raises(InputError, match=message):
        import_class(class_path, "models.A")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widht": 2}, "models.A.init_args has the unknown key 'widht'; expected one of width, inner"),
        ({"width": "wide"}, "models.A.init_args does not fit .*Outer.*wide"),
        ({}, "models.A.init_args does not fit .*width"),
    ],
)
def test_wrong_arguments_are_a_sentence_that_names_them(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        Blueprint(f"{__name__}.Outer", arguments, "models.A")
    assert "\n" not in str(caught.value)
