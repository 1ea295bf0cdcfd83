# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""BraTS 2019 as a datamodule."""

import json
import os
import shutil

import nibabel
import numpy as np
import pytest
from PIL import Image

from anomalib_patchgan.data import BraTS2019, base
from anomalib_patchgan.data.brats_layout import LAYOUTS, find_subjects
from anomalib_patchgan.data.splits import GROUPS, split_sha256
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import read_volume

# The tiny trees have slices 4 mm apart and hold few of them.
SLICE = {"slice_spacing": 4.0, "position_tolerance": 0.1}
PATCH = {"protocol": "patch", "slice_spacing": 4.0, "patch_size": 8, "patches_per_subject": 10}


def datasets_of(datamodule):
    return {
        "train": datamodule.train_data,
        "reference": datamodule.reference_data,
        "calibration": datamodule.val_data,
        "test": datamodule.test_data,
    }


@pytest.fixture(scope="module", params=[SLICE, PATCH], ids=["slice", "patch"])
def datamodule(request, brain_tree, prepared):
    module = BraTS2019(brain_tree, cache_dir=prepared, **request.param)
    module.setup()
    return module


def test_only_the_test_group_holds_abnormal_samples(datamodule):
    labels = {group: set(data.samples["label_index"]) for group, data in datasets_of(datamodule).items()}
    assert labels == {"train": {0}, "reference": {0}, "calibration": {0}, "test": {0, 1}}


def test_no_subject_is_in_two_groups(datamodule):
    subjects = [set(data.samples["subject_id"]) for data in datasets_of(datamodule).values()]
    assert sum(map(len, subjects)) == len(set.union(*subjects)) == 12


def test_sample_ids_are_unique(datamodule):
    names = [name for data in datasets_of(datamodule).values() for name in data.samples["sample_id"]]
    assert len(names) == len(set(names))


def test_the_test_loader_keeps_the_order_of_the_sample_table(datamodule):
    loaded = [path for batch in datamodule.test_dataloader() for path in batch.image_path]
    assert loaded == datamodule.test_data.samples["image_path"].tolist()
    labels = [bool(label) for batch in datamodule.test_dataloader() for label in batch.gt_label]
    assert labels == datamodule.test_data.samples["label_index"].astype(bool).tolist()


def test_an_item_is_what_anomalib_expects(datamodule):
    for data in datasets_of(datamodule).values():
        item = data[0]
        assert item.image.shape == (3, *datamodule.image_size)
        assert 0 <= item.image.min() <= item.image.max() <= 1
        assert item.gt_mask.shape == datamodule.image_size


def test_the_mask_is_empty_exactly_in_normal_samples(datamodule):
    for index, label in enumerate(datamodule.test_data.samples["label_index"]):
        assert datamodule.test_data[index].gt_mask.any() == bool(label)


def test_the_lesion_fraction_is_what_the_segmentation_says(datamodule):
    for sample in datamodule.test_data.samples.to_dict("records"):
        image, mask = datamodule.test_data.reader.read(sample)
        assert image.shape[1:] == mask.shape == (sample["height"], sample["width"])
        assert mask.mean() == pytest.approx(sample["lesion_fraction"])


def test_a_preview_shows_the_sample(datamodule):
    item = datamodule.test_data[0]
    with Image.open(item.image_path) as picture:
        shown = np.asarray(picture, dtype=np.float32).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(shown, item.image.numpy(), atol=0.51 / 255)


def test_the_card_can_be_written_as_json_and_counts_what_the_tables_hold(datamodule):
    card = json.loads(json.dumps(datamodule.card()))
    assert list(card["groups"]) == list(GROUPS)
    for group, data in datasets_of(datamodule).items():
        assert card["groups"][group]["normal"] + card["groups"][group]["abnormal"] == len(data)
    subjects = {group: data.samples["subject_id"].unique().tolist() for group, data in datasets_of(datamodule).items()}
    assert card["split_sha256"] == split_sha256(subjects)
    assert card["phantom"] is False
    assert all(count > 0 for count in card["excluded"].values())


