# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Running an exported model on the CPU, and PyTorch with as many threads as serve it."""

import numpy as np
import pytest
import torch

from anomalib_patchgan.deploy import backends
from anomalib_patchgan.deploy.core import compile_in_float32
from anomalib_patchgan.deploy.runtimes import OpenVinoRuntime, predict_all, run_many


def test_a_graph_of_fixed_shapes_says_what_the_one_for_any_batch_size_says(exported, images):
    runtime, free = OpenVinoRuntime(exported["fp32"], 1), compile_in_float32(exported["fp32"])
    for batch in (1, 7, 2):
        found, expected = runtime(images[:batch]), free(images[:batch])
        np.testing.assert_allclose(found.raw_score, expected["raw_score"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.map, expected["anomaly_map"], rtol=1e-4, atol=1e-5)
        assert found.label.tolist() == expected["pred_label"].tolist()
    assert len(predict_all(runtime, images).raw_score) == len(images)


def test_whole_batches_are_run_and_counted(exported, images):
    runtime = OpenVinoRuntime(exported["int8"], 1)
    counted = run_many(runtime, images[:4])
    assert counted >= 8
    assert counted % 4 == 0
    assert run_many(lambda images: None, images[:4]) == 4


def test_pytorch_runs_one_image_and_several_with_the_threads_that_serve_each(monkeypatch):
    monkeypatch.setattr(backends, "best_threads", lambda predict, images, threads: 1 if len(images) == 1 else threads)
    before = torch.get_num_threads()
    try:
        run = backends.with_best_threads(lambda images: torch.get_num_threads(), (8, 8), 2)
        assert [run(np.zeros((count, 3, 8, 8), np.float32)) for count in (1, 16, 1)] == [1, 2, 1]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_threads_that_serve_are_among_those_allowed(threads):
    before = torch.get_num_threads()
    try:
        assert backends.best_threads(lambda images: None, np.zeros((1, 3, 8, 8), np.float32), threads) in {1, threads}
    finally:
        torch.set_num_threads(before)
