# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""How files become images of a model, and how maps come back to their pixels."""

import json

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import resize

from anomalib_patchgan.data.volumes import Window
from anomalib_patchgan.deploy.preparation import (
    MAP_CODES,
    PhotographPreparation,
    PreparedInput,
    RasterPreparation,
    Tile,
    VolumePreparation,
    preparation_from_plain,
    preparation_of_card,
    preparation_to_plain,
)
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import balance_colours, skin_balance


@pytest.mark.parametrize(
    "preparation",
    [
        RasterPreparation((32, 48), (-100.0, 200.0)),
        RasterPreparation((32, 48), aliased=True),
        PhotographPreparation((32, 32), 256, 32),
        VolumePreparation((64, 64), ("flair", "t1", "t2"), 192.0, 6000.0, None, 0.1),
    ],
)
def test_a_preparation_survives_the_metadata(preparation):
    plain = json.loads(json.dumps(preparation_to_plain(preparation)))
    assert preparation_from_plain(plain) == preparation


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"kind": "video", "image_size": [8, 8]}, "preparation: found the kind 'video', expected one of raster"),
        ({"kind": "raster", "image_size": [8, 8], "speed": 1}, "preparation: found fields not known here"),
    ],
)
def test_a_preparation_of_another_version_is_named(plain, message):
    with pytest.raises(InputError, match=message):
        preparation_from_plain(plain)


@pytest.mark.parametrize(
    ("protocol", "parameters", "expected"),
    [
        (
            "slice",
            {"modality": ["flair"], "field_of_view": 240.0, "minimum_brain_area": 6000.0, "slice_spacing": 2.0},
            VolumePreparation((64, 64), ("flair",), 240.0, 6000.0),
        ),
        (
            "patch",
            {"modality": ["t1"], "field_of_view": 240.0, "patch_size": 16, "maximum_background_fraction": 0.01},
            VolumePreparation((64, 64), ("t1",), 240.0, 0.0, 16, 0.01),
        ),
        (
            "subject",
            {"field_of_view": 200.0, "minimum_brain_area": 10.0, "intensity_range": [-160, 240]},
            VolumePreparation((64, 64), ("volume",), 200.0, 10.0, None, 1.0, (-160.0, 240.0)),
        ),
        ("patch", {"working_size": 256, "patch_size": 32}, PhotographPreparation((64, 64), 256, 32)),
        ("diagnosis", {"working_size": 256}, PhotographPreparation((64, 64), 256, None)),
        (
            "patch",
            {"working_size": 256, "patch_size": 32, "colour_constancy": True},
            PhotographPreparation((64, 64), 256, 32, colour_constancy=True),
        ),
        ("diagnosis", {"intensity_range": [0, 80]}, RasterPreparation((64, 64), (0.0, 80.0))),
        ("diagnosis", {}, RasterPreparation((64, 64))),
    ],
)
def test_the_card_of_a_datamodule_tells_the_preparation(protocol, parameters, expected):
    card = {"protocol": protocol, "protocol_parameters": parameters, "image_size": [64, 64]}
    assert preparation_of_card(card) == expected