def test_an_image_is_the_scaled_slice_of_its_file(brain_tree, prepared):
    module = BraTS2019(brain_tree, cache_dir=prepared, image_size=(48, 40), field_of_view=240, **SLICE)
    module.setup()
    sample = module.test_data.samples.iloc[0]
    (path,) = brain_tree.glob(f"*/{sample.subject_id}/*_flair.nii.gz")
    volume = read_volume(path).data
    quartile = np.percentile(volume[volume != 0], 75)
    expected = np.clip(volume[sample.slice_index] / (2 * quartile), 0, 1)
    read, _ = module.test_data.reader.read(sample)
    rows, columns = slice(-sample.top, -sample.top + 48), slice(-sample.left, -sample.left + 40)
    np.testing.assert_allclose(read[0][rows, columns], expected, atol=1e-4)
    assert module.test_data[0].image.shape == (3, 48, 40)


def test_matched_test_slices_do_not_tell_the_label_by_brain_area(brain_tree, prepared):
    module = BraTS2019(brain_tree, cache_dir=prepared, **SLICE)
    module.setup()
    brain = np.array([(item.image[0] > 0).float().mean() for item in module.test_data])
    label = module.test_data.samples["label_index"].to_numpy().astype(bool)
    assert label.mean() == 0.5
    assert brain[label].mean() == pytest.approx(brain[~label].mean(), rel=0.1)


def test_only_the_split_seed_changes_the_split(brain_tree, prepared):
    cards = []
    for split_seed, global_seed in ((0, 1), (0, 2), (1, 1)):
        np.random.seed(global_seed)  # noqa: NPY002 - what another library might have done
        module = BraTS2019(brain_tree, cache_dir=prepared, split_seed=split_seed, **PATCH)
        module.setup()
        cards.append(module.card())
    assert cards[0] == cards[1]
    assert cards[0]["split_sha256"] != cards[2]["split_sha256"]


def test_three_modalities_become_the_three_channels(brain_tree, prepared):
    joined = BraTS2019(brain_tree, cache_dir=prepared, modality="flair, t1ce, t2", **SLICE)
    listed = BraTS2019(brain_tree, cache_dir=prepared, modality=["flair", "t1ce", "t2"], **SLICE)
    joined.setup()
    listed.setup()
    image = joined.test_data[0].image
    assert (image == listed.test_data[0].image).all()
    assert not (image[0] == image[1]).all()


def test_setup_refuses_groups_that_share_a_subject(brain_tree, prepared, monkeypatch):
    def leaking_split(*arguments):
        groups = split(*arguments)
        groups["test"].append(groups["train"][0])
        return groups

    split = base.split_subjects
    monkeypatch.setattr(base, "split_subjects", leaking_split)
    with pytest.raises(InputError, match="found in the groups train and test"):
        BraTS2019(brain_tree, cache_dir=prepared, **SLICE).setup()


def test_setup_refuses_a_data_set_that_was_tampered_with(brain_tree, prepared):
    module = BraTS2019(brain_tree, cache_dir=prepared, **SLICE)
    module.setup()
    module.val_data = module.train_data
    with pytest.raises(InputError, match="found in the groups train and calibration"):
        module.setup()


def test_a_second_setup_reads_no_volume(brain_tree, prepared, monkeypatch):
    BraTS2019(brain_tree, cache_dir=prepared, **SLICE).setup()

    def refuse(path):
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr("anomalib_patchgan.data.volumes.read_volume", refuse)
    module = BraTS2019(brain_tree, cache_dir=prepared, **SLICE)
    module.setup()
    assert module.test_data[0].image.max() > 0


def test_a_changed_volume_is_prepared_again(tmp_path, brain_tree_writer):
    root = brain_tree_writer(tmp_path / "tree")
    first = BraTS2019(root, cache_dir=tmp_path / "cache", **SLICE)
    first.setup()
    subject = first.test_data.samples["subject_id"].iloc[0]
    (path,) = root.glob(f"*/{subject}/*_flair.nii.gz")
    image = nibabel.load(path)
    voxels = np.asarray(image.dataobj)
    shutil.copy(path, tmp_path / "old.nii.gz")
    nibabel.save(nibabel.Nifti1Image(voxels.max() * (voxels > 0) - voxels, image.affine), path)
    second = BraTS2019(root, cache_dir=tmp_path / "cache", **SLICE)
    second.setup()
    assert not (first.test_data[0].image == second.test_data[0].image).all()
    assert first.test_data[0].image_path != second.test_data[0].image_path


