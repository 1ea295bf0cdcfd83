# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Parity and latency rows of a small Patch-GAN."""

import pytest

from anomalib_patchgan.deploy import deployment_rows
from anomalib_patchgan.deploy.backends import Backend
from anomalib_patchgan.deploy.runtimes import UnsupportedError
from anomalib_patchgan.errors import InputError


def test_openvino_decides_as_pytorch_does_and_both_are_timed(model, datamodule, tmp_path):
    rows = deployment_rows(model, datamodule, ["openvino_fp32", "onnxruntime_fp32", "openvino_int8"], 1, tmp_path)
    reference, exported, onnx, quantised = rows
    assert [row["backend"] for row in rows] == ["pytorch_fp32", "openvino_fp32", "onnxruntime_fp32", "openvino_int8"]
    assert [row["precision"] for row in rows] == ["fp32", "fp32", "fp32", "int8"]
    assert {row["status"] for row in rows} == {"ok"}
    for row in (exported, onnx):
        assert row["score_max_abs_diff"] < 1e-4
        assert row["map_max_abs_diff"] < 1e-4
        assert row["label_flips"] == 0
        assert row["size_bytes"] > 0
    assert exported["score_max_abs_diff"] < quantised["score_max_abs_diff"] < 0.2
    assert 0 < exported["latency_ms_p50"] <= exported["latency_ms_p99"]
    assert exported["speedup"] == pytest.approx(reference["latency_ms_p50"] / exported["latency_ms_p50"])


@pytest.mark.parametrize(
    ("error", "status", "note"),
    [
        (RuntimeError("no such device"), "failed", "RuntimeError: no such device"),
        (UnsupportedError("CPU: found none."), "unsupported", "CPU: found none."),
    ],
)
def test_a_backend_that_fails_or_is_not_supported_is_a_row_with_a_note(
    model, datamodule, tmp_path, monkeypatch, error, status, note
):
    def fail(*args: object) -> None:
        raise error

    monkeypatch.setitem(deployment_rows.__globals__["BACKENDS"], "openvino_fp32", Backend("fp32", fail))
    reference, failed = deployment_rows(model, datamodule, ["openvino_fp32"], 1, tmp_path)
    assert reference["status"] == "ok"
    assert (failed["status"], failed["note"]) == (status, note)


def test_an_unknown_backend_is_named(model, datamodule, tmp_path):
    with pytest.raises(InputError, match="openvino_fp4"):
        deployment_rows(model, datamodule, ["openvino_fp4"], 1, tmp_path)
