# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Metrics that anomalib and torchmetrics have too."""

import numpy as np
import pytest
import torch
from anomalib.metrics.aupro import _AUPRO
from anomalib.metrics.pimo.functional import aupimo_scores
from scipy import ndimage
from torchmetrics.functional.classification import binary_auroc, binary_average_precision
from torchmetrics.functional.segmentation import dice_score

from anomalib_patchgan.evaluation import aupimo, aupro, auroc, average_precision, find_regions, image_dice, rank_maps


@pytest.fixture(scope="module")
def lesions():
    """Smooth maps and blobs of lesions in half of 16 images."""
    generator = np.random.default_rng(9)
    masks = ndimage.gaussian_filter(generator.normal(size=(16, 96, 96)), (0, 4, 4)) > 0.12
    masks[::2] = False
    noise = ndimage.gaussian_filter(generator.normal(size=masks.shape), (0, 1, 1))
    return (noise + 0.5 * masks).astype(np.float16), masks


@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
def test_aupro_equals_anomalib(lesions, limit):
    maps, masks = lesions
    theirs = _AUPRO(fpr_limit=limit)
    theirs.update(torch.from_numpy(maps.astype(np.float32)), torch.from_numpy(masks.astype(np.float32)))
    assert aupro(rank_maps(maps), find_regions(masks), limit) == pytest.approx(float(theirs.compute()), abs=1e-4)


def test_aupimo_equals_anomalib_where_the_thresholds_are_dense(lesions):
    maps, masks = lesions[0].astype(np.float32), lesions[1]
    maps += np.random.default_rng(1).normal(0.0, 1e-3, maps.shape).astype(np.float32)
    bounds = (1e-3, 1e-2)
    *_, theirs, points = aupimo_scores(torch.from_numpy(maps), torch.from_numpy(masks), 20_000, bounds)
    assert points > 300
    assert aupimo(rank_maps(maps), masks, bounds) == pytest.approx(theirs.numpy()[1::2], abs=5e-3)


def test_image_metrics_equal_torchmetrics():
    generator = np.random.default_rng(5)
    labels = generator.integers(0, 2, 200)
    scores = np.round(generator.random(200) * 0.5 + labels * 0.3, 2)
    predicted, target = torch.from_numpy(scores), torch.from_numpy(labels)
    assert auroc(labels, scores) == pytest.approx(float(binary_auroc(predicted, target)), abs=1e-6)
    assert average_precision(labels, scores) == pytest.approx(
        float(binary_average_precision(predicted, target)), abs=1e-6
    )


def test_dice_of_each_image_equals_torchmetrics(lesions):
    maps, masks = lesions
    called, target = (torch.from_numpy(array[1::2, None]).long() for array in (maps > 0.3, masks))
    theirs = dice_score(called, target, num_classes=1, average="micro", input_format="one-hot")
    assert image_dice(maps > 0.3, masks) == pytest.approx(theirs.flatten().numpy(), abs=1e-6)
