# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The trees of the years, and the protocol `subject` with its healthy cohort."""

import json
import shutil

import nibabel
import numpy as np
import pytest

from anomalib_patchgan.data import BraTS2018, BraTS2019, BraTS2020, BraTS2021, preparation
from anomalib_patchgan.data.brats_layout import LAYOUTS, find_subjects
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import read_volume, read_volume_header

SLICE = {"slice_spacing": 4.0, "position_tolerance": 0.2, "area_tolerance": 0.2}
SUBJECT = {**SLICE, "protocol": "subject"}


def empty_tree(root, *folders):
    for folder in folders:
        (root / folder).mkdir(parents=True)
    return root


def set_up(module):
    module.setup()
    return module


def sentence_of(module) -> str:
    with pytest.raises(InputError) as caught:
        module.setup()
    message = str(caught.value)
    assert "\n" not in message
    assert "found" in message
    assert "expected" in message
    return message


class TestLayouts:
    def test_2018_has_folders_of_grades(self, tmp_path):
        root = empty_tree(tmp_path / "r", "HGG/Brats18_A_1", "LGG/Brats18_B_1")
        assert [folder.grade for folder in find_subjects(root, LAYOUTS[2018]).values()] == ["HGG", "LGG"]

    def test_2020_is_flat_and_takes_grades_from_the_mapping(self, tmp_path):
        root = empty_tree(tmp_path / "r", "BraTS20_Training_001", "BraTS20_Training_002", "something else")
        (root / "name_mapping.csv").write_text(
            "Grade,BraTS_2019_subject_ID,BraTS_2020_subject_ID\nHGG,NA,BraTS20_Training_001\n"
            "LGG,NA,BraTS20_Training_002\nHGG,NA,NA\nLGG,NA,NA\n"
        )
        subjects = find_subjects(root, LAYOUTS[2020])
        assert {name: folder.grade for name, folder in subjects.items()} == {
            "BraTS20_Training_001": "HGG",
            "BraTS20_Training_002": "LGG",
        }

    @pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
    def test_2020_has_one_irregular_name_of_a_mask(self, tmp_path, ending):
        root = empty_tree(tmp_path / "r", "BraTS20_Training_355")
        path = root / "BraTS20_Training_355" / f"W39_1998.09.19_Segm{ending}"
        path.touch()
        assert find_subjects(root, LAYOUTS[2020])["BraTS20_Training_355"].segmentation() == path

    def test_the_irregular_name_is_taken_of_that_subject_only(self, tmp_path):
        root = empty_tree(tmp_path / "r", "BraTS20_Training_354")
        (root / "BraTS20_Training_354" / "W39_1998.09.19_Segm.nii").touch()
        with pytest.raises(InputError, match="found no segmentation"):
            find_subjects(root, LAYOUTS[2020])["BraTS20_Training_354"].segmentation()

    def test_2021_is_flat_and_has_no_grade(self, tmp_path):
        root = empty_tree(tmp_path / "r", "BraTS2021_00000", "BraTS2021_00002")
        assert {folder.grade for folder in find_subjects(root, LAYOUTS[2021]).values()} == {"ungraded"}

    @pytest.mark.parametrize(
        ("subject", "year"),
        [
            ("HGG/Brats18_A_1", 2018),
            ("HGG/BraTS19_A_1", 2019),
            ("BraTS20_Training_001", 2020),
            ("BraTS2021_00000", 2021),
        ],
    )
    def test_the_tree_of_another_year_is_named(self, tmp_path, subject, year):
        root = empty_tree(tmp_path / "r", subject)
        for other in set(LAYOUTS) - {year}:
            with pytest.raises(InputError, match=rf"of BraTS {year}, expected .* anomalib_patchgan\.data\.BraTS{year}"):
                find_subjects(root, LAYOUTS[other])

    def test_a_flat_tree_one_folder_further_down_is_pointed_at(self, tmp_path):
        empty_tree(tmp_path / "r" / "inner", "BraTS2021_00000")
        with pytest.raises(InputError, match="one folder further down"):
            find_subjects(tmp_path / "r", LAYOUTS[2021])

    def test_a_subject_under_both_grades_is_refused(self, tmp_path):
        root = empty_tree(tmp_path / "r", "HGG/BraTS19_A_1", "LGG/BraTS19_A_1")
        with pytest.raises(InputError, match="BraTS19_A_1: found the subject under both HGG and LGG"):
            find_subjects(root, LAYOUTS[2019])

    def test_a_subject_with_two_grades_in_the_mapping_is_refused(self, tmp_path):
        root = empty_tree(tmp_path / "r", "HGG/BraTS19_A_1")
        (root / "name_mapping.csv").write_text("Grade,BraTS_2019_subject_ID\nHGG,BraTS19_A_1\nLGG,BraTS19_A_1\n")
        with pytest.raises(InputError, match="BraTS19_A_1 as HGG and as LGG"):
            find_subjects(root, LAYOUTS[2019])


