# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Tiny collections in the layouts of their organisers."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

MODALITIES = ("flair", "t1", "t1ce", "t2")


def write_subject(
    root: Path,
    grade: str,
    subject: str,
    seed: int,
    shape=(40, 48, 30),
    spacing=(4.0, 4.0, 4.0),
    modalities=MODALITIES,
    healthy=False,
) -> Path:
    """Write an ellipsoid with a bright ball in it, in the orientation of BraTS (left, posterior, superior).

    A healthy subject has no ball and no segmentation. An empty grade puts the subject into the root.
    """
    generator = np.random.default_rng(seed)
    axes = [np.linspace(-1, 1, size) for size in shape]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    brain = (x / 0.85) ** 2 + (y / 0.9) ** 2 + (z / 0.9) ** 2 < 1
    height = generator.uniform(-0.4, 0.4)
    lesion = ((x - 0.3) ** 2 + (y + 0.1) ** 2 + ((z - height) / 1.2) ** 2 < 0.3**2) & brain
    folder = root / grade / subject
    folder.mkdir(parents=True)
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    gain = generator.uniform(200, 900)
    for modality in modalities:
        image = gain * (1 + 0.1 * generator.standard_normal(shape) + 1.0 * (lesion & (not healthy))) * brain
        image = np.where(brain, np.maximum(image, 1), 0).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(image, affine), folder / f"{subject}_{modality}.nii.gz")
    if healthy:
        return folder
    labels = np.where(lesion, np.where(x > 0.3, 4, 2), 0).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(labels, affine), folder / f"{subject}_seg.nii.gz")
    return folder


def write_brain_tree(root: Path, subjects: int = 12) -> Path:
    """Write a tree with two subjects of high grade for one of low grade."""
    for number in range(subjects):
        grade = "LGG" if number % 3 == 2 else "HGG"
        write_subject(root, grade, f"BraTS19_X_{number:03d}_1", number)
    return root


def write_flat_tree(root: Path, prefix: str, subjects: int = 12, seed: int = 0, **arguments) -> Path:
    """Write subjects side by side, with FLAIR only."""
    for number in range(subjects):
        write_subject(root, "", f"{prefix}{number:03d}", seed + number, modalities=("flair",), **arguments)
    return root


def write_diagnosis_tree(root: Path, train: int = 12, test: int = 6) -> Path:
    """Write part 3: every third photograph is of a malignant lesion."""
    for half, numbers in (("Training", range(train)), ("Test", range(train, train + test))):
        folder = root / f"ISBI2016_ISIC_Part3_{half}_Data"
        folder.mkdir(parents=True)
        rows = []
        for number in numbers:
            name, malignant = f"ISIC_{number:07d}", number % 3 == 2
            generator = np.random.default_rng(number)
            photograph = generator.integers(0, 200, (12, 16, 3)).astype(np.uint8)
            Image.fromarray(photograph).resize((64, 48)).save(folder / f"{name}.jpg", quality=95)
            rows.append(f"{name},{malignant:.1f}" if half == "Test" else f"{name},{('benign', 'malignant')[malignant]}")
        (root / f"ISBI2016_ISIC_Part3_{half}_GroundTruth.csv").write_text("\n".join(rows) + "\n")
    return root


def write_skin_image(root: Path, part: str, name: str, seed: int, size=(96, 128)) -> None:
    """Write a photograph with a dark disc and its mask."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    centre = generator.uniform(0.4, 0.6, 2) * size
    lesion = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < (0.3 * size[0]) ** 2
    photograph = np.where(lesion[..., None], (90, 60, 50), (220, 180, 160)) + generator.normal(0, 5, (*size, 3))
    data = root / f"ISBI2016_ISIC_Part1_{part}_Data"
    truth = root / f"ISBI2016_ISIC_Part1_{part}_GroundTruth"
    data.mkdir(parents=True, exist_ok=True)
    truth.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(photograph, 0, 255).astype(np.uint8)).save(data / f"{name}.jpg", quality=95)
    Image.fromarray((255 * lesion).astype(np.uint8)).save(truth / f"{name}_Segmentation.png")


def write_skin_tree(root: Path, train: int = 8, test: int = 4) -> Path:
    """Write the four folders."""
    for number in range(train + test):
        part = "Training" if number < train else "Test"
        write_skin_image(root, part, f"ISIC_{number:07d}", number)
    return root


@pytest.fixture(scope="session")
def brain_tree(tmp_path_factory) -> Path:
    return write_brain_tree(tmp_path_factory.mktemp("brain") / "tree")


@pytest.fixture(scope="session")
def skin_tree(tmp_path_factory) -> Path:
    return write_skin_tree(tmp_path_factory.mktemp("skin") / "tree")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Path:
    """Folder of prepared data, shared so that each tree is prepared once."""
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture(scope="session")
def subject_writer():
    return write_subject


@pytest.fixture
def brain_tree_writer():
    return write_brain_tree


@pytest.fixture(scope="session")
def flat_tree_writer():
    return write_flat_tree


@pytest.fixture(scope="session")
def diagnosis_tree_writer():
    return write_diagnosis_tree


@pytest.fixture
def skin_tree_writer():
    return write_skin_tree
