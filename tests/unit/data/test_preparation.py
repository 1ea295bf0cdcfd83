# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Preparing a collection."""

import pytest

from anomalib_patchgan.data.preparation import Preparation, prepare_all
from anomalib_patchgan.errors import InputError


def square_unless_seven(number):
    if number == 7:
        raise InputError("seven.nii: found a seven, expected any other number.")
    return number**2


def test_results_come_in_the_order_of_the_jobs():
    prepared = prepare_all({str(number): number for number in range(50, 0, -1)}, lambda number: number**2, "Squaring")
    assert list(prepared.prepared.items()) == [(str(number), number**2) for number in range(50, 0, -1)]


def test_one_damaged_file_does_not_end_a_preparation():
    preparation = prepare_all({str(number): number for number in range(20)}, square_unless_seven, "Squaring")
    assert preparation.findings == {"7": "seven.nii: found a seven, expected any other number."}
    assert len(preparation.prepared) == 19


def test_an_error_that_is_no_finding_ends_the_preparation():
    def refuse(number):
        raise ValueError(f"job {number}")

    with pytest.raises(ValueError, match="job 0"):
        prepare_all({"0": 0}, refuse, "Refusing")


def test_one_damaged_file_of_a_thousand_is_borne_unless_strict():
    preparation = Preparation({str(number): number for number in range(999)}, {"x": "x.nii: found nothing."})
    preparation.check(strict=False)
    with pytest.raises(InputError, match=r"x\.nii: found nothing\. 1 of 1000 could not be used \(x\)"):
        preparation.check(strict=True)


def test_one_damaged_file_of_fifty_is_too_much():
    preparation = Preparation({str(number): number for number in range(49)}, {"x": "x.nii: found nothing."})
    with pytest.raises(InputError, match="1 of 50 could not be used"):
        preparation.check(strict=False)


def test_nothing_is_drawn_where_there_is_no_terminal(capfd):
    prepare_all({"one": 1, "two": 2}, str, "Writing")
    assert capfd.readouterr() == ("", "")
