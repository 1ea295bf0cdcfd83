# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The latency harness: a process for each way, rounds in turn, and rows for what a machine cannot do."""

import json
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_model import NormalImages

from anomalib_patchgan.deploy.latency import (
    CALLS,
    benchmark_app,
    latency_table,
    measure_latency,
    speedup,
    write_workspace,
)
from anomalib_patchgan.deploy.latency_child import FILES, IMAGES, STARTED_AT
from anomalib_patchgan.errors import InputError


@pytest.fixture(scope="module")
def workspace(model, datamodule, tmp_path_factory):
    folder = tmp_path_factory.mktemp("workspace")
    write_workspace(model, datamodule, folder, ("onnxruntime_fp32", "openvino_fp32"))
    return folder


def test_each_way_has_a_process_of_its_own_and_a_row_with_all_numbers(workspace):
    told = []
    names = ("onnxruntime_fp32", "openvino_fp32", "decoding", "predictor_fp32", "openvino_int8")
    rows = measure_latency(workspace, 1, names, rounds=2, seconds=0.01, progress=told.append)
    assert [row.name for row in rows] == list(names)
    *measured, missing = rows
    for row in measured:
        assert row.status == "ok", row.note
        assert len(row.seconds) >= CALLS
        assert len(row.rates) == 2
        assert row.percentile_ms(50) <= row.percentile_ms(99)
        assert row.cold_start_s > 0
        assert row.peak_mib is None or row.peak_mib > 20
    assert (missing.status, missing.seconds) == ("unsupported", [])
    assert "found no such file" in missing.note
    turns = [text for text in told if text.startswith("round 1")]
    assert [text.rpartition(" ")[2] for text in turns] == list(names[:4])
    assert measured[1].size_bytes > 0
    assert measured[1].benchmark_app > 0
    table = latency_table(rows).splitlines()
    assert len(table) == 2 + len(names)
    assert "unsupported: " in table[-1]
    least, median, most = speedup(measured[1], measured[0])
    assert 0 < least <= median <= most


def test_a_way_that_dies_while_it_is_measured_is_a_row_and_the_others_go_on(workspace, monkeypatch):
    started = []

    class Recorded(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)

    def kill_first(text):
        if text == "round 1 of 2: onnxruntime_fp32":
            started[0].kill()
            started[0].wait()

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    monkeypatch.setattr("anomalib_patchgan.deploy.latency.benchmark_app", lambda *arguments: None)
    dead, alive = measure_latency(workspace, 1, ("onnxruntime_fp32", "openvino_fp32"), 2, 0.01, kill_first)
    assert (dead.status, dead.note) == ("failed", f"its process ended with status {-signal.SIGKILL}")
    assert (alive.status, len(alive.rates)) == ("ok", 2)
    assert "| onnxruntime_fp32 | failed: its process ended with status" in latency_table([dead, alive])


def test_an_unknown_way_is_named(model, datamodule, tmp_path):
    with pytest.raises(InputError, match="ways: found 'tensorrt', expected some of pytorch_fp32"):
        write_workspace(model, datamodule, tmp_path, ("tensorrt",))


def test_a_workspace_holds_the_pictures_of_one_run_and_a_batch_of_their_images(model, tmp_path):
    (tmp_path / FILES).mkdir()
    (tmp_path / FILES / "own.png").touch()
    for count in (40, 12):
        images = NormalImages(count, 3, abnormal=True)
        write_workspace(model, SimpleNamespace(test_data=images), tmp_path, ())
        pictures = sorted(path.name for path in (tmp_path / FILES).iterdir())
        assert pictures == [*(f"{index:05d}.png" for index in range(count)), "own.png"]
        loaded = np.load(tmp_path / IMAGES)
        assert len(loaded) == 16
        np.testing.assert_array_equal(loaded[:12], images.images[:12])


def test_a_model_is_as_it_was_after_a_workspace_was_written(model, images, tmp_path):
    batch, data = torch.from_numpy(images[:2]), SimpleNamespace(test_data=NormalImages(2, 3, abnormal=True))
    with torch.inference_mode():
        before = model(batch).pred_score
        write_workspace(model, data, tmp_path, ("pytorch_fp32",))
        assert torch.equal(model(batch).pred_score, before)


def test_the_cold_start_of_pytorch_ends_before_its_threads_are_chosen(model, datamodule, tmp_path, monkeypatch):
    write_workspace(model, datamodule, tmp_path, ("pytorch_fp32",))
    code = (
        "import sys, time; from pathlib import Path; from anomalib_patchgan.deploy import backends, latency_child\n"
        "def choose(predict, images, threads):\n"
        "    with Path('chosen').open('a') as stream: print(len(images), time.time(), file=stream)\n"
        "    return 1\n"
        "backends.best_threads = choose; latency_child.main()"
    )
    started = time.time()
    monkeypatch.setenv(STARTED_AT, repr(started))
    command = [sys.executable, "-c", code, "pytorch_fp32", str(tmp_path), "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, stdin=subprocess.DEVNULL)
    answer = json.loads(done.stdout)
    assert answer["status"] == "ok", answer["note"]
    chosen = [line.split() for line in (tmp_path / "chosen").read_text().splitlines()]
    assert [count for count, _ in chosen] == ["1", "16"]
    assert answer["cold_start_s"] < float(chosen[0][1]) - started


def test_without_openvinos_tool_there_is_no_cross_check(workspace, monkeypatch):
    monkeypatch.setattr("anomalib_patchgan.deploy.latency._BENCHMARK_APP", "absent_tool")
    assert benchmark_app(workspace / "fp32" / "model.xml", 1) is None
