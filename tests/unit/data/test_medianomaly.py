# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The seven sets of MedIAnomaly, as phantoms in their layouts."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from anomalib_patchgan.data import MedIAnomaly
from anomalib_patchgan.errors import InputError

LISTED = ("RSNA", "VinCXR", "BrainTumor", "LAG")
ALL = (*LISTED, "ISIC2018_Task3", "Camelyon16", "BraTS2021")
TRAIN, NORMAL, ABNORMAL = 10, 3, 4


def save(path, seed, colour=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (24, 20, 3) if colour else (24, 20)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)).save(path)


def write_listed(folder):
    names = [f"img_{number}.png" for number in range(TRAIN + NORMAL + ABNORMAL)]
    for seed, name in enumerate(names):
        save(folder / "images" / name, seed)
    test = names[TRAIN:]
    listed = {"train": {"0": names[:TRAIN], "unlabeled": {}}, "test": {"0": test[:NORMAL], "1": test[NORMAL:]}}
    (folder / "data.json").write_text(json.dumps(listed))


def write_isic(folder):
    for half, labels in {"Training": [1] * TRAIN + [0] * 2, "Test": [1] * NORMAL + [0] * ABNORMAL}.items():
        name = f"ISIC2018_Task3_{half}"
        rows = []
        for number, nevus in enumerate(labels):
            image = f"ISIC_{half[:2]}{number:04d}"
            save(folder / f"{name}_Input" / f"{image}.jpg", hash_of(half, number), colour=True)
            rows.append([image, 1.0 - nevus, float(nevus)])
        table = folder / f"{name}_GroundTruth" / f"{name}_GroundTruth.csv"
        table.parent.mkdir()
        with table.open("w", newline="") as stream:
            csv.writer(stream).writerows([["image", "MEL", "NV"], *rows])


def write_camelyon(folder):
    for part, count in {"train/good": TRAIN, "test/good": NORMAL, "test/Ungood": ABNORMAL}.items():
        for number in range(count):
            save(folder / part / f"{part.replace('/', '_')}_{number}.png", hash_of(part, number), colour=True)


def write_brats(folder):
    for part, count in {"train": TRAIN, "test/normal": NORMAL, "test/tumor": ABNORMAL}.items():
        for number in range(count):
            subject = f"BraTS2021_{len(part)}{number // 2:04d}"
            save(folder / part / f"{subject}_flair_{60 + number}.png", hash_of(part, number))
            if part == "test/tumor":
                mask = np.zeros((24, 20), dtype=np.uint8)
                mask[5:10, 5:10] = 255
                path = folder / "test" / "annotation" / f"{subject}_seg_{60 + number}.png"
                path.parent.mkdir(exist_ok=True)
                Image.fromarray(mask).save(path)


def hash_of(part, number):
    return 1000 * len(part) + number


WRITERS = {
    **dict.fromkeys(LISTED, write_listed),
    "ISIC2018_Task3": write_isic,
    "Camelyon16": write_camelyon,
    "BraTS2021": write_brats,
}


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    root = tmp_path_factory.mktemp("medianomaly") / "MedIAnomaly-Data"
    made = {}
    for dataset in ALL:
        WRITERS[dataset](root / dataset)
        made[dataset] = MedIAnomaly(root, dataset, image_size=16, cache_dir=root.parent / "cache")
        made[dataset].setup()
    return made


@pytest.mark.parametrize("dataset", ALL)
def test_the_authors_test_is_the_test(modules, dataset):
    assert sorted(modules[dataset].test_data.samples["label_index"]) == [0] * NORMAL + [1] * ABNORMAL


@pytest.mark.parametrize("dataset", ALL)
def test_the_authors_training_images_are_dealt_to_the_other_groups(modules, dataset):
    module = modules[dataset]
    groups = [module.train_data, module.reference_data, module.val_data]
    assert sum(len(data) for data in groups) == TRAIN
    assert all(len(data) for data in groups)


