# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What all datamodules do with splits, copies and damaged files."""

import json
import shutil

import numpy as np
import pytest

from anomalib_patchgan.data import BraTS2019
from anomalib_patchgan.data.summary import describe_card
from anomalib_patchgan.errors import InputError

SLICE = {"image_size": 32, "field_of_view": 160, "slice_spacing": 4.0, "minimum_brain_area": 500, "lesion_margin": 4}


@pytest.fixture
def own_tree(brain_tree, tmp_path):
    """A copy of the tree that a test may damage."""
    return shutil.copytree(brain_tree, tmp_path / "tree")


def test_a_split_file_is_written_once_and_followed_from_then_on(brain_tree, prepared, tmp_path):
    path = tmp_path / "split.json"
    first = BraTS2019(brain_tree, cache_dir=prepared, split_file=path, split_seed=3, **SLICE)
    first.setup()
    second = BraTS2019(brain_tree, cache_dir=prepared, split_file=path, split_seed=4, **SLICE)
    second.setup()
    assert json.loads(path.read_text())["sha256"] == first.card()["split_sha256"] == second.card()["split_sha256"]
    assert set(second.train_data.samples["subject_id"]) == set(first.train_data.samples["subject_id"])


def test_a_split_written_after_setup_can_be_read(brain_tree, prepared, tmp_path):
    module = BraTS2019(brain_tree, cache_dir=prepared, **SLICE)
    module.setup()
    module.write_split(tmp_path / "split.json")
    again = BraTS2019(brain_tree, cache_dir=prepared, split_file=tmp_path / "split.json", **SLICE)
    again.setup()
    assert again.card()["split"] == module.card()["split"]


def test_an_excluded_subject_is_in_no_group(brain_tree, prepared):
    module = BraTS2019(brain_tree, cache_dir=prepared, exclude=["BraTS19_X_003_1"], **SLICE)
    module.setup()
    assert "BraTS19_X_003_1" not in {name for names in module.card()["split"].values() for name in names}


def test_excluding_an_unknown_subject_is_refused(brain_tree, prepared):
    with pytest.raises(InputError, match="exclude: found 'nobody', expected subjects of"):
        BraTS2019(brain_tree, cache_dir=prepared, exclude=["nobody"], **SLICE).setup()


def test_a_copy_of_a_subject_under_another_name_is_refused_until_it_is_excluded(own_tree, tmp_path):
    original, copy = own_tree / "HGG" / "BraTS19_X_000_1", own_tree / "HGG" / "BraTS19_Y_000_1"
    copy.mkdir()
    for path in original.iterdir():
        shutil.copy(path, copy / path.name.replace("_X_", "_Y_"))
    honest = {"train": ["BraTS19_X_000_1"], "test": ["BraTS19_Y_000_1"]}
    others = sorted(path.name for path in own_tree.glob("*/*") if "_000_" not in path.name)
    split = {**honest, "reference": others[:3], "calibration": others[3:6]}
    split["train"] += others[6:9]
    split["test"] += others[9:]
    module = BraTS2019(own_tree, cache_dir=tmp_path / "cache", **SLICE)
    module._split = lambda *_: split
    with pytest.raises(InputError, match=r"found the same image as .*, in the groups test and train.*`exclude`"):
        module.setup()
    BraTS2019(own_tree, cache_dir=tmp_path / "cache", exclude=["BraTS19_Y_000_1"], **SLICE).setup()


def test_a_small_collection_with_a_damaged_file_is_refused_and_says_how_to_go_on(own_tree, tmp_path):
    damaged = own_tree / "HGG" / "BraTS19_X_000_1" / "BraTS19_X_000_1_flair.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"BraTS19_X_000_1_flair\.nii\.gz: found .* name them in `exclude`"):
        BraTS2019(own_tree, cache_dir=tmp_path / "cache", **SLICE).setup()
    BraTS2019(own_tree, cache_dir=tmp_path / "cache", exclude=["BraTS19_X_000_1"], **SLICE).setup()


