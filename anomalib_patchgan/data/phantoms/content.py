# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""SHA-256 of what phantoms hold: of voxels and pixels, not of files, whose bytes depend on the compressor's version."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anomalib_patchgan.data.phantoms.brain import BrainPhantoms
from anomalib_patchgan.data.phantoms.processes import map_indices
from anomalib_patchgan.data.phantoms.scanner import SCANNERS
from anomalib_patchgan.data.phantoms.skin import FOLDERS, SkinPhantoms
from anomalib_patchgan.data.phantoms.tree import HEALTHY_TWINS, MARKER
from anomalib_patchgan.errors import InputError

# Two processors may round a few voxels differently, by one count. That moves a mean by a millionth of it, where means
# are kept to six digits, and the faintest lesion of a frozen set by 50 millionths.
ROUNDING = 2e-5


@dataclass(frozen=True)
class Content:
    """What a subject (brain) or an image (skin) holds.

    Attributes:
        sha256: In hexadecimal.
        means: Mean of each array, background included.
    """

    sha256: str
    means: tuple[float, ...]

    def resembles(self, other: "Content") -> bool:
        """Whether two contents agree but for rounding."""
        return len(self.means) == len(other.means) and bool(np.allclose(self.means, other.means, rtol=ROUNDING))


def subject_contents(
    phantoms: BrainPhantoms | SkinPhantoms,
    root: Path,
    count: int,
    progress: Callable[[int, int], None] | None = None,
    processes: int | None = None,
) -> list[Content]:
    """Summarises the first subjects (brain) or images (skin) of a folder, each by itself.

    For each array, a line "<role> <type> <shape>" is hashed and then its values in C order, little-endian. The roles
    are, in this order, the modalities, ``seg`` and, where written, the twin's (brain), or ``image``, ``mask`` and the
    twin's ``image`` (skin). Names are not hashed.

    Args:
        phantoms: What the folder holds.
        root: The folder.
        count: How many.
        progress: Called with (done, count) after each.
        processes: At most this many; None means one a core.

    Returns:
        Contents by index.

    Raises:
        InputError: If a file is missing.
    """
    marker = json.loads((root / MARKER).read_text(encoding="utf-8"))
    records = marker["subjects" if isinstance(phantoms, BrainPhantoms) else "images"]
    return map_indices(_Hasher(phantoms, root, records[:count]), min(count, len(records)), processes, progress)


def combined_hash(contents: list[Content]) -> str:
    """Returns the SHA-256 of the subjects' hashes, one a line, in the order of their index."""
    return hashlib.sha256("".join(f"{content.sha256}\n" for content in contents).encode()).hexdigest()


@dataclass(frozen=True)
class _Hasher:
    phantoms: BrainPhantoms | SkinPhantoms
    root: Path
    records: list[dict[str, Any]]

    def __call__(self, index: int) -> Content:
        digest = hashlib.sha256()
        means = []
        files = _brain_files if isinstance(self.phantoms, BrainPhantoms) else _skin_files
        for role, path in files(self.root, self.records[index], twins=self.phantoms.healthy_twins):
            if not path.is_file():
                raise InputError(f"{path}: found no file, expected the one that {MARKER} lists")
            values = _decode(path)
            digest.update(f"{role} {values.dtype.name} {values.shape}\n".encode())
            digest.update(np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes())
            means.append(float(f"{values.mean(dtype=np.float64):.6g}"))
        return Content(digest.hexdigest(), tuple(means))


def _brain_files(root: Path, record: dict[str, Any], *, twins: bool) -> Iterator[tuple[str, Path]]:
    name = record["subject"]
    for prefix, folder in (("", record["grade"]), ("twin ", HEALTHY_TWINS))[: 1 + twins]:
        for kind in (*SCANNERS["medium"].contrasts, "seg"):
            yield prefix + kind, root / folder / name / f"{name}_{kind}.nii.gz"


def _skin_files(root: Path, record: dict[str, Any], *, twins: bool) -> Iterator[tuple[str, Path]]:
    name = record["image"]
    images, masks = FOLDERS[record["group"]]
    yield "image", root / images / f"{name}.jpg"
    yield "mask", root / masks / f"{name}_Segmentation.png"
    if twins:
        yield "twin image", root / HEALTHY_TWINS / f"{name}.jpg"


def _decode(path: Path) -> NDArray[Any]:
    if path.name.endswith(".nii.gz"):
        volume: Any = nibabel.load(path)
        return np.asarray(volume.dataobj)
    with Image.open(path) as picture:
        return np.asarray(picture)