@pytest.mark.parametrize(
    ("datamodule", "prefix"), [(BraTS2020, "BraTS20_Training_"), (BraTS2021, "BraTS2021_00")], ids=["2020", "2021"]
)
def test_a_flat_tree_becomes_four_groups(tmp_path, flat_tree_writer, datamodule, prefix):
    root = flat_tree_writer(tmp_path / "tree", prefix, subjects=8)
    card = json.loads(json.dumps(set_up(datamodule(root, cache_dir=tmp_path / "cache", **SLICE)).card()))
    assert sum(group["subjects"] for group in card["groups"].values()) == 8
    assert card["name"] == datamodule.__name__
    assert card["protocol_parameters"]["grades"] == {"ungraded": 8}


def test_names_with_spaces_quotes_and_other_alphabets_are_read(tmp_path, subject_writer):
    names = ["one two", 'it\'s "quoted"', "größe", "脑", "a&b;c", "[x]*", "%41", "-rf"]
    for number, name in enumerate(names):
        subject_writer(tmp_path / "a tree's", "HGG", name, number, modalities=("flair",))
    module = set_up(BraTS2018(tmp_path / "a tree's", cache_dir=tmp_path / "cache", **SLICE))
    subjects = {subject for group in module.card()["split"].values() for subject in group}
    assert subjects == set(names)
    assert all(item.image.max() > 0 for item in module.test_data)


class TestLinks:
    def test_a_link_out_of_the_tree_is_followed(self, tmp_path, flat_tree_writer):
        root = flat_tree_writer(tmp_path / "tree", "BraTS2021_", subjects=6)
        (root / "BraTS2021_003").rename(tmp_path / "elsewhere")
        (root / "BraTS2021_003").symlink_to(tmp_path / "elsewhere")
        card = set_up(BraTS2021(root, cache_dir=tmp_path / "cache", **SLICE)).card()
        assert "BraTS2021_003" in {subject for group in card["split"].values() for subject in group}

    def test_a_link_to_another_subjects_volume_is_a_duplicate(self, tmp_path, flat_tree_writer):
        root = flat_tree_writer(tmp_path / "tree", "BraTS2021_", subjects=6)
        split = set_up(BraTS2021(root, cache_dir=tmp_path / "cache", **SLICE)).card()["split"]
        copied, original = split["train"][0], split["test"][0]
        for kind in ("flair", "seg"):
            path = root / copied / f"{copied}_{kind}.nii.gz"
            path.unlink()
            path.symlink_to(root / original / f"{original}_{kind}.nii.gz")
        assert "found the same image as" in sentence_of(BraTS2021(root, cache_dir=tmp_path / "cache", **SLICE))

    def test_a_link_that_leads_nowhere_is_not_passed_over(self, tmp_path, flat_tree_writer):
        root = flat_tree_writer(tmp_path / "tree", "BraTS2021_", subjects=6)
        (root / "BraTS2021_999").symlink_to(tmp_path / "gone")
        message = sentence_of(BraTS2021(root, cache_dir=tmp_path / "cache", **SLICE))
        assert "BraTS2021_999: found no segmentation" in message


