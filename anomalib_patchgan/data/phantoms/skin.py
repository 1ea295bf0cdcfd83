# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Dermoscopic images in the layout of ISIC 2016, part 1 (lesion segmentation)."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anomalib_patchgan.data.phantoms.dermoscope import LIGHTS, add_bubbles, add_hairs, photograph
from anomalib_patchgan.data.phantoms.fields import fine_field, ramp, smooth_field
from anomalib_patchgan.data.phantoms.level import Level, check_at_least, check_level
from anomalib_patchgan.data.phantoms.processes import map_indices
from anomalib_patchgan.data.phantoms.skin_lesion import SkinLesion, draw_lesion, paint_lesion
from anomalib_patchgan.data.phantoms.tree import HEALTHY_TWINS, write_tree

VERSION = 2
"""Raised whenever the same parameters would give other files."""

FOLDERS = {
    "train": ("ISBI2016_ISIC_Part1_Training_Data", "ISBI2016_ISIC_Part1_Training_GroundTruth"),
    "test": ("ISBI2016_ISIC_Part1_Test_Data", "ISBI2016_ISIC_Part1_Test_GroundTruth"),
}
"""Group -> folder of images, folder of masks."""

# Absorption of red, green and blue light by one unit of melanin and of blood.
MELANIN_COLOUR = np.array([1.0, 1.9, 3.0], dtype=np.float32)
BLOOD_COLOUR = np.array([0.35, 2.2, 1.6], dtype=np.float32)
# Ranges of the skin's own density of melanin and of blood.
SKIN_DENSITIES: dict[Level, tuple[tuple[float, float], tuple[float, float]]] = {
    "easy": ((0.04, 0.34), (0.03, 0.15)),
    "medium": ((0.04, 0.34), (0.03, 0.15)),
    "hard": ((0.04, 0.34), (0.03, 0.15)),
    "shifted": ((0.25, 0.55), (0.06, 0.20)),
}
# Logarithm of what skin without either reflects.
BARE_SKIN = -0.02

SMALLEST_SIDE = 64
JPEG_QUALITY = 92


@dataclass(frozen=True)
class SkinPhantoms:
    """A set of skin phantoms, each with one lesion and skin all around it.

    Attributes:
        train_images: Number of images in the training folders.
        test_images: Number of images in the test folders.
        seed: Of all random draws; an image depends on the seed and its index alone.
        height: Of an image, in pixels.
        width: Of an image, in pixels.
        level: How hard the lesions are to see, or "shifted" for another population, to report on and never to tune on.
        healthy_twins: Whether the same images without their lesions are written too, to ``healthy_twins/``.
    """

    train_images: int = 900
    test_images: int = 379
    seed: int = 0
    height: int = 768
    width: int = 1024
    level: Level = "medium"
    healthy_twins: bool = False

    def __post_init__(self) -> None:
        """Refuses values that give no images.

        Raises:
            InputError: If a field is out of its range.
        """
        check_at_least("train_images", self.train_images, 1)
        check_at_least("test_images", self.test_images, 1)
        check_at_least("seed", self.seed, 0)
        check_at_least("height", self.height, SMALLEST_SIDE)
        check_at_least("width", self.width, SMALLEST_SIDE)
        check_level(self.level)

    def parameters(self) -> dict[str, Any]:
        """Returns what determines the files, the generator and its version included; JSON-able."""
        return {"generator": "anomalib_patchgan.SkinPhantoms", "version": VERSION, **asdict(self)}

    def write(
        self, root: Path, progress: Callable[[int, int], None] | None = None, processes: int | None = None
    ) -> None:
        """Writes the images and masks, unless they are there already.

        Args:
            root: The folder to make; it will hold the four folders ``ISBI2016_ISIC_Part1_*``.
            progress: Called with (done, images) after each image.
            processes: At most this many; None means one a core. The files do not depend on it.

        Raises:
            InputError: If ``root`` holds anything but these phantoms.
        """
        root = Path(root)

        def write_contents(folder: Path) -> dict[str, Any]:
            for names in FOLDERS.values():
                for name in names:
                    (folder / name).mkdir()
            if self.healthy_twins:
                (folder / HEALTHY_TWINS).mkdir()
            writer = _ImageWriter(self, folder, _image_numbers(self))
            return {"images": map_indices(writer, self.train_images + self.test_images, processes, progress)}

        write_tree(root, self.parameters(), write_contents)