@pytest.mark.parametrize("size", [(40, 70), (100, 90), (31, 120), (57, 83)])
def test_without_antialiasing_a_picture_is_resized_as_torchvision_does(tmp_path, size):
    noise = np.random.default_rng(0).integers(0, 256, (57, 83), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    prepared = RasterPreparation(size, aliased=True).open([tmp_path / "noise.png"])
    expected = resize(torch.from_numpy(noise)[None] / 255, list(size), antialias=False).numpy()
    np.testing.assert_allclose(prepared.read(prepared.tiles[0]), expected, atol=2e-5)


def test_maps_of_windows_beyond_the_slice_are_cut_and_the_higher_of_two_stays():
    tiles = [Tile(1, Window(-2, -1, 6, 6)), Tile(1, Window(2, 2, 6, 6))]
    prepared = PreparedInput(tiles, (2, 5, 7), read=None, picture=None)
    maps = [np.full((6, 6), 0.25, np.float32), np.full((6, 6), 0.75, np.float32)]
    codes = prepared.assemble(maps)
    low, high = round(0.25 * MAP_CODES), round(0.75 * MAP_CODES)
    expected = np.zeros((5, 7), dtype=np.uint16)
    expected[:4, :5] = low
    expected[2:, 2:] = high
    np.testing.assert_array_equal(codes[1], expected)
    assert not codes[0].any()


def test_a_pixel_at_the_threshold_has_a_code_that_is_not_above_it():
    prepared = PreparedInput([Tile(0, Window(0, 0, 1, 3))], (1, 1, 3), read=None, picture=None)
    values = np.array([[np.nextafter(np.float32(0.5), np.float32(0)), 0.5, np.nextafter(np.float32(0.5), 1)]])
    codes = prepared.assemble([values.astype(np.float32)])
    np.testing.assert_array_equal(codes[0] > 0.5 * MAP_CODES, [[False, False, True]])


def test_patches_cover_a_photograph_to_its_ends(tmp_path):
    photograph = np.random.default_rng(0).integers(0, 255, (50, 90, 3)).astype(np.uint8)
    Image.fromarray(photograph).save(tmp_path / "skin.png")
    prepared = PhotographPreparation((16, 16), 50, 16).open([tmp_path / "skin.png"])
    assert prepared.shape == (1, 50, 90)
    assert len(prepared.tiles) == 4 * 6
    covered = prepared.assemble([np.ones((16, 16), np.float32)] * len(prepared.tiles))
    assert (covered == MAP_CODES).all()
    images = list(prepared.images((16, 16)))
    np.testing.assert_allclose(images[0], photograph[:16, :16].transpose(2, 0, 1) / np.float32(255), rtol=1e-6)
    np.testing.assert_allclose(images[-1], photograph[-16:, -16:].transpose(2, 0, 1) / np.float32(255), rtol=1e-6)


def test_patches_of_less_than_a_pixel_have_a_place_in_the_map(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 20, 3)).astype(np.uint8)).save(tmp_path / "skin.png")
    prepared = PhotographPreparation((16, 16), 512, 15).open([tmp_path / "skin.png"])
    covered = prepared.assemble([np.ones((16, 16), np.float32)] * len(prepared.tiles))
    assert (covered == MAP_CODES).all()


def test_colours_of_patches_are_balanced_by_the_whole_photograph_and_its_picture_is_as_it_was(tmp_path):
    photograph = np.random.default_rng(0).integers(100, 140, (48, 64, 3)).astype(np.uint8)
    photograph[..., 2] //= 2
    photograph[16:32, 16:32] = (40, 20, 60)
    Image.fromarray(photograph).save(tmp_path / "skin.png")
    prepared = PhotographPreparation((16, 16), 48, 16, colour_constancy=True).open([tmp_path / "skin.png"])
    images = dict(
        zip(((tile.window.top, tile.window.left) for tile in prepared.tiles), prepared.images((16, 16)), strict=True)
    )
    expected = photograph[16:32, 16:32].transpose(2, 0, 1).astype(np.float32) / 255
    np.testing.assert_array_equal(images[16, 16], balance_colours(expected, skin_balance(photograph)))
    assert images[0, 0].mean(axis=(1, 2)) == pytest.approx([images[0, 0].mean()] * 3, rel=0.02)
    np.testing.assert_allclose(prepared.picture(0), photograph.transpose(2, 0, 1) / 255, atol=1e-3)


def test_a_photograph_of_sixteen_bits_is_refused(tmp_path):
    Image.fromarray(np.full((40, 40), 900, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(InputError, match=r"deep\.png: found pixels of the kind I;16, expected 8 bits a channel"):
        PhotographPreparation((16, 16), 32).open([tmp_path / "deep.png"])


def test_a_photograph_smaller_than_training_takes_is_refused(tmp_path):
    Image.fromarray(np.zeros((40, 15, 3), np.uint8)).save(tmp_path / "tiny.png")
    with pytest.raises(InputError, match=r"tiny\.png: found 40 x 15 pixels, expected 16 or more a side"):
        PhotographPreparation((32, 32), 256, 32).open([tmp_path / "tiny.png"])


def write_volume(path, voxels):
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([2.0, 2.0, 3.0, 1.0])), path)


