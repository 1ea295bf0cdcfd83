# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Images larger than a model's are seen alike in training and in an exported graph."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from torchvision.transforms.v2 import Compose, Resize

from anomalib_patchgan import PatchGan
from anomalib_patchgan.deploy.core import compile_in_float32
from anomalib_patchgan.models.components.resizing import ExportableResize, ResizingPreProcessor

SIZE = (32, 48)


@pytest.mark.parametrize("given", [(32, 48), (128, 192), (33, 200), (300, 48), (20, 30)])
def test_what_is_exported_resizes_as_training_does(given: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *given)
    processor = ResizingPreProcessor(SIZE)
    expected = processor.transform(images)
    assert torch.equal(expected, functional.interpolate(images, SIZE, mode="bilinear", antialias=True))
    assert (processor(images) - expected).abs().max() < 1e-6


def test_images_of_the_models_size_are_left_alone() -> None:
    images = torch.rand(2, 3, *SIZE)
    assert ResizingPreProcessor(SIZE)(images) is images


def test_mixed_precision_does_not_round_the_images() -> None:
    images = torch.rand(1, 3, 64, 96)
    with torch.autocast("cpu", torch.bfloat16):
        found = ExportableResize(SIZE)(images)
    assert torch.equal(found, ExportableResize(SIZE)(images))


@pytest.mark.parametrize("antialias", [True, False])
def test_a_checkpoint_brings_its_own_rule_back(antialias: bool) -> None:
    images = torch.rand(1, 3, 200, 90)
    trained, loaded = ResizingPreProcessor(SIZE), ResizingPreProcessor((64, 64))
    trained.transform = Compose([Resize(SIZE, antialias=antialias)])
    loaded.load_checkpoint_config(trained.checkpoint_config())
    expected = functional.interpolate(images, SIZE, mode="bilinear", antialias=antialias)
    assert (loaded.transform(images) - expected).abs().max() < 1e-6
    assert (loaded(images) - expected).abs().max() < 1e-6


def test_patchgan_exported_by_anomalib_sees_large_images_as_it_does_in_test(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = PatchGan(image_size=32, width=8, ranker_width=8, evaluator=False, visualizer=False).eval()
    # Without an input size the graph takes images of any.
    exported = model.to_openvino(tmp_path, onnx_kwargs={"opset_version": 18})
    compiled = compile_in_float32(exported)
    for given in ((128, 96), (32, 32), (200, 300)):
        # Noise, of which aliasing would leave more.
        images = torch.rand(2, 3, *given)
        with torch.inference_mode():
            expected = model.model(model.pre_processor.transform(images)).anomaly_map
        assert np.allclose(compiled({0: images.numpy()})["anomaly_map"], expected, atol=1e-4)