@dataclass(frozen=True)
class RenderedImage:
    """An image and its truth.

    Attributes:
        pixels: Colours [H, W, 3], 0..255.
        mask: Lesion mask [H, W].
        lesion: What was drawn; None in the healthy twin.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    lesion: SkinLesion | None


def render_image(phantoms: SkinPhantoms, index: int, *, with_lesion: bool = True) -> RenderedImage:
    """Makes one image. Without its lesion, skin, hairs and light stay the same: its healthy twin.

    Args:
        phantoms: The set.
        index: Which image, from 0; the test images follow the training images.
        with_lesion: Whether it has its lesion.
    """
    # The third number keeps these draws apart from those of image numbers and of brains.
    seeds = np.random.SeedSequence([phantoms.seed, index, 1]).spawn(3)
    of_skin, of_lesion, of_photograph = (np.random.default_rng(seed) for seed in seeds)
    shape = (phantoms.height, phantoms.width)
    pitch = 1 / min(shape)
    rows, columns = (((np.arange(length) - (length - 1) / 2) * pitch).astype(np.float32) for length in shape)
    rows, columns = rows[:, None], columns[None, :]

    skin_melanin, skin_blood = (of_skin.uniform(*limits) for limits in SKIN_DENSITIES[phantoms.level])
    mottle = 1 + 0.08 * smooth_field(of_skin, shape, pitch, 0.25) + 0.07 * smooth_field(of_skin, shape, pitch, 0.02)
    melanin = (skin_melanin * mottle).astype(np.float32)
    melanin += np.float32(of_skin.uniform(0.004, 0.015)) * fine_field(of_skin, shape, 1.0)
    freckles = of_skin.uniform(0.05, 0.25) * (of_skin.random() < 0.3)
    melanin += np.float32(freckles) * ramp(smooth_field(of_skin, shape, pitch, 0.016), 2.2, 3.2)
    blood = skin_blood * (1 + 0.12 * smooth_field(of_skin, shape, pitch, 0.12))
    blood += np.float32(of_skin.uniform(0.0, 0.03)) * np.abs(smooth_field(of_skin, shape, pitch, 0.04))

    lesion: SkinLesion | None = None
    mask = np.zeros(shape, dtype=bool)
    if with_lesion:
        lesion = draw_lesion(of_lesion, phantoms.level, float(skin_melanin))
        more_melanin, more_blood, mask = paint_lesion(of_lesion, lesion, rows, columns, pitch)
        melanin, blood = melanin + more_melanin, blood + more_blood
    melanin, blood = np.maximum(melanin, 0), np.maximum(blood, 0)
    absorbed = melanin[..., None] * MELANIN_COLOUR + blood[..., None].astype(np.float32) * BLOOD_COLOUR
    image = np.exp(np.float32(BARE_SKIN) - absorbed)
    image = add_bubbles(of_photograph, add_hairs(of_photograph, image))
    return RenderedImage(photograph(of_photograph, LIGHTS[phantoms.level], image, rows, columns), mask, lesion)


def _image_numbers(phantoms: SkinPhantoms) -> list[int]:
    """Numbers as ISIC's are: scattered, unique, mixed between training and test, rising within each."""
    count = phantoms.train_images + phantoms.test_images
    random = np.random.default_rng(np.random.SeedSequence([phantoms.seed, count, 2]))
    numbers = random.choice(max(12000, 4 * count), size=count, replace=False)
    train, test = numbers[: phantoms.train_images], numbers[phantoms.train_images :]
    return [*map(int, np.sort(train)), *map(int, np.sort(test))]


@dataclass(frozen=True)
class _ImageWriter:
    phantoms: SkinPhantoms
    folder: Path
    numbers: list[int]

    def __call__(self, index: int) -> dict[str, Any]:
        rendered = render_image(self.phantoms, index)
        group = "train" if index < self.phantoms.train_images else "test"
        images, masks = FOLDERS[group]
        name = f"ISIC_{self.numbers[index]:07d}"
        Image.fromarray(rendered.pixels).save(self.folder / images / f"{name}.jpg", quality=JPEG_QUALITY)
        if self.phantoms.healthy_twins:
            twin = render_image(self.phantoms, index, with_lesion=False)
            Image.fromarray(twin.pixels).save(self.folder / HEALTHY_TWINS / f"{name}.jpg", quality=JPEG_QUALITY)
        mask = Image.fromarray(rendered.mask.astype(np.uint8) * 255)
        mask.save(self.folder / masks / f"{name}_Segmentation.png")
        return {
            "image": name,
            "group": group,
            "lesion": None if rendered.lesion is None else rendered.lesion.record(),
            "lesion_share": round(float(rendered.mask.mean()), 4),
        }
