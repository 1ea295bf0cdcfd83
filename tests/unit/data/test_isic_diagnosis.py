# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""ISIC 2016, part 3: benign against malignant, without masks."""

import json
import shutil

import numpy as np
import pytest
from anomalib.engine import Engine
from anomalib.models import Padim
from PIL import Image
from torchvision.transforms.v2 import RandomHorizontalFlip

from anomalib_patchgan.data import ISIC2016
from anomalib_patchgan.data.isic_layout import read_diagnoses
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import read_photograph, resize_image


@pytest.fixture(scope="module")
def tree(tmp_path_factory, diagnosis_tree_writer):
    return diagnosis_tree_writer(tmp_path_factory.mktemp("diagnosis") / "tree")


@pytest.fixture(scope="module")
def datamodule(tree, prepared):
    module = ISIC2016(tree, protocol="diagnosis", working_size=48, image_size=(40, 32), cache_dir=prepared)
    module.setup()
    return module


def test_the_organisers_halves_are_kept(datamodule):
    split = datamodule.card()["split"]
    assert split["test"] == [f"ISIC_{number:07d}" for number in range(12, 18)]
    assert sum(len(names) for names in split.values()) == 18


def test_normal_is_benign_and_only_the_test_holds_malignant_images(datamodule):
    labels = datamodule.test_data.samples.set_index("subject_id")["label_index"]
    assert labels.to_dict() == {f"ISIC_{number:07d}": int(number % 3 == 2) for number in range(12, 18)}
    for data in (datamodule.train_data, datamodule.reference_data, datamodule.val_data):
        assert set(data.samples["label_index"]) == {0}
    assert datamodule.card()["excluded"] == {"abnormal sample outside the test group": 4}


def test_a_sample_is_the_whole_photograph_at_the_image_size(datamodule, tree):
    item = datamodule.test_data[0]
    photograph = read_photograph(tree / "ISBI2016_ISIC_Part3_Test_Data" / "ISIC_0000012.jpg", 48).astype(np.float32)
    expected = np.stack([resize_image(photograph[..., channel], (40, 32)) for channel in range(3)]) / 255
    np.testing.assert_allclose(item.image.numpy(), expected, atol=1e-5)


def test_the_default_size_is_128(tree):
    assert ISIC2016(tree, protocol="diagnosis").image_size == (128, 128)


def test_there_is_no_mask_rather_than_an_empty_one(datamodule):
    assert datamodule.test_data[0].gt_mask is None
    assert next(iter(datamodule.test_dataloader())).gt_mask is None
    assert datamodule.test_data.samples["lesion_fraction"].isna().all()
    card = json.loads(json.dumps(datamodule.card()))
    assert card["has_masks"] is False
    assert card["normal_means"] == "A whole image of a lesion that is benign."


def test_training_images_are_augmented_without_a_mask(tree, prepared):
    module = ISIC2016(
        tree,
        protocol="diagnosis",
        working_size=48,
        image_size=32,
        cache_dir=prepared,
        train_augmentations=RandomHorizontalFlip(p=1.0),
    )
    module.setup()
    augmented, plain = module.train_data[0], module.reference_data
    plain.samples, plain.augmentations = module.train_data.samples, None
    assert (augmented.image.flip(-1) == plain[0].image).all()


@pytest.mark.slow
def test_anomalib_evaluates_images_and_no_pixels(datamodule, tmp_path):
    engine = Engine(default_root_dir=tmp_path, accelerator="cpu", devices=1, logger=False)
    engine.fit(Padim(pre_trained=False), datamodule=datamodule)
    (metrics,) = engine.test(engine.model, datamodule=datamodule)
    assert "image_AUROC" in metrics
    assert not [name for name in metrics if name.startswith("pixel")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,benign\nb,malignant\n", {"a": False, "b": True}),
        ("a,0.0\r\nb,1.0\r\n", {"a": False, "b": True}),
        ("\ufeffa,0\n\nb,1", {"a": False, "b": True}),
    ],
)
def test_labels_are_words_or_numbers_in_either_file(tmp_path, text, expected):
    (tmp_path / "truth.csv").write_text(text, encoding="utf-8")
    assert read_diagnoses(tmp_path / "truth.csv") == expected