def test_the_grade_is_taken_from_the_mapping(tmp_path, brain_tree_writer):
    root = brain_tree_writer(tmp_path / "tree", subjects=6)
    subjects = sorted(path.name for path in root.glob("*/*"))
    rows = [f"{'LGG' if index < 4 else 'HGG'},{subject}" for index, subject in enumerate(subjects)]
    (root / "name_mapping.csv").write_text("Grade,BraTS_2019_subject_ID\n" + "\n".join(rows) + "\n")
    grades = [subject.grade for subject in find_subjects(root, LAYOUTS[2019]).values()]
    assert grades == ["LGG"] * 4 + ["HGG"] * 2


def test_the_card_tells_phantoms_from_patients(tmp_path, brain_tree, prepared):
    root = tmp_path / "phantoms"
    shutil.copytree(brain_tree, root)
    (root / "phantoms.json").write_text(json.dumps({"parameters": {"seed": 3}, "subjects": []}))
    module = BraTS2019(root, cache_dir=prepared, **SLICE)
    module.setup()
    assert module.card()["phantom"] is True
    assert module.card()["phantom_parameters"] == {"seed": 3}


def test_uncompressed_volumes_are_read_too(tmp_path, brain_tree_writer):
    root = brain_tree_writer(tmp_path / "tree", subjects=8)
    for path in root.glob("*/*/*_flair.nii.gz"):
        nibabel.save(nibabel.load(path), path.with_suffix(""))
        path.unlink()
    BraTS2019(root, cache_dir=tmp_path / "cache", slice_spacing=4, position_tolerance=0.5, area_tolerance=0.5).setup()


def test_a_subject_without_an_eligible_slice_leaves_the_others_as_they_are(tmp_path, brain_tree_writer, subject_writer):
    root = brain_tree_writer(tmp_path / "tree")
    subject_writer(root, "HGG", "BraTS19_SMALL_1", 99, spacing=(1.0, 1.0, 1.0), modalities=("flair",))
    module = BraTS2019(root, cache_dir=tmp_path / "cache", **SLICE)
    module.setup()
    assert all("BraTS19_SMALL_1" not in set(data.samples["subject_id"]) for data in datasets_of(module).values())
    assert module.train_data[0].image.shape == (3, 128, 128)