class TestVolumesOfASubject:
    @pytest.fixture
    def tree(self, tmp_path, flat_tree_writer):
        return flat_tree_writer(tmp_path / "tree", "BraTS2021_", subjects=6)

    @staticmethod
    def change(tree, kind, change):
        path = tree / "BraTS2021_001" / f"BraTS2021_001_{kind}.nii.gz"
        image = nibabel.load(path)
        nibabel.save(change(np.asarray(image.dataobj), image.affine), path)
        return path

    def error_of(self, tree):
        return sentence_of(BraTS2021(tree, cache_dir=tree.parent / "cache", **SLICE))

    @pytest.mark.parametrize(("value", "text"), [(3, "3"), (7, "7"), (-1, "-1"), (0.5, "0.5")])
    def test_an_unknown_label_is_refused(self, tree, value, text):
        path = self.change(
            tree, "seg", lambda voxels, affine: nibabel.Nifti1Image(np.where(voxels == 4, value, voxels * 1.0), affine)
        )
        message = self.error_of(tree)
        assert f"{path}: found the labels {text}, expected only 0 (no tumour), 1" in message
        assert "2023" in message

    def test_a_mask_of_other_voxels_is_refused(self, tree):
        self.change(tree, "seg", lambda voxels, affine: nibabel.Nifti1Image(voxels, affine @ np.diag([1, 1, 2, 1])))
        assert "found voxels of 8 x 4 x 4 mm, expected 4 x 4 x 4 mm" in self.error_of(tree)

    def test_a_mask_that_lies_elsewhere_is_refused(self, tree):
        moved = np.eye(4)
        moved[0, 3] = 0.5
        self.change(tree, "seg", lambda voxels, affine: nibabel.Nifti1Image(voxels, affine @ moved))
        assert "found a volume whose centre lies at (-80.0" in self.error_of(tree)

    def test_an_affine_flipped_without_its_voxels_is_refused(self, tree):
        self.change(tree, "seg", lambda voxels, affine: nibabel.Nifti1Image(voxels, np.diag([-1.0, 1, 1, 1]) @ affine))
        assert "whose centre lies at" in self.error_of(tree)

    def test_a_mask_flipped_with_its_affine_lies_where_it_did(self, tree):
        before = set_up(BraTS2021(tree, cache_dir=tree.parent / "cache", **SLICE))
        flip = np.diag([-1.0, 1, 1, 1])
        flip[0, 3] = 39

        def flipped(voxels, affine):
            return nibabel.Nifti1Image(voxels[::-1], affine @ flip)

        path = self.change(tree, "seg", flipped)
        assert nibabel.aff2axcodes(nibabel.load(path).affine) == ("R", "P", "S")
        after = set_up(BraTS2021(tree, cache_dir=tree.parent / "cache", **SLICE))
        for first, second in zip(before.test_data, after.test_data, strict=True):
            assert (first.gt_mask == second.gt_mask).all()

    def test_one_bad_subject_is_listed_and_the_others_are_used(self, tree, monkeypatch):
        (tree / "BraTS2021_001" / "BraTS2021_001_seg.nii.gz").unlink()
        monkeypatch.setattr(preparation, "_TOLERATED_SHARE", 0.2)
        card = set_up(BraTS2021(tree, cache_dir=tree.parent / "cache", train_fraction=0.4, **SLICE)).card()
        assert card["left_out"]["BraTS2021_001"].endswith("expected BraTS2021_001_seg.nii.gz.")
        assert card["excluded"]["subject that cannot be used"] == 1
        assert sum(group["subjects"] for group in card["groups"].values()) == 5

    def test_strict_makes_the_same_subject_an_error(self, tree, monkeypatch):
        (tree / "BraTS2021_001" / "BraTS2021_001_seg.nii.gz").unlink()
        monkeypatch.setattr(preparation, "_TOLERATED_SHARE", 0.2)
        assert "as `strict` asks" in sentence_of(BraTS2021(tree, cache_dir=tree.parent / "cache", strict=True, **SLICE))


@pytest.mark.parametrize("codes", ["LPS", "RAS", "SAR", "ILP", "PIR"])
def test_orientation_and_spacing_are_those_of_nibabels_canonical_view(tmp_path, codes):
    voxels = np.random.default_rng(0).random((5, 6, 7)).astype(np.float32)
    canonical = nibabel.Nifti1Image(voxels, np.diag([1.0, 2.0, 3.0, 1.0]))
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(canonical.affine), nibabel.orientations.axcodes2ornt(codes)
    )
    path = tmp_path / "volume.nii.gz"
    nibabel.save(canonical.as_reoriented(turn), path)
    expected = nibabel.as_closest_canonical(nibabel.load(path))
    volume, header = read_volume(path), read_volume_header(path)
    np.testing.assert_array_equal(volume.data, expected.get_fdata(dtype=np.float32).transpose(2, 1, 0)[:, ::-1, ::-1])
    assert volume.spacing == header.spacing == tuple(float(zoom) for zoom in expected.header.get_zooms()[::-1])
    assert header.shape == volume.data.shape
    assert header.centre == pytest.approx((2.0, 5.0, 9.0))


