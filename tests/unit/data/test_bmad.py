# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""BMAD, as phantoms in the layouts that are about, with and without masks."""

import anomalib.data
import numpy as np
import pytest
from anomalib.data.datasets.image.bmad import make_bmad_dataset
from PIL import Image

from anomalib_patchgan.data import BMAD
from anomalib_patchgan.data.bmad import list_files
from anomalib_patchgan.errors import InputError

COUNTS = {"train/good": 12, "valid/good": 3, "valid/Ungood": 2, "test/good": 4, "test/Ungood": 5}


def write_category(root, category, deep, masks, names="{}"):
    """Write images in `good` and `Ungood`, or, if deep, in `img` below these."""
    seed = 0
    for part, count in COUNTS.items():
        for number in range(count):
            seed += 1
            folder = root / category / part / ("img" if deep else "")
            pixels = np.random.default_rng(seed).integers(0, 256, (20, 24)).astype(np.uint8)
            mask = np.zeros((20, 24), dtype=np.uint8)
            mask[5:10, 5:10] = 255
            name = names.format(f"{list(COUNTS).index(part)}{number // 2:03d}", number) + ".png"
            for target, content in [(folder, pixels), *([(folder.parent / "label", mask)] if masks else [])]:
                if target.name == "label" and not part.endswith("Ungood"):
                    continue
                target.mkdir(parents=True, exist_ok=True)
                Image.fromarray(content).save(target / name)
    return root


def module_of(root, category, **arguments):
    module = BMAD(root, category, image_size=16, cache_dir=root / "cache", **arguments)
    module.setup()
    return module


@pytest.fixture(scope="module", params=["masks", "no masks, deep", "no masks, flat"])
def collection(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("bmad")
    masks = request.param == "masks"
    category = "Liver" if masks else "Chest"
    write_category(root, category, deep="flat" not in request.param, masks=masks, names="a{1}")
    return module_of(root, category), masks


def test_the_authors_test_is_the_test(collection):
    assert sorted(collection[0].test_data.samples["label_index"]) == [0] * 4 + [1] * 5


def test_normal_validation_images_are_the_calibration(collection):
    assert list(collection[0].val_data.samples["label_index"]) == [0] * 3


def test_training_images_are_dealt_to_train_and_reference(collection):
    assert (len(collection[0].train_data), len(collection[0].reference_data)) == (9, 3)


def test_abnormal_validation_images_are_left_out_and_counted(collection):
    assert collection[0].card()["excluded"] == {"abnormal image of the authors' validation": 2}


def test_a_category_without_masks_is_not_evaluated_by_pixel(collection):
    module, masks = collection
    assert module.card()["has_masks"] == masks
    assert {module.test_data[index].gt_mask is not None for index in range(9)} == {masks}


def test_a_mask_is_that_of_an_abnormal_image(collection):
    module, masks = collection
    if masks:
        for index, label in enumerate(module.test_data.samples["label_index"]):
            assert module.test_data[index].gt_mask.any() == bool(label)


def test_the_batches_can_be_collated(collection):
    assert next(iter(collection[0].test_dataloader())).image.shape == (9, 3, 16, 16)


def test_slices_of_a_brain_stay_with_their_patient(tmp_path):
    module = module_of(write_category(tmp_path, "Brain", deep=True, masks=True, names="{}_{}"), "Brain")
    assert module.train_data.samples.groupby("subject_id").size().min() == 2


def test_anomalib_itself_still_fails_without_masks(tmp_path):
    """The defect that is worked around; once this test fails, the workaround may go."""
    write_category(tmp_path, "Chest", deep=True, masks=False)
    datamodule = anomalib.data.BMAD(tmp_path, "Chest", num_workers=0)
    datamodule.setup()
    with pytest.raises((AttributeError, TypeError)):
        next(iter(datamodule.test_dataloader()))


def test_the_listing_is_anomalibs_where_that_is_right(tmp_path):
    write_category(tmp_path, "Liver", deep=True, masks=True)
    columns = ["split", "label", "label_index", "image_path"]
    expected = make_bmad_dataset(tmp_path / "Liver").sort_values("image_path", ignore_index=True)
    assert list_files(tmp_path / "Liver")[columns].equals(expected[columns])


class TestBadInput:
    @staticmethod
    def error_of(root, category="Chest", **arguments):
        with pytest.raises(InputError) as caught:
            module_of(root, category, **arguments)
        message = str(caught.value)
        assert "\n" not in message
        assert "expected" in message
        return message

    def test_an_unknown_category(self, tmp_path):
        assert "category: found 'Foot'" in self.error_of(tmp_path, "Foot")

    def test_a_missing_category(self, tmp_path):
        assert "Chest: found no such folder" in self.error_of(tmp_path)

    def test_an_empty_category(self, tmp_path):
        (tmp_path / "Chest").mkdir()
        assert "Chest: found" in self.error_of(tmp_path)

    def test_masks_in_a_folder_of_another_name(self, tmp_path):
        write_category(tmp_path, "Liver", deep=True, masks=True)
        folder = tmp_path / "Liver" / "test" / "Ungood"
        (folder / "label").rename(folder / "anomaly_mask")
        assert "found files that anomalib cannot list" in self.error_of(tmp_path, "Liver")

    def test_a_missing_mask(self, tmp_path):
        write_category(tmp_path, "Liver", deep=True, masks=True, names="a{1}")
        (tmp_path / "Liver" / "test" / "Ungood" / "label" / "a1.png").unlink()
        assert "found files that anomalib cannot list" in self.error_of(tmp_path, "Liver")

    def test_a_share_of_nothing(self, tmp_path):
        assert "reference_fraction: found 0" in self.error_of(tmp_path, reference_fraction=0)
