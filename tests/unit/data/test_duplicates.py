# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Images that are there twice."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy import ndimage

from anomalib_patchgan.data.duplicates import (
    SIMILARITY,
    Fingerprint,
    check_duplicates,
    content_sha256,
    find_duplicates,
    thumbnail,
)
from anomalib_patchgan.data.phantoms.brain import BrainPhantoms, load_template, render_subject
from anomalib_patchgan.data.phantoms.skin import SkinPhantoms, render_image
from anomalib_patchgan.errors import InputError


def fingerprint(subject, array):
    return Fingerprint(subject, Path(f"{subject}.png"), content_sha256(array), thumbnail(array))


@pytest.fixture(scope="module")
def photographs():
    phantoms = SkinPhantoms(train_images=8, test_images=8, height=192, width=256, seed=5)
    return [Image.fromarray(render_image(phantoms, index).pixels) for index in range(16)]


@pytest.fixture(scope="module")
def volumes():
    phantoms = BrainPhantoms(subjects=4, spacing=3.0, seed=5)
    template = load_template(phantoms.spacing)
    return [
        render_subject(phantoms, template, index).scans["flair"].transpose(2, 1, 0).astype(float) for index in range(4)
    ]


def grey(photograph):
    return np.asarray(photograph.convert("RGB"), dtype=np.float32).mean(axis=2)


def compressed(photograph, quality=75):
    stream = io.BytesIO()
    photograph.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


CHANGES = {
    "compressed": compressed,
    "compressed hard": lambda photograph: compressed(photograph, 50),
    "half the size": lambda photograph: photograph.resize((128, 96), Image.Resampling.LANCZOS),
    "darker": lambda photograph: ImageEnhance.Brightness(photograph).enhance(0.8),
    "flatter": lambda photograph: ImageEnhance.Contrast(photograph).enhance(0.8),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_of_a_photograph_is_found(photographs, change):
    for photograph in photographs:
        first = fingerprint("first", grey(photograph))
        second = fingerprint("second", grey(CHANGES[change](photograph)))
        assert [pair[:2] for pair in find_duplicates([first, second])] == [(first, second)]


def test_different_photographs_are_not_taken_for_copies(photographs):
    assert not find_duplicates([fingerprint(str(index), grey(image)) for index, image in enumerate(photographs)])


def test_pictures_that_share_nothing_but_the_frame_of_a_dermoscope_are_not_taken_for_copies():
    draws = np.random.default_rng(0)
    rows, columns = np.indices((192, 256))
    distance = np.hypot(rows - 96, columns - 128)
    pictures = []
    for _ in range(2):
        skin = ndimage.gaussian_filter(draws.normal(0, 1, (192, 256)), 4)
        picture = np.where(distance < 118, 170 + 60 * skin, 3).clip(0, 255).astype(np.uint8)
        pictures.append(grey(compressed(Image.fromarray(picture))))
    first, second = (thumbnail(picture).astype(float) for picture in pictures)
    assert np.corrcoef(first, second)[0, 1] < 0.5


def test_a_noisy_copy_of_a_volume_is_found_among_other_subjects(volumes):
    noisy = 0.7 * volumes[2] + np.random.default_rng(0).normal(0, 5, volumes[2].shape) * (volumes[2] > 0)
    prints = [fingerprint(f"subject {index}", volume) for index, volume in enumerate([*volumes, noisy])]
    assert [(first.subject, second.subject) for first, second, _ in find_duplicates(prints)] == [
        ("subject 2", "subject 4")
    ]


def test_brains_of_different_subjects_are_far_from_being_copies(volumes):
    details = np.stack([thumbnail(volume) for volume in volumes]).astype(float)
    similarity = np.corrcoef(details)[np.triu_indices(len(details), 1)]
    assert similarity.max() < SIMILARITY - 0.2


def test_equal_images_without_detail_count_as_the_same():
    flat = np.full((20, 20), 7.0)
    assert find_duplicates([fingerprint("a", flat), fingerprint("b", flat)])[0][2] == 1
    assert not find_duplicates([fingerprint("a", flat), fingerprint("b", flat + 1)])


def test_images_of_one_subject_may_be_alike():
    image = np.random.default_rng(0).random((40, 40))
    assert not find_duplicates([fingerprint("a", image), fingerprint("a", image)])


def test_a_copy_in_another_group_is_refused_and_named():
    image = np.random.default_rng(0).random((40, 40))
    prints = [fingerprint("a", image), fingerprint("b", image)]
    with pytest.raises(InputError, match=r"b\.png: found the same image as a\.png, in the groups test and train"):
        check_duplicates({"train": ["a"], "test": ["b"]}, prints)


def test_a_near_copy_in_another_group_is_refused_with_its_similarity():
    image = np.random.default_rng(0).random((40, 40))
    prints = [fingerprint("a", image), fingerprint("b", 2 * image + 1)]
    with pytest.raises(InputError, match=r"found nearly the same image \(1\.000\) as a\.png"):
        check_duplicates({"train": ["a"], "test": ["b"]}, prints)


def test_copies_within_a_group_are_counted():
    image = np.random.default_rng(0).random((40, 40))
    prints = [fingerprint("a", image), fingerprint("b", image)]
    assert check_duplicates({"train": ["a", "b"], "test": []}, prints) == 1


def test_copies_of_subjects_that_are_left_out_do_not_matter():
    image = np.random.default_rng(0).random((40, 40))
    assert check_duplicates({"train": ["a"], "test": []}, [fingerprint("a", image), fingerprint("b", image)]) == 0


def test_copies_are_found_across_the_blocks_in_which_images_are_compared():
    draws = np.random.default_rng(0)
    thumbnails = draws.integers(-100, 100, (150, 64)).astype(np.int8)
    thumbnails[140] = thumbnails[3]
    thumbnails[149] = thumbnails[148]
    marks = [Fingerprint(f"s{n}", Path(f"{n}.png"), str(n), thumbnail) for n, thumbnail in enumerate(thumbnails)]
    found = [(one.subject, other.subject) for one, other, _ in find_duplicates(marks)]
    assert sorted(found) == [("s148", "s149"), ("s3", "s140")]
