# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

from anomalib_patchgan.report.drawing import CONTROL, METHOD, colours, dashes
from anomalib_patchgan.report.findings import DataResult, ModelResult

# As many as benchmarks/phantoms.yaml and benchmarks/ablation.yaml have of each role.
NUMBERS = {"method": 1, "comparator": 20, "trivial": 8, "control": 17}


def data_of(numbers):
    rows = [ModelResult(f"{role} {number}", role, "") for role, count in numbers.items() for number in range(count)]
    return DataResult("brain", results=rows)


def test_no_two_models_are_drawn_alike():
    data = data_of(NUMBERS)
    looks = zip(colours(data, data.results), (dashes(data, row.model) for row in data.results), strict=True)
    assert len(set(looks)) == len(data.results)


def test_a_missing_result_changes_no_models_look():
    data = data_of(NUMBERS)
    some = data.results[::3]
    assert colours(data, some) == colours(data, data.results)[::3]


def test_the_method_is_solid_and_a_single_control_is_gray_and_dotted():
    data = data_of({"method": 1, "comparator": 1, "control": 1})
    method, _, control = colours(data, data.results)
    assert (method, dashes(data, "method 0")) == (METHOD, "-")
    assert (control, dashes(data, "control 0")) == (CONTROL, ":")
