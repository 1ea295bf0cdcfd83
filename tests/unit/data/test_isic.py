# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""ISIC 2016 as a datamodule."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from anomalib_patchgan.data import ISIC2016
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import read_photograph


@pytest.fixture(scope="module")
def datamodule(skin_tree, prepared):
    module = ISIC2016(skin_tree, cache_dir=prepared, working_size=96, patch_size=16)
    module.setup()
    return module


def groups_of(module):
    return [module.train_data, module.reference_data, module.val_data, module.test_data]


def test_the_organisers_test_images_are_the_test(datamodule, skin_tree):
    names = {path.stem for path in (skin_tree / "ISBI2016_ISIC_Part1_Test_Data").iterdir()}
    assert set(datamodule.test_data.samples["subject_id"]) == names


def test_no_image_is_in_two_groups(datamodule):
    subjects = [set(data.samples["subject_id"]) for data in groups_of(datamodule)]
    assert sum(map(len, subjects)) == len(set.union(*subjects)) == 12


def test_only_the_test_group_holds_abnormal_samples(datamodule):
    assert [set(data.samples["label_index"]) for data in groups_of(datamodule)] == [{0}, {0}, {0}, {0, 1}]


def test_a_patch_is_cut_from_its_photograph(datamodule, skin_tree):
    sample = datamodule.test_data.samples.iloc[5]
    path = skin_tree / "ISBI2016_ISIC_Part1_Test_Data" / f"{sample.subject_id}.jpg"
    rows, columns = slice(sample.top, sample.top + 16), slice(sample.left, sample.left + 16)
    expected = read_photograph(path, 96)[rows, columns].transpose(2, 0, 1) / 255
    np.testing.assert_allclose(datamodule.test_data[5].image.numpy(), expected, atol=1e-6)


def test_colour_constancy_makes_the_skin_of_every_photograph_grey_and_is_told(datamodule, skin_tree, prepared):
    constant = ISIC2016(skin_tree, cache_dir=prepared, working_size=96, patch_size=16, colour_constancy=True)
    constant.setup()
    assert constant.card()["protocol_parameters"]["colour_constancy"] is True
    assert datamodule.card()["protocol_parameters"]["colour_constancy"] is False
    assert constant.train_data.samples["sample_id"].tolist() == datamodule.train_data.samples["sample_id"].tolist()
    # Pictures that are shown of one must not be those of the other.
    assert not set(constant.test_data.samples["image_path"]) & set(datamodule.test_data.samples["image_path"])
    spread = []
    for module in (datamodule, constant):
        colours = np.stack([item.image.numpy().mean(axis=(1, 2)) for item in module.train_data])
        spread.append(np.ptp(colours / colours.mean(axis=1, keepdims=True), axis=1).mean())
    assert spread[1] < 0.2 * spread[0]


def test_the_lesion_fraction_is_what_the_mask_says(datamodule):
    for index, fraction in enumerate(datamodule.test_data.samples["lesion_fraction"]):
        assert datamodule.test_data[index].gt_mask.float().mean().item() == pytest.approx(fraction)


def test_a_patch_is_resized_to_the_image_size(skin_tree, prepared):
    module = ISIC2016(skin_tree, cache_dir=prepared, image_size=64)
    module.setup()
    assert next(iter(module.reference_dataloader())).image.shape[1:] == (3, 64, 64)
    assert module.card()["image_size"] == [64, 64]


def test_an_image_without_an_eligible_patch_leaves_the_others_as_they_are(tmp_path, skin_tree_writer):
    root = skin_tree_writer(tmp_path / "tree")
    mask = np.zeros((96, 128), dtype=np.uint8)
    mask[::4] = 255
    Image.fromarray(mask).save(root / "ISBI2016_ISIC_Part1_Training_GroundTruth" / "ISIC_0000003_Segmentation.png")
    module = ISIC2016(root, cache_dir=tmp_path / "cache", working_size=96, patch_size=16)
    module.setup()
    assert all("ISIC_0000003" not in set(data.samples["subject_id"]) for data in groups_of(module))
    assert module.train_data[0].image.shape == (3, 16, 16)
    assert module.train_data[0].gt_label.item() == 0


def test_the_cap_holds_for_each_image_and_label(skin_tree, prepared):
    module = ISIC2016(skin_tree, cache_dir=prepared, patch_size=16, patches_per_image=3)
    module.setup()
    for data in groups_of(module):
        assert data.samples.groupby(["subject_id", "label_index"]).size().max() == 3


