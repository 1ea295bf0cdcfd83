# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Our comparators as OpenVINO graphs, at one image and at several."""

from pathlib import Path

import numpy as np
import pytest
import torch

from anomalib_patchgan.deploy.backends import open_openvino
from anomalib_patchgan.models import Alocc, FAnoGan, GaussianAtlas, MaximumIntensity, NearestNeighbours, PatchScorer

OFF = {"evaluator": False, "visualizer": False}


def fitted(model: torch.nn.Module) -> torch.nn.Module:
    size = 32
    model.model.fit(model.model.condense(torch.rand(6, 3, size, size)))
    return model


@pytest.mark.parametrize(
    "build",
    [
        lambda: MaximumIntensity(**OFF),
        lambda: fitted(GaussianAtlas(image_size=32, **OFF)),
        lambda: fitted(NearestNeighbours(image_size=32, **OFF)),
        lambda: Alocc(image_size=32, width=8, **OFF),
        lambda: FAnoGan(image_size=32, width=8, latent_size=16, **OFF),
        lambda: PatchScorer(image_size=32, width=8, **OFF),
    ],
    ids=["maximum intensity", "gaussian atlas", "nearest neighbours", "alocc", "f-anogan", "patch scorer"],
)
def test_the_exported_graph_scores_as_the_model_does_in_a_batch_of_any_size(build: object, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build().eval()
    predict = open_openvino(model, tmp_path, (32, 32), threads=1)
    images = torch.rand(5, 3, 32, 32)
    for batch in (images[:1], images):
        scores, _, maps = predict(batch.numpy())
        with torch.no_grad():
            expected = model(batch)
        assert np.allclose(scores, expected.pred_score, atol=1e-4)
        if maps is not None:
            assert np.allclose(maps.reshape(-1), expected.anomaly_map.flatten(), atol=1e-4)