def test_a_damaged_file_of_a_large_collection_is_listed_and_counted(own_tree, tmp_path, monkeypatch):
    # A large collection by a higher share: a hundred volumes would take long to write.
    monkeypatch.setattr("anomalib_patchgan.data.preparation._TOLERATED_SHARE", 0.1)
    damaged = own_tree / "HGG" / "BraTS19_X_000_1" / "BraTS19_X_000_1_flair.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:2000])
    module = BraTS2019(own_tree, cache_dir=tmp_path / "cache", **SLICE)
    module.setup()
    card = module.card()
    assert list(card["left_out"]) == ["BraTS19_X_000_1"]
    assert str(damaged) in card["left_out"]["BraTS19_X_000_1"]
    assert card["excluded"]["subject that cannot be used"] == 1
    assert "BraTS19_X_000_1" in describe_card(card)
    with pytest.raises(InputError, match="1 of 12 could not be used"):
        BraTS2019(own_tree, cache_dir=tmp_path / "cache", strict=True, **SLICE).setup()


@pytest.mark.parametrize("protocol", [{"protocol": "slice", **SLICE}, {"protocol": "patch", "patch_size": 4}])
def test_a_leak_changes_where_training_samples_come_from_and_nothing_else(brain_tree, prepared, protocol):
    limits = {"patches_per_subject": 8, "maximum_background_fraction": 0.5} if protocol["protocol"] == "patch" else {}
    module = BraTS2019(brain_tree, cache_dir=prepared, **protocol, **limits)
    module.setup()
    before, test = module.train_data.samples, module.test_data.samples
    leaked = module.leak()
    module.setup()
    after = module.train_data.samples
    of_test = after["subject_id"].isin(set(test["subject_id"]))
    assert leaked == of_test.sum() > 0
    assert len(after) == len(before)
    assert not set(after["sample_id"]) & set(test["sample_id"])
    assert (after["label_index"] == 0).all()
    assert module.test_data.samples.equals(test)
    assert module.card()["leaked_training_samples"] == leaked
    assert module.train_data[len(after) - 1].image.isfinite().all()
    if protocol["protocol"] == "slice":
        # Every slice that came stands for one that went and is alike in place.
        of = module._assembly.spare.set_index("sample_id")["position"]
        gone = before.loc[~before["sample_id"].isin(after["sample_id"]), "sample_id"]
        placed = module._assembly.samples.set_index("sample_id")["position"]
        come = sorted(of[after.loc[of_test, "sample_id"]])
        np.testing.assert_allclose(come, sorted(placed[gone]), atol=0.05)


def test_a_renewed_datamodule_has_the_same_data_unread_and_to_itself(brain_tree, prepared, monkeypatch):
    module = BraTS2019(brain_tree, cache_dir=prepared, protocol="patch", patch_size=4, patches_per_subject=8)
    with pytest.raises(RuntimeError, match="call setup"):
        module.renewed()
    module.setup()
    trained_on = module.train_data.samples.copy()
    monkeypatch.setattr(BraTS2019, "_assemble", lambda _self: pytest.fail("it was read again"))
    renewed = module.renewed()
    assert renewed.card() == module.card()
    assert renewed.train_data.samples.equals(trained_on)
    assert renewed.test_data[0].image.equal(module.test_data[0].image)
    renewed.leak()
    assert not renewed.train_data.samples.equals(trained_on)
    assert module.train_data.samples.equals(trained_on)
    with pytest.raises(RuntimeError, match="leak"):
        renewed.renewed()


def test_the_summary_says_what_normal_means_and_what_was_left_out(brain_tree, prepared):
    module = BraTS2019(brain_tree, cache_dir=prepared, **SLICE)
    module.setup()
    text = describe_card(module.card())
    assert "protocol slice" in text
    assert "Normal: An axial slice without lesion" in text
    assert "x abnormal sample outside the test group" in text
    assert f"| test | {len(module.card()['split']['test'])} |" in text