class TestBadInput:
    """Each is one sentence that names the file, what was found and what was expected."""

    @staticmethod
    def error_of(root, **arguments):
        cache = root.parent / "cache"
        with pytest.raises(InputError) as caught:
            BraTS2019(root, cache_dir=cache, **{**SLICE, **arguments}).setup()
        assert not list(cache.glob("prepared/*/.*"))
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

    def test_empty_grades(self, tmp_path):
        (tmp_path / "root" / "HGG").mkdir(parents=True)
        assert "found no subject" in self.error_of(tmp_path / "root")

    def test_root_one_level_too_high(self, brain_tree):
        message = self.error_of(brain_tree.parent)
        assert "one folder further down" in message
        assert str(brain_tree) in message

    @pytest.mark.parametrize("below", ["HGG", "HGG/BraTS19_X_000_1"])
    def test_root_too_low(self, brain_tree, below):
        message = self.error_of(brain_tree / below)
        assert "inside the collection" in message
        assert message.endswith(f"{brain_tree}.")

    def test_subject_without_segmentation(self, tmp_path, brain_tree_writer):
        root = brain_tree_writer(tmp_path / "tree", subjects=6)
        (root / "HGG/BraTS19_X_001_1/BraTS19_X_001_1_seg.nii.gz").unlink()
        assert "BraTS19_X_001_1: found no segmentation" in self.error_of(root)

    def test_truncated_volume(self, tmp_path, brain_tree_writer):
        root = brain_tree_writer(tmp_path / "tree", subjects=6)
        path = root / "HGG/BraTS19_X_001_1/BraTS19_X_001_1_flair.nii.gz"
        os.truncate(path, path.stat().st_size // 2)
        assert f"{path}: found" in self.error_of(root)

    def test_mask_of_another_shape(self, tmp_path, brain_tree_writer):
        root = brain_tree_writer(tmp_path / "tree", subjects=6)
        path = root / "HGG/BraTS19_X_001_1/BraTS19_X_001_1_seg.nii.gz"
        nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6), dtype=np.int16), np.eye(4)), path)
        assert f"{path}: found 6 slices of 5 x 4, expected 30 slices of 48 x 40" in self.error_of(root)

    @pytest.mark.parametrize("modality", ["flair", "t1"])
    def test_background_that_is_not_zero(self, tmp_path, brain_tree_writer, modality):
        root = brain_tree_writer(tmp_path / "tree", subjects=6)
        path = root / f"HGG/BraTS19_X_001_1/BraTS19_X_001_1_{modality}.nii.gz"
        image = nibabel.load(path)
        voxels = image.get_fdata()
        # Standardised and written with the old header, as 16 bits with a scale that has no number for zero.
        standard = np.where(voxels > 0, (voxels - voxels[voxels > 0].mean()) / voxels[voxels > 0].std(), 0)
        nibabel.save(nibabel.Nifti1Image(standard, image.affine, image.header), path)
        assert f"{path}: found hardly any voxel of zero" in self.error_of(root, modality="flair,t1,t2")

    def test_empty_segmentation(self, tmp_path, brain_tree_writer):
        root = brain_tree_writer(tmp_path / "tree", subjects=6)
        path = root / "HGG/BraTS19_X_001_1/BraTS19_X_001_1_seg.nii.gz"
        affine = nibabel.load(path).affine
        nibabel.save(nibabel.Nifti1Image(np.zeros((40, 48, 30), dtype=np.int16), affine), path)
        assert f"{path}: found an empty segmentation, expected a tumour" in self.error_of(root)

    def test_empty_volume(self, tmp_path, brain_tree_writer):
        root = brain_tree_writer(tmp_path / "tree", subjects=6)
        path = root / "HGG/BraTS19_X_001_1/BraTS19_X_001_1_flair.nii.gz"
        affine = nibabel.load(path).affine
        nibabel.save(nibabel.Nifti1Image(np.zeros((40, 48, 30), dtype=np.int16), affine), path)
        assert "empty or of one intensity only" in self.error_of(root)

    def test_too_few_subjects(self, tmp_path, brain_tree_writer):
        root = brain_tree_writer(tmp_path / "tree", subjects=3)
        assert f"{root}: found 3 subjects, too few" in self.error_of(root)

    def test_no_eligible_sample(self, brain_tree):
        assert "found no eligible sample" in self.error_of(brain_tree, minimum_brain_area=1e9)

    def test_no_slice_with_brain(self, brain_tree):
        assert "found no eligible sample" in self.error_of(brain_tree, **{**PATCH, "slice_spacing": 500.0})

    def test_unknown_protocol(self, brain_tree):
        assert "protocol: found 'volume', expected one of slice, patch, subject" in self.error_of(
            brain_tree, protocol="volume"
        )

    @pytest.mark.parametrize(("modality", "words"), [("ct", "found 'ct'"), ("flair,t2", "found 2 names")])
    def test_wrong_modality(self, brain_tree, modality, words):
        assert words in self.error_of(brain_tree, modality=modality)

    def test_fractions_without_a_test_group(self, brain_tree):
        assert "leave some subjects for the test" in self.error_of(brain_tree, train_fraction=0.8)

    @pytest.mark.parametrize("argument", ["slice_spacing", "area_tolerance", "field_of_view"])
    def test_a_length_that_is_not_positive(self, brain_tree, argument):
        assert f"{argument}: found 0" in self.error_of(brain_tree, **{argument: 0.0})

    @pytest.mark.parametrize("argument", ["patch_size", "patches_per_subject"])
    def test_a_number_that_is_not_positive(self, brain_tree, argument):
        assert f"{argument}: found 0" in self.error_of(brain_tree, **{**PATCH, argument: 0})
