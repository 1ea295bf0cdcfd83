# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Suites that are killed, stopped, locked or out of room: each ends in a sentence, and no result is lost or mixed."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from tiny_suite import MODELS, contents, runs_by_model, write_suite

from anomalib_patchgan.benchmark import job as job_module
from anomalib_patchgan.benchmark import speed as speed_module
from anomalib_patchgan.cli import main
from anomalib_patchgan.store import Store

WAITING = MODELS["Tiny"] | {"class_path": "tiny_benchmark.WaitingModel"}


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_suite_that_is_stopped_or_killed_loses_the_job_in_flight_alone(tmp_path, capsys, sent):
    path = write_suite(tmp_path / "suite", {"Tiny": MODELS["Tiny"], "Waiting": WAITING})
    command = ["benchmark", str(path), "--seeds=[0]"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TINY_MODEL_WAITS": ""}
    log = (tmp_path / "log").open("w+")
    suite = subprocess.Popen(
        [sys.executable, "-m", "anomalib_patchgan.cli", *command],
        env=environment,
        stderr=log,
        # What is started in the background of a shell does not see Ctrl-C.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 300
        while "Tiny on squares, seed 0: finished" not in (tmp_path / "log").read_text():
            assert suite.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.05)
        # A second run on the same store, while the first one lives.
        assert main(command) == 2
        assert f"is being written by process {suite.pid} on " in capsys.readouterr().err
        suite.send_signal(sent)
        assert suite.wait(timeout=60) == (130 if sent is signal.SIGINT else -signal.SIGKILL)
    finally:
        suite.kill()
        log.close()
    store = Store(path.parent / "store")
    statuses = {job["model"]: store.run_status(job["key"]) for job in store.load_plan()["jobs"]}
    assert statuses == {"Tiny": "finished", "Waiting": None}
    before = contents(path.parent / "store" / "jobs")
    assert main(["report", str(store.root), "--output", str(tmp_path / "report")]) == 0
    assert "Waiting on squares, seed 0, not run" in (tmp_path / "report" / "README.md").read_text()
    assert main(command) == 0
    after = contents(path.parent / "store" / "jobs")
    assert {file: after[file] for file in before} == before
    assert runs_by_model(path)["Waiting"].status == "finished"


def test_full_disk_is_a_sentence_and_the_result_is_rescued(tmp_path, monkeypatch, capsys):
    path = write_suite(tmp_path / "suite", {"Tiny": MODELS["Tiny"]})
    assert main(["benchmark", str(path), "--seeds=[0]"]) == 0
    before = contents(path.parent / "store" / "jobs")
    write = np.savez_compressed

    def full(file, **arrays):
        if (path.parent / "store") in Path(file).parents:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(file, **arrays)

    monkeypatch.setattr(np, "savez_compressed", full)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    capsys.readouterr()
    assert main(["benchmark", str(path)]) == 2
    error = capsys.readouterr().err
    assert "cannot be written (No space left on device). The result is in" in error
    assert contents(path.parent / "store" / "jobs") == before
    # As the sentence says, it can be moved to its place.
    rescued = Path(re.search(r"The result is in (\S+),", error)[1])
    rescued.rename(path.parent / "store" / "jobs" / rescued.name)
    monkeypatch.undo()
    monkeypatch.setattr(job_module, "run_job", None)
    assert main(["benchmark", str(path)]) == 0
    assert runs_by_model(path, seed=1)["Tiny"].status == "finished"


def test_first_failure_ends_a_suite_that_is_to_fail_fast(tmp_path):
    path = write_suite(tmp_path / "suite", {"Raising": MODELS["Raising"], "Tiny": MODELS["Tiny"]})
    assert main(["benchmark", str(path), "--fail-fast"]) == 1
    store = Store(path.parent / "store")
    assert [store.run_status(job["key"]) for job in store.load_plan()["jobs"]] == ["failed", None, None, None]


def test_constructor_that_refuses_a_value_is_a_failed_row(tmp_path):
    picky = MODELS["Tiny"] | {"class_path": "tiny_benchmark.PickyModel", "init_args": {"learning_rate": 0.5}}
    path = write_suite(tmp_path / "suite", {"Tiny": MODELS["Tiny"], "Picky": picky})
    assert main(["benchmark", str(path), "--seeds=[0]"]) == 1
    run = runs_by_model(path)["Picky"]
    assert run.error == "ValueError: learning_rate is 0.5; expected one that I like"
    assert "tiny_benchmark.py" in run.traceback


def test_store_of_another_version_is_a_sentence_and_stays_as_it_is(tmp_path, capsys):
    path = write_suite(tmp_path / "suite", {"Tiny": MODELS["Tiny"]})
    plan = path.parent / "store" / "plan.json"
    plan.parent.mkdir()
    plan.write_text('{"schema_version": 99}')
    assert main(["benchmark", str(path)]) == 2
    assert "plan.json has schema_version 99; this version of the package reads" in capsys.readouterr().err
    assert plan.read_text() == '{"schema_version": 99}'


def test_minutes_are_turned_into_steps_once(tmp_path, monkeypatch):
    model = MODELS["Tiny"] | {"trainer": {"max_minutes": 0.001}}
    path = write_suite(tmp_path / "suite", {"Tiny": model})
    monkeypatch.setattr(speed_module, "MEASURED_SECONDS", 0.0)
    assert main(["benchmark", str(path), "--dry-run", "--seeds=[0]"]) == 0
    assert main(["benchmark", str(path), "--seeds=[0]"]) == 0
    plan = Store(path.parent / "store").load_plan()
    (speed,) = plan["speeds"].values()
    steps = max(1, round(0.06 * speed["steps_per_second"]))
    assert plan["jobs"][0]["trainer"] == {"max_steps": steps}
    assert runs_by_model(path)["Tiny"].budget["optimizer_steps"] == steps
    monkeypatch.setattr(speed_module, "measure_speed", None)
    assert main(["benchmark", str(path)]) == 0
    again = Store(path.parent / "store").load_plan()
    assert again["speeds"] == plan["speeds"]
    assert again["jobs"][0]["key"] == plan["jobs"][0]["key"]


def test_training_whose_speed_cannot_be_measured_is_a_sentence(tmp_path, capsys):
    model = MODELS["Raising"] | {"trainer": {"max_minutes": 1}}
    path = write_suite(tmp_path / "suite", {"Tiny": MODELS["Tiny"], "Raising": model})
    assert main(["benchmark", str(path)]) == 2
    expected = "Raising on squares: its speed cannot be measured (RuntimeError: this model never learns); expected"
    assert expected in capsys.readouterr().err


def test_loggers_of_a_suite_log_every_job_and_change_no_key(tmp_path):
    path = write_suite(tmp_path / "suite", {"Tiny": MODELS["Tiny"]})
    assert main(["benchmark", str(path)]) == 0
    before = [job["key"] for job in Store(path.parent / "store").load_plan()["jobs"]]
    logger = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": str(tmp_path / "logs")}}
    suite = yaml.safe_load(path.read_text()) | {"loggers": {"table": logger}}
    path.write_text(yaml.safe_dump(suite))
    store = tmp_path / "other"
    command = ["benchmark", str(path), f"--store={store}", "--loggers.table.init_args.flush_logs_every_n_steps=1"]
    assert main(command) == 0
    assert [job["key"] for job in Store(store).load_plan()["jobs"]] == before
    logged = {file.parents[1].name: file.read_text() for file in (tmp_path / "logs").rglob("metrics.csv")}
    assert set(logged) == {"Tiny on squares, seed 0", "Tiny on squares, seed 1"}
    assert all("loss" in text for text in logged.values())


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("AnomalibTensorBoardLogger", {"save_dir": "logs"}),
        ("AnomalibMLFlowLogger", {"save_dir": "logs", "experiment_name": "tiny"}),
        ("AnomalibWandbLogger", {"save_dir": "logs", "project": "tiny", "offline": True}),
    ],
)
def test_loggers_of_anomalib_are_taken_with_the_job_as_their_name(name, arguments):
    from anomalib_patchgan.benchmark.suite import LoggerEntry

    entry = LoggerEntry(class_path=f"anomalib.loggers.{name}", init_args=arguments)
    built_from = job_module.logger_blueprint("mine", entry, "A on b, seed 0")._namespace.built
    assert built_from["run_name" if name == "AnomalibMLFlowLogger" else "name"] == "A on b, seed 0"
    assert built_from["save_dir"] == "logs"