def test_the_card_can_be_written_as_json(datamodule):
    card = json.loads(json.dumps(datamodule.card()))
    assert card["groups"]["test"]["subjects"] == 4
    assert sum(card["groups"][group]["subjects"] for group in ("train", "reference", "calibration")) == 8


class TestBadInput:
    """Each is one sentence that names the file, what was found and what was expected."""

    @staticmethod
    def error_of(root, **arguments):
        with pytest.raises(InputError) as caught:
            ISIC2016(root, cache_dir=root.parent / "cache", **arguments).setup()
        message = str(caught.value)
        assert "\n" not in message
        assert "found" in message
        assert "expected" in message
        return message

    def test_missing_root(self, tmp_path):
        assert f"{tmp_path / 'gone'}: found no such folder" in self.error_of(tmp_path / "gone")

    def test_empty_root(self, tmp_path):
        (tmp_path / "empty").mkdir()
        assert "found an empty folder" in self.error_of(tmp_path / "empty")

    def test_a_missing_folder(self, tmp_path, skin_tree_writer):
        root = skin_tree_writer(tmp_path / "tree", train=3, test=1)
        (root / "ISBI2016_ISIC_Part1_Test_GroundTruth").rename(tmp_path / "elsewhere")
        assert "without ISBI2016_ISIC_Part1_Test_GroundTruth" in self.error_of(root)

    def test_root_one_level_too_high(self, skin_tree):
        assert "one folder further down" in self.error_of(skin_tree.parent)

    def test_root_one_level_too_low(self, skin_tree):
        assert "inside the collection" in self.error_of(skin_tree / "ISBI2016_ISIC_Part1_Training_Data")

    def test_image_without_mask(self, tmp_path, skin_tree_writer):
        root = skin_tree_writer(tmp_path / "tree", train=5, test=1)
        (root / "ISBI2016_ISIC_Part1_Training_GroundTruth" / "ISIC_0000001_Segmentation.png").unlink()
        assert "ISIC_0000001.jpg: found an image without mask" in self.error_of(root)

    def test_mask_of_another_size(self, tmp_path, skin_tree_writer):
        root = skin_tree_writer(tmp_path / "tree", train=5, test=1)
        mask = root / "ISBI2016_ISIC_Part1_Training_GroundTruth" / "ISIC_0000001_Segmentation.png"
        Image.new("L", (10, 20)).save(mask)
        assert f"{mask}: found 20 x 10 pixels, expected 96 x 128" in self.error_of(root)

    @pytest.mark.parametrize("brightest", [0, 1])
    def test_mask_without_a_bright_pixel(self, tmp_path, skin_tree_writer, brightest):
        root = skin_tree_writer(tmp_path / "tree", train=5, test=1)
        mask = root / "ISBI2016_ISIC_Part1_Test_GroundTruth" / "ISIC_0000005_Segmentation.png"
        Image.fromarray((np.asarray(Image.open(mask)) > 0).astype(np.uint8) * brightest).save(mask)
        assert f"{mask}: found an empty mask" in self.error_of(root)

    def test_truncated_photograph(self, tmp_path, skin_tree_writer):
        root = skin_tree_writer(tmp_path / "tree", train=5, test=1)
        path = root / "ISBI2016_ISIC_Part1_Training_Data" / "ISIC_0000001.jpg"
        os.truncate(path, path.stat().st_size // 2)
        assert f"{path}: found a file that cannot be read" in self.error_of(root)

    def test_too_few_images(self, tmp_path, skin_tree_writer):
        root = skin_tree_writer(tmp_path / "tree", train=2, test=1)
        assert f"{root}: found 2 subjects, too few" in self.error_of(root)

    def test_no_image(self, tmp_path, skin_tree_writer):
        root = skin_tree_writer(tmp_path / "tree", train=3, test=1)
        (root / "ISBI2016_ISIC_Part1_Test_Data" / "ISIC_0000003.jpg").unlink()
        assert "found no image" in self.error_of(root)

    def test_unknown_protocol(self, skin_tree):
        assert "protocol: found 'slice', expected one of patch, diagnosis" in self.error_of(skin_tree, protocol="slice")

    def test_patches_larger_than_the_image(self, skin_tree):
        assert "found no eligible sample" in self.error_of(skin_tree, working_size=16)

    def test_fractions_without_a_calibration_group(self, skin_tree):
        assert "leave some images" in self.error_of(skin_tree, train_fraction=0.9)
