# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Pictures of other anatomies in the layout of a CSV manifest, as a hospital would list its own images."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anomalib_patchgan.data.phantoms.level import check_at_least
from anomalib_patchgan.data.phantoms.pictures import ANATOMIES
from anomalib_patchgan.data.phantoms.pictures.canvas import Canvas
from anomalib_patchgan.data.phantoms.processes import map_indices
from anomalib_patchgan.data.phantoms.tree import write_csv, write_tree
from anomalib_patchgan.errors import InputError

VERSION = 1
"""Raised whenever the same parameters would give other files."""

IMAGES, MASKS = "images", "masks"

SMALLEST_SIDE = 64
# Displacement of an anatomy's coordinates, in edges.
WARP = 0.008
# Of the camera.
GAMMA, GAIN, NOISE = (0.9, 1.1), (0.85, 1.15), (0.008, 0.020)
# The third number keeps these draws apart from those of brains and skin.
PICTURE_STREAM = 5


@dataclass(frozen=True)
class ManifestPhantoms:
    """Pictures of chests (grey), backs of eyes or stained tissue; one a subject, half of the test with a lesion.

    They are there to try what was developed on brains and skin on something else: report on them, never tune on them.

    Attributes:
        anatomy: What is drawn.
        train_images: Normal pictures to train on.
        reference_images: Normal pictures for the novelty distribution.
        calibration_images: Normal pictures for the thresholds.
        test_images: Pictures of the test, an even number; every second one has a lesion, of each kind in turn.
        seed: Of all random draws; a picture depends on the seed and its index alone.
        side: Height and width of a picture in pixels.
    """

    anatomy: Literal["chest", "fundus", "tissue"] = "chest"
    train_images: int = 300
    reference_images: int = 60
    calibration_images: int = 60
    test_images: int = 200
    seed: int = 0
    side: int = 160

    def __post_init__(self) -> None:
        """Refuses values that give no pictures.

        Raises:
            InputError: If a field is out of its range.
        """
        if self.anatomy not in ANATOMIES:
            raise InputError(f"phantoms: anatomy is {self.anatomy!r}, expected one of {', '.join(ANATOMIES)}")
        for name in ("train_images", "reference_images", "calibration_images"):
            check_at_least(name, getattr(self, name), 1)
        check_at_least("test_images", self.test_images, 2)
        if self.test_images % 2:
            raise InputError(f"phantoms: test_images is {self.test_images}, expected an even number")
        check_at_least("seed", self.seed, 0)
        check_at_least("side", self.side, SMALLEST_SIDE)

    def parameters(self) -> dict[str, Any]:
        """Returns what determines the files, the generator and its version included; JSON-able."""
        return {"generator": "anomalib_patchgan.ManifestPhantoms", "version": VERSION, **asdict(self)}

    def groups(self) -> list[str]:
        """Returns each picture's group, by index."""
        counts = {
            "train": self.train_images,
            "reference": self.reference_images,
            "calibration": self.calibration_images,
            "test": self.test_images,
        }
        return [group for group, count in counts.items() for _ in range(count)]

    def kind(self, index: int) -> str | None:
        """Returns the kind of a picture's lesion, or None where it has none."""
        in_test = index - (self.train_images + self.reference_images + self.calibration_images)
        kinds = ANATOMIES[self.anatomy].kinds
        return kinds[in_test // 2 % len(kinds)] if in_test >= 0 and in_test % 2 else None

    def write(
        self, root: Path, progress: Callable[[int, int], None] | None = None, processes: int | None = None
    ) -> None:
        """Writes pictures, masks and the manifest, unless they are there already.

        Args:
            root: The folder to make; ``manifest.csv`` in it lists what ``images/`` and ``masks/`` hold.
            progress: Called with (done, pictures) after each picture.
            processes: At most this many; None means one a core. The files do not depend on it.

        Raises:
            InputError: If ``root`` holds anything but these phantoms.
        """

        def write_contents(folder: Path) -> dict[str, Any]:
            # Brings pandas, which the processes that draw do without.
            from anomalib_patchgan.data.manifest_table import COLUMNS, FILE_NAME

            for name in (IMAGES, MASKS):
                (folder / name).mkdir()
            groups = self.groups()
            records = map_indices(_PictureWriter(self, folder, groups), len(groups), processes, progress)
            write_csv(folder / FILE_NAME, COLUMNS, map(_manifest_row, records))
            return {"images": records}

        write_tree(Path(root), self.parameters(), write_contents)


@dataclass(frozen=True)
class RenderedPicture:
    """A picture and its truth.

    Attributes:
        pixels: Colours [S, S, 3], 0..255.
        mask: Lesion mask [S, S].
        kind: Of the lesion; None where there is none.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    kind: str | None


def render_picture(phantoms: ManifestPhantoms, index: int, *, with_lesion: bool = True) -> RenderedPicture:
    """Makes one picture. Without its lesion, anatomy, light and noise stay the same: its healthy twin.

    Args:
        phantoms: The set.
        index: Which picture, from 0, in the order of the groups.
        with_lesion: Whether it has the lesion that is due to it.
    """
    anatomy = ANATOMIES[phantoms.anatomy]
    order = list(ANATOMIES).index(phantoms.anatomy)
    seeds = np.random.SeedSequence([phantoms.seed, index, PICTURE_STREAM, order]).spawn(3)
    of_anatomy, of_lesion, of_camera = (np.random.default_rng(seed) for seed in seeds)
    canvas = Canvas.draw(of_anatomy, phantoms.side, WARP)
    scene = anatomy.draw_healthy(of_anatomy, canvas)
    image, mask = scene.image, np.zeros(scene.region.shape, dtype=bool)
    kind = phantoms.kind(index) if with_lesion else None
    if kind is not None:
        image, cover = anatomy.add_lesion(of_lesion, canvas, scene, kind)
        # A lesion of less than a pixel is where there is most of it.
        mask = cover >= min(0.4, cover.max())
    gamma, gain, noise = (np.float32(of_camera.uniform(*limits)) for limits in (GAMMA, GAIN, NOISE))
    taken = gain * np.maximum(image, 0) ** gamma + noise * of_camera.standard_normal(image.shape, dtype=np.float32)
    pixels = np.round(taken * 255).clip(0, 255).astype(np.uint8)
    # A grey picture has one channel until here, so that its noise is grey, too.
    return RenderedPicture(np.repeat(pixels, 3 // pixels.shape[2], axis=2), mask, kind)


@dataclass(frozen=True)
class _PictureWriter:
    phantoms: ManifestPhantoms
    folder: Path
    groups: list[str]

    def __call__(self, index: int) -> dict[str, Any]:
        rendered = render_picture(self.phantoms, index)
        name = f"{index + 1:04d}.png"
        Image.fromarray(rendered.pixels).save(self.folder / IMAGES / name)
        if rendered.kind is not None:
            Image.fromarray(rendered.mask.astype(np.uint8) * 255).save(self.folder / MASKS / name)
        return {
            "image": name,
            "group": self.groups[index],
            "lesion": rendered.kind,
            "lesion_share": round(float(rendered.mask.mean()), 5),
        }


def _manifest_row(record: dict[str, Any]) -> tuple[str, ...]:
    name, abnormal = record["image"], record["lesion"] is not None
    mask = f"{MASKS}/{name}" if abnormal else ""
    return (
        f"{IMAGES}/{name}",
        mask,
        "abnormal" if abnormal else "normal",
        f"subject_{Path(name).stem}",
        record["group"],
    )
