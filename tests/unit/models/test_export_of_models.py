# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Our comparators as OpenVINO graphs, at one image and at several."""

from pathlib import Path

import numpy as np
import pytest
import torch

from anomalib_patchgan.deploy.core import compile_in_float32
from anomalib_patchgan.deploy.graph import DeployedGraph, convert, write_onnx
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.models import (
    Alocc,
    Cflow,
    FAnoGan,
    Ganomaly,
    GaussianAtlas,
    MaximumIntensity,
    NearestNeighbours,
    PatchGan,
    PatchScorer,
    SlicePosition,
    Stfpm,
    Supersimplenet,
)
from anomalib_patchgan.models.components.post_processor import CalibratedPostProcessor

OFF = {"evaluator": False, "visualizer": False}


def fitted(model: torch.nn.Module) -> torch.nn.Module:
    size = 32
    model.model.fit(model.model.condense(torch.rand(6, 3, size, size)))
    return model


def scaled(model: Cflow) -> Cflow:
    model.model.fit_largest([torch.rand(6, 3, 32, 32)])
    return model


def measured(model: Supersimplenet) -> Supersimplenet:
    model.model.measure([torch.rand(6, 3, 32, 32)])
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
        lambda: PatchScorer(image_size=32, width=8, perceptual=True, **OFF),
        lambda: PatchGan(image_size=32, width=8, ranker_width=8, perceptual=True, **OFF),
        lambda: scaled(Cflow(image_size=32, post_processor=CalibratedPostProcessor(), **OFF)),
        lambda: Ganomaly(image_size=32, n_features=8, post_processor=CalibratedPostProcessor(), **OFF),
        lambda: Stfpm(image_size=32, post_processor=CalibratedPostProcessor(), **OFF),
        lambda: measured(Supersimplenet(image_size=32, post_processor=CalibratedPostProcessor(), **OFF)),
    ],
    ids=[
        "maximum intensity",
        "gaussian atlas",
        "nearest neighbours",
        "alocc",
        "f-anogan",
        "patch scorer",
        "perceptual patch scorer",
        "perceptual patch-gan",
        "cflow",
        "ganomaly",
        "stfpm",
        "supersimplenet",
    ],
)
def test_the_exported_graph_scores_as_the_model_does_in_a_batch_of_any_size(build: object, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build().eval()
    for name in ("_image_threshold", "image_min", "image_max", "_pixel_threshold", "pixel_min", "pixel_max"):
        getattr(model.post_processor, name).fill_(1.0 + name.endswith("max") - name.endswith("min"))
    graph = DeployedGraph(model)
    write_onnx(graph, (32, 32), tmp_path / "model.onnx")
    converted = convert(graph, tmp_path / "model.onnx")
    predict = compile_in_float32(converted)
    images = torch.rand(5, 3, 32, 32)
    for batch in (images[:1], images):
        found = predict(batch.numpy())
        with torch.no_grad():
            expected = model(batch)
        assert np.allclose(found["pred_score"], expected.pred_score.flatten(), atol=1e-4)
        if expected.anomaly_map is not None:
            assert np.allclose(found["anomaly_map"].reshape(-1), expected.anomaly_map.flatten(), atol=1e-4)


def test_a_model_that_scores_no_images_is_refused(tmp_path: Path) -> None:
    model = SlicePosition(**OFF).eval()
    model.post_processor._image_threshold.fill_(1.0)
    with pytest.raises(InputError, match="SlicePositionModel: found 6144 scores of 2 images, expected one of each"):
        write_onnx(DeployedGraph(model), (32, 32), tmp_path / "model.onnx")
