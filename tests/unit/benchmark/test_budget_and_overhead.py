# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import pytest
from pretended_jobs import make_job, pretend

from anomalib_patchgan.benchmark.attempt import failed_run
from anomalib_patchgan.benchmark.budget import Speed, in_steps, without_minutes
from anomalib_patchgan.benchmark.overhead import Overhead

SPEED = Speed(model="A", data="brain", steps_per_second=2.5)


@pytest.mark.parametrize(
    ("trainer", "expected"),
    [
        ({"max_epochs": 3}, {"max_epochs": 3}),
        ({"max_minutes": 2, "accelerator": "cpu"}, {"accelerator": "cpu", "max_steps": 300}),
        # Whichever comes first, as for Lightning.
        ({"max_minutes": 0.1, "max_epochs": 5}, {"max_epochs": 5, "max_steps": 15}),
        ({"max_minutes": 0.0001}, {"max_steps": 1}),
    ],
)
def test_minutes_become_steps_by_the_speed_and_nothing_else_changes(trainer, expected):
    assert in_steps(trainer, SPEED) == expected


def test_minutes_without_a_speed_are_no_budget_yet():
    assert in_steps({"max_minutes": 2}, None) is None
    assert in_steps({"max_steps": 2}, None) == {"max_steps": 2}
    assert without_minutes({"max_minutes": 2, "devices": 1}) == {"devices": 1}


def test_overhead_is_what_is_neither_training_nor_testing_nor_timing():
    overhead = Overhead()
    assert overhead.share == 0.0
    run = pretend(make_job(0), lambda *_: None)
    run.timings = {"fit": 50.0, "test": 20.0, "deployment": 20.0, "total": 96.0}
    overhead.add_run(run)
    overhead.own["checking"] = 4.0
    assert overhead.share == pytest.approx(0.1)
    expected = "overhead: 10.0 % of 100 s is neither training, testing nor timing (in jobs 6.0 s, checking 4.0 s)"
    assert str(overhead) == expected


def test_time_of_a_part_is_added_up_and_a_failed_run_adds_nothing():
    overhead = Overhead()
    for _ in range(2):
        with overhead.part("storing"):
            pass
    overhead.add_run(failed_run(make_job(0), "Lost.", None))
    assert overhead.work == 0.0
    assert "in jobs" not in overhead.own
    assert 0.0 < overhead.own["storing"] < 60.0