@pytest.fixture
def body():
    voxels = np.zeros((20, 24, 10), dtype=np.int16)
    voxels[4:16, 4:20, 2:8] = np.random.default_rng(0).integers(100, 200, (12, 16, 6))
    voxels[4:6, 4:6, 8] = 150
    return voxels


def test_slices_with_too_little_tissue_are_not_scored(tmp_path, body):
    write_volume(tmp_path / "a_flair.nii", body)
    prepared = VolumePreparation((16, 16), ("flair",), 40.0, 100.0).open([tmp_path / "a_flair.nii"])
    assert [tile.slice_index for tile in prepared.tiles] == [2, 3, 4, 5, 6, 7]
    everything = VolumePreparation((16, 16), ("flair",), 40.0, 0.0).open([tmp_path / "a_flair.nii"])
    assert [tile.slice_index for tile in everything.tiles] == [2, 3, 4, 5, 6, 7, 8]
    with pytest.raises(InputError, match=r"found no slice with 1e\+06 mm2 of tissue"):
        VolumePreparation((16, 16), ("flair",), 40.0, 1e6).open([tmp_path / "a_flair.nii"])


def test_patches_with_too_much_background_are_not_scored(tmp_path, body):
    write_volume(tmp_path / "a_flair.nii", body)
    prepared = VolumePreparation((8, 8), ("flair",), 48.0, 0.0, 8, 0.2).open([tmp_path / "a_flair.nii"])
    window = {tile.window for tile in prepared.tiles}
    assert 0 < len(window) < 9
    for tile in prepared.tiles:
        assert np.mean(prepared.read(tile) > 0) > 0.7


def test_a_volume_without_a_background_of_zero_is_refused_as_in_training(tmp_path, body):
    write_volume(tmp_path / "a.nii", body + 1)
    for modality in ("volume", "flair"):
        with pytest.raises(InputError, match=r"a\.nii: found hardly any voxel of zero, expected a background of zero"):
            VolumePreparation((16, 16), (modality,), 40.0, 100.0).open([tmp_path / "a.nii"])
    declared = VolumePreparation((16, 16), ("volume",), 40.0, 100.0, None, 1.0, (0.0, 200.0))
    assert declared.open([tmp_path / "a.nii"]).tiles


def test_three_modalities_make_three_channels_on_one_grid(tmp_path, body):
    for name, factor in (("flair", 1), ("t1", 2), ("t2", 3)):
        write_volume(tmp_path / f"a_{name}.nii", (body * factor).astype(np.int16))
    files = [tmp_path / f"a_{name}.nii" for name in ("flair", "t1", "t2")]
    preparation = VolumePreparation((16, 16), ("flair", "t1", "t2"), 40.0, 100.0)
    image = next(iter(preparation.open(files).images((16, 16))))
    assert image.shape == (3, 16, 16)
    # Each is scaled by its own tissue, so that they are alike again.
    np.testing.assert_allclose(image[0], image[1], atol=1e-3)
    with pytest.raises(InputError, match="found 1 volumes, expected 3, flair, t1, t2"):
        preparation.open(files[:1])
    write_volume(tmp_path / "a_t2.nii", body[:, :, :-1])
    with pytest.raises(InputError, match=r"a_t2\.nii: found 9 slices of 24 x 20, expected 10 slices"):
        preparation.open(files)
    nibabel.save(nibabel.Nifti1Image(body, np.diag([-2.0, 2.0, 3.0, 1.0])), tmp_path / "a_t2.nii")
    with pytest.raises(InputError, match=r"a_t2\.nii: found a volume whose centre lies at \(-19"):
        preparation.open(files)
