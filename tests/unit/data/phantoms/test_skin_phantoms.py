# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Skin phantoms are an ISIC 2016 tree, the same on every machine load, and hold the lesion they say they hold."""

import json

import numpy as np
import pytest
from PIL import Image

from anomalib_patchgan.data.phantoms import SkinPhantoms
from anomalib_patchgan.data.phantoms.skin import render_image
from anomalib_patchgan.data.phantoms.skin_lesion import PIGMENT, RANGES
from anomalib_patchgan.errors import InputError

SMALL = {"train_images": 6, "test_images": 3, "seed": 5, "height": 96, "width": 128}


@pytest.fixture(scope="module")
def skin_set(tmp_path_factory):
    root = tmp_path_factory.mktemp("skin") / "isic2016"
    SkinPhantoms(**SMALL).write(root, processes=1)
    return root


def test_tree_is_that_of_the_challenge(skin_set, digests):
    record = json.loads((skin_set / "phantoms.json").read_text())
    folders = {"train": "Training", "test": "Test"}
    expected = {"phantoms.json"}
    for entry in record["images"]:
        prefix = f"ISBI2016_ISIC_Part1_{folders[entry['group']]}"
        expected |= {
            f"{prefix}_Data/{entry['image']}.jpg",
            f"{prefix}_GroundTruth/{entry['image']}_Segmentation.png",
        }
    assert set(digests(skin_set)) == expected
    assert [entry["group"] for entry in record["images"]] == ["train"] * 6 + ["test"] * 3


def test_names_are_unique_over_training_and_test(skin_set):
    names = [path.stem for path in skin_set.rglob("*.jpg")]
    assert len(set(names)) == 9
    assert all(name.startswith("ISIC_") and len(name) == 12 and name[5:].isdigit() for name in names)


def test_mask_is_binary_has_the_image_size_and_both_classes(skin_set):
    for path in skin_set.rglob("*_Segmentation.png"):
        mask = Image.open(path)
        assert mask.mode == "L"
        assert mask.size == (128, 96)
        assert set(np.unique(np.asarray(mask))) == {0, 255}


def test_image_is_a_colour_jpeg_of_the_asked_size(skin_set):
    for path in skin_set.rglob("*.jpg"):
        image = Image.open(path)
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (128, 96))


def test_lesions_are_recorded_as_drawn(skin_set):
    record = json.loads((skin_set / "phantoms.json").read_text())
    assert record["parameters"] == SkinPhantoms(**SMALL).parameters()
    for entry in record["images"]:
        lesion, ranges = entry["lesion"], RANGES["medium"]
        assert lesion["kind"] in PIGMENT
        assert ranges.radius[0] <= lesion["radius"] <= ranges.radius[1]
        mask = np.asarray(Image.open(next(skin_set.rglob(f"{entry['image']}_Segmentation.png")))) > 0
        assert entry["lesion_share"] == pytest.approx(mask.mean(), abs=1e-3)


def test_second_write_touches_nothing(skin_set):
    before = {path: path.stat().st_mtime_ns for path in (skin_set, *skin_set.rglob("*"))}
    SkinPhantoms(**SMALL).write(skin_set)
    assert {path: path.stat().st_mtime_ns for path in (skin_set, *skin_set.rglob("*"))} == before


def test_files_do_not_depend_on_the_number_of_processes(skin_set, tmp_path, digests):
    SkinPhantoms(**SMALL).write(tmp_path / "again", processes=2)
    assert digests(tmp_path / "again") == digests(skin_set)


@pytest.mark.parametrize(("seed", "index"), [(6, 0), (5, 1)])
def test_other_seed_or_index_gives_another_image(seed, index):
    first = render_image(SkinPhantoms(**SMALL), 0)
    second = render_image(SkinPhantoms(**{**SMALL, "seed": seed}), index)
    assert (first.mask != second.mask).any()


