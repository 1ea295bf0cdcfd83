# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Pictures of other anatomies are what a manifest lists, and hold the lesion they say they hold."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from anomalib_patchgan.data.manifest import Manifest
from anomalib_patchgan.data.phantoms import ManifestPhantoms
from anomalib_patchgan.data.phantoms.manifest import render_picture
from anomalib_patchgan.data.phantoms.pictures import ANATOMIES
from anomalib_patchgan.errors import InputError

SMALL = {"train_images": 5, "reference_images": 2, "calibration_images": 3, "test_images": 8, "seed": 5, "side": 96}
FIRST_OF_TEST = 10


@pytest.fixture(scope="module", params=list(ANATOMIES))
def phantoms(request):
    return ManifestPhantoms(anatomy=request.param, **SMALL)


@pytest.fixture(scope="module")
def folder(phantoms, tmp_path_factory):
    root = tmp_path_factory.mktemp(phantoms.anatomy) / "set"
    phantoms.write(root, processes=1)
    return root


def test_manifest_lists_every_file_and_no_other(folder, digests):
    with (folder / "manifest.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["split"] for row in rows] == ["train"] * 5 + ["reference"] * 2 + ["calibration"] * 3 + ["test"] * 8
    listed = {row["image"] for row in rows} | {row["mask"] for row in rows} - {""}
    assert set(digests(folder)) == listed | {"manifest.csv", "phantoms.json"}
    assert len({row["subject_id"] for row in rows}) == len(rows)
    assert all((row["label"] == "abnormal") == bool(row["mask"]) for row in rows)
    # Every second one of the test has a lesion.
    assert [row["label"] for row in rows if row["split"] == "test"] == ["normal", "abnormal"] * 4


def test_reader_of_manifests_takes_it_and_calls_it_phantoms(phantoms, folder):
    datamodule = Manifest(folder, image_size=96, num_workers=0)
    datamodule.setup()
    assert datamodule.card()["phantom_parameters"] == phantoms.parameters()
    test = datamodule.test_data.samples
    assert (len(test), int(test["label_index"].sum())) == (8, 4)


def test_each_kind_of_lesion_comes_in_turn_and_is_recorded(phantoms, folder):
    records = json.loads((folder / "phantoms.json").read_text())["images"]
    assert [record["lesion"] for record in records if record["lesion"]] == list(ANATOMIES[phantoms.anatomy].kinds)
    for record in records:
        mask = folder / "masks" / record["image"]
        assert mask.exists() == (record["lesion"] is not None)
        share = (np.asarray(Image.open(mask)) > 0).mean() if mask.exists() else 0
        assert record["lesion_share"] == pytest.approx(share, abs=1e-5)


def test_files_do_not_depend_on_the_number_of_processes(phantoms, folder, tmp_path, digests):
    phantoms.write(tmp_path / "again", processes=2)
    assert digests(tmp_path / "again") == digests(folder)


def test_lesion_is_all_that_sets_a_picture_apart_from_its_healthy_twin(phantoms):
    for index in range(FIRST_OF_TEST + 1, FIRST_OF_TEST + 8, 2):
        ill, healthy = (render_picture(phantoms, index, with_lesion=flag) for flag in (True, False))
        assert not healthy.mask.any()
        assert 1e-4 < ill.mask.mean() < 0.3
        difference = np.abs(ill.pixels.astype(int) - healthy.pixels).mean(axis=2)
        assert difference[ill.mask].mean() > 5, phantoms.kind(index)
        assert np.median(difference[~ill.mask]) == 0


def test_every_lesion_has_a_mask():
    # At the smallest size, where the smallest lesions are less than a pixel.
    for anatomy in ANATOMIES:
        phantoms = ManifestPhantoms(anatomy=anatomy, train_images=1, test_images=40, side=64)
        first = len(phantoms.groups()) - 40
        assert all(render_picture(phantoms, index).mask.any() for index in range(first + 1, first + 40, 2))


def test_normal_pictures_have_no_lesion(phantoms):
    for index in (0, FIRST_OF_TEST):
        assert phantoms.kind(index) is None
        assert not render_picture(phantoms, index).mask.any()


def test_chest_is_grey_and_the_others_are_not():
    for anatomy in ANATOMIES:
        pixels = render_picture(ManifestPhantoms(anatomy=anatomy, **SMALL), 0).pixels
        assert (pixels[..., 0] == pixels[..., 1]).all() == (anatomy == "chest")


@pytest.mark.parametrize(("seed", "index"), [(6, 0), (5, 1)])
def test_other_seed_or_index_gives_another_picture(phantoms, seed, index):
    other = ManifestPhantoms(anatomy=phantoms.anatomy, **{**SMALL, "seed": seed})
    difference = render_picture(phantoms, 0).pixels.astype(int) - render_picture(other, index).pixels
    assert np.abs(difference).mean() > 3


@pytest.mark.parametrize(
    "arguments",
    [
        {"anatomy": "knee"},
        {"train_images": 0},
        {"reference_images": 0},
        {"calibration_images": 0},
        {"test_images": 0},
        {"test_images": 7},
        {"seed": -1},
        {"side": 20},
    ],
)
def test_impossible_arguments_are_refused(arguments):
    with pytest.raises(InputError, match=next(iter(arguments))):
        ManifestPhantoms(**arguments)
