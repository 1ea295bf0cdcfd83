# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Parity and latency rows of a small Patch-GAN."""

from types import SimpleNamespace

import pytest
import torch

from anomalib_patchgan import PatchGan
from anomalib_patchgan.deploy import deployment_rows
from anomalib_patchgan.errors import InputError


@pytest.fixture(scope="module")
def data() -> SimpleNamespace:
    torch.manual_seed(0)
    items = [SimpleNamespace(image=torch.rand(3, 32, 32), gt_label=torch.tensor(index % 2)) for index in range(20)]
    return SimpleNamespace(test_data=items)


@pytest.fixture(scope="module")
def model() -> PatchGan:
    torch.manual_seed(0)
    model = PatchGan(image_size=32, channels=1, width=8, discriminator_width=16, evaluator=False, visualizer=False)
    model.model.fit_novelty([torch.rand(8, 3, 32, 32)])
    calibration = {"_image_threshold": 1.2, "image_min": 1.0, "image_max": 2.0}
    calibration |= {"_pixel_threshold": 1.0, "pixel_min": 0.5, "pixel_max": 2.0}
    for name, value in calibration.items():
        getattr(model.post_processor, name).fill_(value)
    return model


def test_openvino_decides_as_pytorch_does_and_both_are_timed(model, data, tmp_path):
    reference, exported = deployment_rows(model, data, ["openvino_fp32"], 1, tmp_path)
    assert (reference["backend"], exported["backend"]) == ("pytorch_fp32", "openvino_fp32")
    assert exported["status"] == "ok"
    assert exported["score_max_abs_diff"] < 1e-4
    assert exported["label_flips"] == 0
    assert exported["size_bytes"] > 0
    assert 0 < exported["latency_ms_p50"] <= exported["latency_ms_p99"]
    assert exported["speedup"] == pytest.approx(reference["latency_ms_p50"] / exported["latency_ms_p50"])


def test_a_backend_that_fails_is_a_row_with_a_note(model, data, tmp_path, monkeypatch):
    def fail(*args: object) -> None:
        raise RuntimeError("no such device")

    monkeypatch.setitem(deployment_rows.__globals__["BACKENDS"], "openvino_fp32", fail)
    reference, failed = deployment_rows(model, data, ["openvino_fp32"], 1, tmp_path)
    assert reference["status"] == "ok"
    assert (failed["status"], failed["note"]) == ("failed", "RuntimeError: no such device")


def test_an_unknown_backend_is_named(model, data, tmp_path):
    with pytest.raises(InputError, match="openvino_fp4"):
        deployment_rows(model, data, ["openvino_fp4"], 1, tmp_path)