class TestSubjectProtocol:
    """Patients against a healthy cohort."""

    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory):
        return tmp_path_factory.mktemp("cohorts")

    @pytest.fixture(scope="class")
    def patients(self, folder, flat_tree_writer):
        return flat_tree_writer(folder / "patients", "BraTS2021_", subjects=6)

    @pytest.fixture(scope="class")
    def apart(self, folder, patients, flat_tree_writer):
        """Healthy people who are nobody of the patients."""
        healthy = flat_tree_writer(folder / "healthy", "IXI", subjects=8, seed=50, healthy=True)
        return set_up(BraTS2021(patients, cache_dir=folder / "cache", normal_root=healthy, **SUBJECT))

    @pytest.fixture(scope="class")
    def twins(self, folder, patients, flat_tree_writer):
        """Each patient without the tumour."""
        healthy = flat_tree_writer(folder / "healthy_twins", "BraTS2021_", subjects=6, healthy=True)
        return set_up(BraTS2021(patients, cache_dir=folder / "cache", normal_root=healthy, **SUBJECT))

    def test_patients_are_test_subjects_only(self, apart):
        split = apart.card()["split"]
        patients = {name for group in split.values() for name in group if name.startswith("BraTS")}
        assert len(patients) == 6
        assert patients <= set(split["test"])

    def test_healthy_subjects_are_in_every_group(self, apart):
        for subjects in apart.card()["split"].values():
            assert any(name.startswith("IXI") for name in subjects)

    @pytest.mark.parametrize("module", ["apart", "twins"])
    def test_normal_samples_are_healthy_and_abnormal_ones_show_a_lesion(self, module, request):
        samples = request.getfixturevalue(module).test_data.samples
        assert set(samples["label_index"]) == {0, 1}
        assert samples["sample_id"].str.endswith("_healthy").tolist() == (samples["label_index"] == 0).tolist()
        assert ((samples["lesion_fraction"] > 0) == (samples["label_index"] == 1)).all()

    def test_slices_without_lesion_of_patients_are_counted_out(self, apart):
        assert apart.card()["excluded"]["slice without lesion of a patient"] > 0

    def test_another_cohort_is_marked_as_a_domain_shift(self, apart):
        card = apart.card()
        assert "domain shift" in card["normal_means"]
        assert card["protocol_parameters"]["domain_shift"] is True
        assert card["protocol_parameters"]["healthy_twins"] == 0

    def test_twins_are_not_marked_as_a_domain_shift(self, twins):
        assert twins.card()["protocol_parameters"]["domain_shift"] is False
        assert twins.card()["protocol_parameters"]["healthy_twins"] == 6

    def test_a_twin_stays_in_the_group_of_the_patient(self, twins):
        split = twins.card()["split"]
        assert sorted(name for group in split.values() for name in group) == [f"BraTS2021_{i:03d}" for i in range(6)]
        assert set(twins.test_data.samples["subject_id"]) <= set(split["test"])
        assert twins.card()["excluded"]["abnormal sample outside the test group"] > 0

    def test_each_sample_is_read_from_its_own_twin(self, twins, patients):
        for sample in twins.test_data.samples.to_dict("records"):
            name = sample["subject_id"]
            root = patients.parent / "healthy_twins" if sample["label_index"] == 0 else patients
            volume = read_volume(root / name / f"{name}_flair.nii.gz").data
            quartile = np.percentile(volume[volume != 0], 75)
            image, _ = twins.test_data.reader.read(sample)
            expected = np.clip(volume[sample["slice_index"]] / (2 * quartile), 0, 1)
            assert image.sum() == pytest.approx(expected.sum(), rel=1e-3)

    def test_the_scaling_of_every_volume_is_kept(self, twins, patients):
        ranges = twins.intensity_ranges().set_index(["cohort", "subject_id", "modality"])
        assert len(ranges) == 12
        voxels = read_volume(patients / "BraTS2021_003" / "BraTS2021_003_flair.nii.gz").data
        low, high = ranges.loc[("patients", "BraTS2021_003", "flair")]
        assert low == 0
        assert high == pytest.approx(2 * np.percentile(voxels[voxels != 0], 75), rel=0.01)

    def test_without_a_healthy_cohort_it_is_refused(self, patients):
        with pytest.raises(InputError, match="normal_root: found none, expected the folder of a healthy cohort"):
            BraTS2021(patients, protocol="subject")

    def test_a_healthy_cohort_that_would_not_be_used_is_refused(self, patients):
        with pytest.raises(InputError, match="expected none with the protocol 'slice'"):
            BraTS2021(patients, normal_root=patients)

    def test_a_cohort_with_lesions_is_refused(self, patients, folder):
        message = sentence_of(BraTS2021(patients, cache_dir=folder / "cache", normal_root=patients, **SUBJECT))
        assert "lesion voxels, expected none in a healthy cohort" in message

    def test_an_empty_segmentation_is_allowed(self, patients, folder, twins, tmp_path):
        shutil.copytree(folder / "healthy_twins", tmp_path / "healthy")
        for path in (tmp_path / "healthy").glob("*/*_flair.nii.gz"):
            image = nibabel.load(path)
            empty = nibabel.Nifti1Image(np.zeros(image.shape, dtype=np.int16), image.affine)
            nibabel.save(empty, path.with_name(path.name.replace("flair", "seg")))
        module = BraTS2021(patients, cache_dir=tmp_path, normal_root=tmp_path / "healthy", **SUBJECT)
        assert len(set_up(module).test_data) == len(twins.test_data)

    def test_a_missing_healthy_cohort_is_named(self, patients, tmp_path):
        module = BraTS2021(patients, normal_root=tmp_path / "gone", **SUBJECT)
        assert f"{tmp_path / 'gone'}: found no such folder, expected a healthy cohort" in sentence_of(module)


def test_a_class_reads_the_layout_of_its_year():
    for datamodule in (BraTS2018, BraTS2019, BraTS2020, BraTS2021):
        assert datamodule.layout is LAYOUTS[int(datamodule.__name__[-4:])]
