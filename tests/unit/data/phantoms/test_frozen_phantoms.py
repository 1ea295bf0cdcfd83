# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A frozen set is what it was when it was frozen, and what differs is said in a sentence."""

import dataclasses
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from anomalib_patchgan.cli import main
from anomalib_patchgan.data.phantoms import BrainPhantoms, SkinPhantoms, frozen
from anomalib_patchgan.data.phantoms.content import combined_hash, subject_contents
from anomalib_patchgan.data.phantoms.frozen import FrozenSet, frozen_names, load_frozen, size
from anomalib_patchgan.errors import InputError

SMALL = BrainPhantoms(subjects=2, seed=8, spacing=6.0, healthy_twins=True)


def freeze(phantoms, root):
    phantoms.write(root, processes=1)
    contents = subject_contents(phantoms, root, size(phantoms), processes=1)
    return FrozenSet(
        name="small",
        purpose="A test.",
        phantoms=phantoms,
        version=phantoms.parameters()["version"],
        data={},
        sha256=combined_hash(contents),
        first=tuple(contents),
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("frozen") / "small"
    return freeze(SMALL, root), root


@pytest.fixture
def copied(small, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(small[1], root)
    return small[0], root


def change(path, amount):
    image = nibabel.load(path)
    voxels = np.array(image.dataobj)
    first = np.argwhere(voxels > 0)[0]
    voxels[tuple(first)] += amount
    nibabel.save(nibabel.Nifti1Image(voxels, image.affine, image.header), path)


def test_names_are_medium_and_shifted_of_brain_and_skin():
    assert frozen_names() == ["brain_medium", "brain_shifted", "skin_medium", "skin_shifted"]


@pytest.mark.parametrize("name", frozen_names())
def test_frozen_set_belongs_to_this_version_of_the_generator_and_has_twins(name):
    one = load_frozen(name)
    assert one.phantoms.parameters()["version"] == one.version
    assert one.phantoms.healthy_twins
    assert one.phantoms.level == name.split("_")[1]
    assert len(one.sha256) == 64


@pytest.mark.parametrize("name", [name for name in frozen_names() if name.startswith("skin")])
def test_first_images_are_those_that_were_frozen(name, tmp_path):
    one = load_frozen(name)
    few = dataclasses.replace(one.phantoms, train_images=len(one.first), test_images=1)
    few.write(tmp_path / "few", processes=1)
    contents = subject_contents(few, tmp_path / "few", len(one.first), processes=1)
    # Not their hashes: another processor or decoder may round a pixel differently.
    assert all(here.resembles(then) for here, then in zip(contents, one.first, strict=True))


@pytest.mark.parametrize("name", [name for name in frozen_names() if name.startswith("brain")])
def test_first_subject_is_the_one_that_was_frozen(name, tmp_path):
    one = load_frozen(name)
    few = dataclasses.replace(one.phantoms, subjects=1)
    few.write(tmp_path / "few", processes=1)
    (content,) = subject_contents(few, tmp_path / "few", 1, processes=1)
    assert content.resembles(one.first[0])


def test_no_frozen_content_without_its_lesion_passes_for_rounding():
    for one in map(load_frozen, frozen_names()):
        for content in one.first:
            half = len(content.means) // 2
            if one.name.startswith("brain"):
                # The scans of the healthy twins in the place of the patients'.
                healthy = (*content.means[half:-1], content.means[half - 1], *content.means[half:])
            else:
                healthy = (content.means[2], *content.means[1:])
            assert not content.resembles(dataclasses.replace(content, means=healthy)), one.name


def test_unchanged_set_is_verified(small):
    small[0].verify(small[1], processes=1)


def test_a_difference_beyond_the_first_subjects_is_not_called_rounding(small):
    one = dataclasses.replace(small[0], sha256="0" * 64)
    with pytest.raises(InputError, match="are the same, so that the difference lies beyond them"):
        one.verify(small[1], processes=1)


def test_content_does_not_depend_on_compression(copied):
    one, root = copied
    for path in root.rglob("*_flair.nii.gz"):
        change(path, 0)
    one.verify(root, processes=1)


def test_one_changed_voxel_is_found_and_told_from_other_content(copied):
    one, root = copied
    change(next(root.glob("HGG/*_0002_1/*_t1.nii.gz")), 1)
    with pytest.raises(InputError, match="agree but for rounding"):
        one.verify(root, processes=1)


def test_a_changed_twin_is_found_by_its_index(copied):
    one, root = copied
    path = next(root.glob("healthy_twins/*_0002_1/*_t2.nii.gz"))
    shutil.copy(next(root.glob("HGG/*_0001_1/*_flair.nii.gz")), path)
    with pytest.raises(InputError, match="index 1 holds something else"):
        one.verify(root, processes=1)


def test_a_missing_file_is_named(copied):
    one, root = copied
    path = next(root.glob("HGG/*_0001_1/*_seg.nii.gz"))
    path.unlink()
    with pytest.raises(InputError, match=path.name):
        one.verify(root, processes=1)


def test_other_parameters_are_named(small):
    other = dataclasses.replace(small[0], phantoms=dataclasses.replace(SMALL, seed=9))
    with pytest.raises(InputError, match="found seed=8, expected seed=9 as in small"):
        other.verify(small[1])


def test_a_folder_without_phantoms_is_refused(small, tmp_path):
    with pytest.raises(InputError, match=r"found no phantoms\.json"):
        small[0].verify(tmp_path)


def test_a_set_of_another_version_is_not_written(small, tmp_path):
    other = dataclasses.replace(small[0], version=1)
    with pytest.raises(InputError, match="frozen with version 1"):
        other.write(tmp_path / "set")


def test_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="'brain_easy', expected one of brain_medium"):
        load_frozen("brain_easy")


def test_command_writes_verifies_and_prints_the_folder(tmp_path, monkeypatch, capsys):
    phantoms = SkinPhantoms(train_images=2, test_images=1, seed=1, height=64, width=64, healthy_twins=True)
    one = freeze(phantoms, tmp_path / "first")
    monkeypatch.setattr(frozen, "load_frozen", lambda name: one)
    root = tmp_path / "second"
    assert main(["phantoms", "frozen", "--name", "small", "--root", str(root), "--verify"]) == 0
    assert Path(capsys.readouterr().out.splitlines()[-1]) == root

    monkeypatch.setattr(frozen, "load_frozen", lambda name: dataclasses.replace(one, sha256="0" * 64))
    assert main(["phantoms", "frozen", "--name", "small", "--root", str(root), "--verify"]) == 2
    assert "expected " + "0" * 64 in capsys.readouterr().err