def test_quickstart_size_holds_patches_of_skin_and_of_lesion():
    phantoms = SkinPhantoms(12, 1, 0, 192, 256)
    filled = empty = 0
    for index in range(12):
        mask = render_image(phantoms, index).mask
        shares = [
            mask[row : row + 32, column : column + 32].mean()
            for row in range(0, 192, 32)
            for column in range(0, 256, 32)
        ]
        filled += sum(share >= 0.75 for share in shares)
        empty += sum(share == 0 for share in shares)
        assert any(share == 0 for share in shares)
    assert filled >= 12
    assert empty > filled


def test_healthy_twin_differs_only_in_the_lesion():
    phantoms = SkinPhantoms(**SMALL, level="easy")
    ill, healthy = (render_image(phantoms, 0, with_lesion=flag) for flag in (True, False))
    assert healthy.lesion is None
    assert not healthy.mask.any()
    difference = np.abs(ill.pixels.astype(int) - healthy.pixels).mean(axis=2)
    assert difference[ill.mask].mean() > 10
    assert np.median(difference[~ill.mask]) == 0


def test_lesions_are_darker_and_brighter_than_skin():
    phantoms = SkinPhantoms(**SMALL)
    darker = []
    for index in range(40):
        ill, healthy = (render_image(phantoms, index, with_lesion=flag) for flag in (True, False))
        darker.append(ill.pixels[ill.mask].mean() < healthy.pixels[ill.mask].mean())
    assert 0.3 < np.mean(darker) < 0.8


@pytest.mark.parametrize(
    "arguments",
    [{"train_images": 0}, {"test_images": 0}, {"seed": -1}, {"height": 20}, {"width": 0}, {"level": "trivial"}],
)
def test_impossible_arguments_are_refused(arguments):
    with pytest.raises(InputError, match=next(iter(arguments))):
        SkinPhantoms(**arguments)


def test_twins_are_written_under_the_same_names_and_leave_the_images_as_they_are(skin_set, tmp_path, digests):
    SkinPhantoms(**SMALL, healthy_twins=True).write(tmp_path / "set", processes=1)
    with_twins, without = digests(tmp_path / "set"), digests(skin_set)
    twins = {path for path in with_twins if path.startswith("healthy_twins/")}
    assert {path.split("/")[1] for path in twins} == {path.name for path in skin_set.rglob("*.jpg")}
    del without["phantoms.json"]
    assert without.items() <= with_twins.items()


def test_twin_differs_only_in_the_lesion():
    phantoms = SkinPhantoms(**SMALL, level="easy", healthy_twins=True)
    ill, healthy = (render_image(phantoms, 0, with_lesion=flag) for flag in (True, False))
    difference = np.abs(ill.pixels.astype(int) - healthy.pixels).mean(axis=2)
    assert not healthy.mask.any()
    assert difference[ill.mask].mean() > 10 * difference[~ill.mask].mean()


def test_textured_lesions_are_as_bright_as_skin_but_rougher():
    phantoms = SkinPhantoms(**SMALL, level="shifted")
    levels, roughness = [], []
    for index in range(60):
        ill = render_image(phantoms, index)
        if ill.lesion.kind != "textured" or ill.lesion.contrast < 0.3:
            continue
        healthy = render_image(phantoms, index, with_lesion=False)
        inside, twin = ill.pixels[ill.mask].astype(float), healthy.pixels[ill.mask].astype(float)
        levels.append(inside.mean() / twin.mean())
        roughness.append(inside.std() / twin.std())
    assert len(levels) >= 3
    assert np.mean(levels) == pytest.approx(1.0, abs=0.1)
    assert np.mean(roughness) > 1.1


def test_shifted_skin_is_darker_than_medium_skin():
    means = {
        level: np.mean(
            [render_image(SkinPhantoms(**SMALL, level=level), index, with_lesion=False).pixels for index in range(20)]
        )
        for level in ("medium", "shifted")
    }
    assert means["shifted"] < 0.9 * means["medium"]