@pytest.mark.parametrize("dataset", ALL)
def test_only_brats_has_masks(modules, dataset):
    has_masks = dataset == "BraTS2021"
    assert modules[dataset].card()["has_masks"] == has_masks
    assert (modules[dataset].test_data[0].gt_mask is not None) == has_masks


@pytest.mark.parametrize("dataset", ALL)
def test_the_card_can_be_written_as_json(modules, dataset):
    assert json.loads(json.dumps(modules[dataset].card()))["protocol_parameters"]["dataset"] == dataset


def test_a_mask_is_that_of_its_image(modules):
    data = modules["BraTS2021"].test_data
    for index, label in enumerate(data.samples["label_index"]):
        assert data[index].gt_mask.any() == bool(label)


def test_slices_of_a_patient_stay_together(modules):
    samples = modules["BraTS2021"].train_data.samples
    assert samples.groupby("subject_id").size().min() == 2


def test_the_folder_of_a_set_is_as_good_as_that_of_all(modules, tmp_path):
    root = modules["LAG"].root / "LAG"
    module = MedIAnomaly(root, "LAG", image_size=16, cache_dir=tmp_path)
    module.setup()
    assert len(module.test_data) == NORMAL + ABNORMAL


class TestBadInput:
    @staticmethod
    def error_of(root, dataset, tmp_path):
        with pytest.raises(InputError) as caught:
            MedIAnomaly(root, dataset, image_size=16, cache_dir=tmp_path / "cache").setup()
        assert "expected" in str(caught.value)
        return str(caught.value)

    def test_an_unknown_set(self, tmp_path):
        assert "dataset: found 'MNIST', expected one of RSNA" in self.error_of(tmp_path, "MNIST", tmp_path)

    def test_a_missing_set(self, tmp_path):
        assert "found no folder RSNA" in self.error_of(tmp_path, "RSNA", tmp_path)

    def test_a_missing_list(self, tmp_path):
        (tmp_path / "RSNA").mkdir()
        assert "data.json: found no such file" in self.error_of(tmp_path, "RSNA", tmp_path)

    def test_a_list_of_another_form(self, tmp_path):
        (tmp_path / "RSNA").mkdir()
        (tmp_path / "RSNA" / "data.json").write_text('{"train": []}')
        assert "data.json: found another form" in self.error_of(tmp_path, "RSNA", tmp_path)

    def test_an_image_in_both_parts(self, tmp_path):
        write_listed(tmp_path / "RSNA")
        path = tmp_path / "RSNA" / "data.json"
        listed = json.loads(path.read_text())
        listed["train"]["0"].append(listed["test"]["0"][0])
        path.write_text(json.dumps(listed))
        assert "found the image img_10 twice" in self.error_of(tmp_path, "RSNA", tmp_path)

    def test_a_missing_image(self, tmp_path):
        write_listed(tmp_path / "RSNA")
        (tmp_path / "RSNA" / "images" / "img_3.png").unlink()
        assert "img_3.png: found no such file" in self.error_of(tmp_path, "RSNA", tmp_path)

    def test_a_missing_mask(self, tmp_path):
        write_brats(tmp_path / "BraTS2021")
        next((tmp_path / "BraTS2021" / "test" / "annotation").iterdir()).unlink()
        assert "found an image without mask" in self.error_of(tmp_path, "BraTS2021", tmp_path)

    def test_a_patient_in_both_parts(self, tmp_path):
        write_brats(tmp_path / "BraTS2021")
        train = sorted((tmp_path / "BraTS2021" / "train").iterdir())[0]
        train.rename(train.with_name("BraTS2021_110000_flair_99.png"))
        assert "found the subject BraTS2021_110000 in both parts" in self.error_of(tmp_path, "BraTS2021", tmp_path)

    def test_an_empty_folder(self, tmp_path):
        write_camelyon(tmp_path / "Camelyon16")
        for path in (tmp_path / "Camelyon16" / "test" / "good").iterdir():
            path.unlink()
        assert "good: found no image" in self.error_of(tmp_path, "Camelyon16", tmp_path)
