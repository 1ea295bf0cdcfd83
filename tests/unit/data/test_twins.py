# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Phantoms as they would be without their lesions, beside what the models see."""

import numpy as np
import pytest

from anomalib_patchgan.data import ISIC2016, BraTS2019
from anomalib_patchgan.data.phantoms import BrainPhantoms, SkinPhantoms
from anomalib_patchgan.errors import InputError

BRAINS = BrainPhantoms(subjects=12, seed=4, spacing=4.0, level="easy", healthy_twins=True)
SKIN = SkinPhantoms(train_images=6, test_images=6, seed=4, height=96, width=128, level="easy", healthy_twins=True)


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trees")
    BRAINS.write(folder / "brain", processes=1)
    SKIN.write(folder / "skin", processes=1)
    return folder


@pytest.fixture(params=["brain", "skin"])
def datamodule(trees, request, tmp_path):
    common = {"image_size": 32, "cache_dir": tmp_path / "cache"}
    if request.param == "brain":
        module = BraTS2019(trees / "brain", slice_spacing=4.0, area_tolerance=0.3, position_tolerance=0.3, **common)
    else:
        module = ISIC2016(trees / "skin", working_size=96, **common)
    module.setup()
    return module


def test_a_twin_is_its_abnormal_sample_without_the_lesion(datamodule):
    twins = datamodule.twins()
    abnormal = np.flatnonzero(datamodule.test_data.samples["label_index"])
    assert len(twins) == len(abnormal) > 0
    inside, outside = [], []
    for index, position in enumerate(abnormal):
        sample, twin = datamodule.test_data[position], twins[index]
        lesion = np.asarray(sample.gt_mask).reshape(32, 32) > 0
        difference = (sample.image - twin.image).abs().mean(dim=0).numpy()
        inside.append(difference[lesion].mean())
        outside += list(difference[~lesion])
    assert np.mean(inside) > 3 * np.mean(outside or [0])
    assert np.mean(inside) > 0.02


def test_a_collection_without_twins_has_none(datamodule, monkeypatch, tmp_path):
    monkeypatch.setattr(datamodule, "root", tmp_path)
    assert datamodule.twins() is None


def test_twins_that_are_lacking_are_named(datamodule):
    folder = datamodule.root / "healthy_twins"
    lacking = sorted(set(datamodule.test_data.samples["subject_id"]))[0]
    for path in folder.glob(f"{lacking}*"):
        path.rename(folder.parent / f"aside-{path.name}")
    try:
        with pytest.raises(InputError, match=lacking):
            datamodule.twins()
    finally:
        for path in folder.parent.glob(f"aside-{lacking}*"):
            path.rename(folder / path.name.removeprefix("aside-"))
