# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Parity and latency rows of a small Patch-GAN."""

from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from anomalib.pre_processing import PreProcessor
from small_model import NormalImages
from torchvision.transforms.v2 import CenterCrop, Compose, Resize

from anomalib_patchgan.deploy import deployment_rows
from anomalib_patchgan.deploy.backends import BACKENDS, REFERENCE, Backend
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
    assert reference["status"] == "ok", reference["note"]
    assert (failed["status"], failed["note"]) == (status, note)


def damaged(damage):
    """The reference, and what it says or does changed."""

    def open_damaged(*arguments):
        predict = BACKENDS[REFERENCE].open(*arguments)
        return lambda images: damage(images, predict(images))

    return Backend("fp32", open_damaged)


def without_a_number(images, outputs):
    return replace(outputs, score=np.full_like(outputs.score, np.nan))


def refuse_one_image(images, outputs):
    if len(images) == 1:
        raise RuntimeError("one image is too few")
    return outputs


@pytest.mark.parametrize(
    ("damage", "note"),
    [
        (without_a_number, "scores: found 40 that are not finite"),
        (refuse_one_image, "RuntimeError: one image is too few"),
    ],
)
def test_a_backend_that_cannot_be_compared_or_timed_loses_no_other(
    model, datamodule, tmp_path, monkeypatch, damage, note
):
    monkeypatch.setitem(BACKENDS, "openvino_fp32", damaged(damage))
    reference, failed = deployment_rows(model, datamodule, ["openvino_fp32"], 1, tmp_path)
    assert reference["status"] == "ok", reference["note"]
    assert reference["latency_ms_p50"] > 0
    assert failed["status"] == "failed"
    assert failed["note"].startswith(note)
    assert "latency_ms_p50" not in failed


def test_on_a_test_set_of_one_class_there_is_no_difference_of_the_auroc(model, tmp_path):
    normal = SimpleNamespace(test_data=NormalImages(16, 3, abnormal=False))
    (row,) = deployment_rows(model, normal, [], 1, tmp_path)
    assert (row["status"], row["auroc_diff"], row["score_max_abs_diff"]) == ("ok", None, 0)


def test_an_unknown_backend_is_named(model, datamodule, tmp_path):
    with pytest.raises(InputError, match="openvino_fp4"):
        deployment_rows(model, datamodule, ["openvino_fp4"], 1, tmp_path)


def test_a_model_that_cannot_be_deployed_at_all_is_a_failed_row_of_every_backend(model, datamodule, tmp_path):
    cropping = deepcopy(model)
    cropping.pre_processor = PreProcessor(transform=Compose([Resize((64, 64)), CenterCrop(32)]))
    rows = deployment_rows(cropping, datamodule, ["openvino_fp32"], 1, tmp_path)
    assert [row["status"] for row in rows] == ["failed", "failed"]
    assert all("found CenterCrop" in row["note"] for row in rows)