class TestBadInput:
    """Each is one sentence that names the file, what was found and what was expected."""

    @pytest.fixture
    def copy(self, tree, tmp_path):
        return shutil.copytree(tree, tmp_path / "tree")

    @staticmethod
    def error_of(root, **arguments):
        with pytest.raises(InputError) as caught:
            ISIC2016(root, cache_dir=root.parent / "cache", **{"protocol": "diagnosis", **arguments}).setup()
        message = str(caught.value)
        assert "\n" not in message
        assert "found" in message
        assert "expected" in message
        return message

    @staticmethod
    def append(root, half, row):
        with (root / f"ISBI2016_ISIC_Part3_{half}_GroundTruth.csv").open("a", encoding="utf-8") as stream:
            stream.write(row + "\n")

    def test_the_other_part(self, copy):
        assert "a folder without ISBI2016_ISIC_Part1_Training_Data" in self.error_of(copy, protocol="patch")

    def test_missing_labels(self, copy):
        (copy / "ISBI2016_ISIC_Part3_Test_GroundTruth.csv").unlink()
        assert "a folder without ISBI2016_ISIC_Part3_Test_GroundTruth.csv" in self.error_of(copy)

    @pytest.mark.parametrize("row", ["ISIC_1,perhaps", "ISIC_1,0.5", "ISIC_1", "image,label"])
    def test_a_row_that_is_no_label(self, copy, row):
        self.append(copy, "Test", row)
        assert f"found the row {row!r}" in self.error_of(copy)

    def test_an_image_with_two_labels(self, copy):
        self.append(copy, "Training", "ISIC_0000000,malignant")
        assert "ISIC_0000000 both as benign and as malignant" in self.error_of(copy)

    def test_an_image_listed_in_two_splits(self, copy):
        self.append(copy, "Test", "ISIC_0000000,0.0")
        assert "ISIC_0000000.jpg: found the image in both halves" in self.error_of(copy)

    def test_the_same_image_in_two_splits_under_two_names(self, copy):
        data = copy / "ISBI2016_ISIC_Part3_Test_Data"
        shutil.copy(copy / "ISBI2016_ISIC_Part3_Training_Data/ISIC_0000000.jpg", data / "ISIC_0000012.jpg")
        assert "found the same image as" in self.error_of(copy)

    def test_a_label_without_image(self, copy):
        self.append(copy, "Training", "ISIC_0000999,benign")
        assert "ISIC_0000999.jpg: found no such file" in self.error_of(copy)

    def test_an_image_without_label(self, copy):
        path = copy / "ISBI2016_ISIC_Part3_Test_Data"
        shutil.copy(path / "ISIC_0000012.jpg", path / "ISIC_0000999.jpg")
        assert "ISIC_0000999.jpg: found an image without label" in self.error_of(copy)

    def test_a_photograph_of_one_pixel(self, copy):
        path = copy / "ISBI2016_ISIC_Part3_Training_Data" / "ISIC_0000001.jpg"
        Image.new("RGB", (1, 1)).save(path)
        assert f"{path}: found 1 x 1 pixels, expected 16 or more a side" in self.error_of(copy)


def test_photographs_of_any_shape_are_used(tmp_path, diagnosis_tree_writer):
    root = diagnosis_tree_writer(tmp_path / "tree")
    noise = np.random.default_rng(9).integers(0, 255, (16, 100, 3)).astype(np.uint8)
    for name, size in (("ISIC_0000012", (10_000, 400)), ("ISIC_0000013", (60, 300))):
        Image.fromarray(noise).resize(size).save(root / "ISBI2016_ISIC_Part3_Test_Data" / f"{name}.jpg")
    module = ISIC2016(root, protocol="diagnosis", working_size=48, image_size=32, cache_dir=tmp_path / "cache")
    module.setup()
    assert [item.image.shape for item in module.test_data] == [(3, 32, 32)] * 6
