# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What a prediction writes: a table that survives a kill, maps, masks and overlays."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import threading
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from filelock import FileLock, Timeout
from PIL import Image

from anomalib_patchgan.deploy.preparation import MAP_CODES
from anomalib_patchgan.deploy.sources import KINDS, RUN_NAME, TABLE_NAME, volume_base
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import series_files, write_png, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from numpy.typing import NDArray

    from anomalib_patchgan.deploy.preparation import PreparedInput

_LOCK_NAME = ".lock"
DONE, FAILED = "ok", "failed"
# A heat scale, by its colour at equal steps of the map's value, and how far it covers the picture at most.
_HEAT = np.array([[0, 0, 96], [0, 96, 160], [64, 160, 64], [255, 160, 0], [255, 0, 0]], dtype=np.float32)
_STRONGEST = 0.6
_SHADES = 256


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        input: Name of the input.
        status: ``ok`` or ``failed``.
        raw_score: Highest raw score of its tiles; empty where it failed.
        score: Highest calibrated score of its tiles, in (0, 1); empty where it failed.
        label: 1 for abnormal, 0 for normal; empty where it failed.
        tiles: Number of images of the model that it was cut into.
        highest_slice: Slice of the highest score, from the feet, from 0; empty for an image.
        message: Why it failed.
        stamp: Size and time of change of its files, so that a resumed prediction knows them again.
    """

    input: str
    status: str
    raw_score: float | str = ""
    score: float | str = ""
    label: int | str = ""
    tiles: int = 0
    highest_slice: int | str = ""
    message: str = ""
    stamp: str = ""


_COLUMNS = [field.name for field in fields(Row)]


class ResultTable:
    """``scores.csv`` of a folder: a line is added when all that belongs to an input has been written.

    Args:
        folder: The folder; made if it is missing.
        run: What results depend on; JSON-able. A table is only resumed by the same.
        resume: Whether to keep the lines of an earlier run, and not to predict what they list as done.
        stamps: What each input is known again by, by its name.

    Raises:
        InputError: If the folder cannot be written, is being written by another process, holds files that are not
            results, or holds results and is not to be resumed, or those of another run or of other files.
    """

    def __init__(self, folder: Path, run: dict[str, Any], resume: bool, stamps: Mapping[str, str]) -> None:
        self.path = folder / TABLE_NAME
        self._lock = threading.Lock()
        self._process_lock = FileLock(folder / _LOCK_NAME)
        self._stamps = stamps
        self.rows: dict[str, Row] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._process_lock.acquire(timeout=0)
        except Timeout as error:
            message = f"{folder}: found a prediction that is writing here, expected one at a time."
            raise InputError(message) from error
        except OSError as error:
            raise _unwritable(folder, error) from error
        try:
            self._open(folder, run, resume)
        except OSError as error:
            self._process_lock.release()
            raise _unwritable(folder, error) from error
        except InputError:
            self._process_lock.release()
            raise

    def _open(self, folder: Path, run: dict[str, Any], resume: bool) -> None:
        if self.path.exists():
            self._take_over(folder / RUN_NAME, run, resume)
        else:
            _refuse_foreign_files(folder, run)
        write_whole(folder / RUN_NAME, (json.dumps(run, indent=1, sort_keys=True) + "\n").encode())
        self._replace(list(self.rows.values()))
        self._stream = self.path.open("a", encoding="utf-8", newline="")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._process_lock.release()

    def add(self, row: Row) -> None:
        """Add a line and flush it.

        Args:
            row: The line, without its stamp.
        """
        if row.status == DONE:
            row = replace(row, stamp=self._stamps.get(row.input, ""))
        with self._lock:
            self.rows[row.input] = row
            self._stream.write(_lines([row]))
            self._stream.flush()

    def sort(self, names: list[str]) -> None:
        """Bring the lines into an order, once no more are added.

        Args:
            names: Inputs, in the order wanted.
        """
        order = {name: place for place, name in enumerate(names)}
        self._replace(sorted(self.rows.values(), key=lambda row: order.get(row.input, len(order))))

    def _take_over(self, record: Path, run: dict[str, Any], resume: bool) -> None:
        if not resume:
            raise InputError(f"{self.path}: found results, expected an empty folder; --resume goes on with them.")
        try:
            before = json.loads(record.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{record}: found no readable record of the run, expected one to resume it.") from error
        differing = [key for key in run if before.get(key) != run[key]]
        if differing:
            raise InputError(
                f"{record}: found results of another run (its {differing[0]} differs), expected the same to resume it."
            )
        for row in self._done_before():
            if self._stamps.get(row.input, row.stamp) != row.stamp:
                raise InputError(
                    f"{self.path}: found results of another file {row.input!r}, or of an earlier state of it, "
                    "expected the same files to resume them."
                )
            self.rows[row.input] = row

    def _done_before(self) -> list[Row]:
        """What the table lists as done."""
        try:
            content = self.path.read_text(encoding="utf-8")
            # A line that the kill cut short has no end.
            lines = csv.DictReader(io.StringIO(content[: content.rfind("\n") + 1]))
            return [Row(**line) for line in lines if line["status"] == DONE]  # type: ignore[arg-type]
        except (UnicodeDecodeError, csv.Error, KeyError, TypeError) as error:
            raise InputError(f"{self.path}: found a table that was changed, expected it as it was written.") from error

    def _replace(self, rows: list[Row]) -> None:
        write_whole(self.path, (",".join(_COLUMNS) + "\n" + _lines(rows)).encode())


def stamp(files: Iterable[Path]) -> str:
    """What files are known again by, without reading them: their sizes, and when they were changed last.

    Args:
        files: Files, or folders that stand for the series in them; results that lie there do not count.

    Returns:
        16 hexadecimal digits; empty if a file is missing or cannot be looked at.
    """
    try:
        looked_at = [
            (each.name, status.st_size, status.st_mtime_ns)
            for path in files
            for each in (series_files(path) if path.is_dir() else [path])
            if each.name not in (TABLE_NAME, RUN_NAME)
            for status in [each.stat()]
        ]
    except OSError:
        return ""
    return hashlib.sha256(repr(looked_at).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(f"{folder}: found a folder that cannot be written ({error.strerror}), expected one.")


def _refuse_foreign_files(folder: Path, run: Mapping[str, Any]) -> None:
    """Where there is no table, what lies where results would is the user's, and would be written over."""
    record = folder / RUN_NAME
    # That of a prediction which was killed before its table was there says the same things.
    if record.exists() and _names_in(record) != run.keys():
        raise InputError(f"{record}: found a file but no {TABLE_NAME} beside it, expected a folder for results alone.")
    for kind in KINDS:
        if (folder / kind).exists() and any((folder / kind).iterdir()):
            raise InputError(
                f"{folder / kind}: found files but no {TABLE_NAME} of theirs, expected a folder for results alone."
            )


def _names_in(record: Path) -> set[str]:
    """What a JSON file says something of; nothing where it is none."""
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
    except ValueError:
        return set()
    return set(content) if isinstance(content, dict) else set()


def _lines(rows: list[Row]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([getattr(row, column) for column in _COLUMNS] for row in rows)
    return stream.getvalue()


@dataclass(frozen=True)
class MapWriter:
    """Writes the maps of an input.

    Attributes:
        folder: Where results are written, in the folders ``maps``, ``masks`` and ``overlays``.
        kinds: Which of the three.
        pixel_threshold: Value of the map in [0, 1] above which a pixel is in the mask.
    """

    folder: Path
    kinds: frozenset[str]
    pixel_threshold: float

    def write(self, name: str, prepared: PreparedInput, codes: NDArray[np.uint16], shown: int) -> None:
        """Write what was asked for.

        Args:
            name: Name of the input.
            prepared: The input.
            codes: Its map ``[slices, rows, columns]``; 65535 stands for 1.
            shown: Slice that the overlay shows.
        """
        mask = codes > self.pixel_threshold * MAP_CODES
        if prepared.space is None:
            self._write_image(name, codes[0], mask[0])
        else:
            base = volume_base(name)
            if "maps" in self.kinds:
                path = self.folder / "maps" / f"{base}.nii.gz"
                prepared.space.write(path, codes, 1 / MAP_CODES, "anomaly map, 0 to 1")
            if "masks" in self.kinds:
                path = self.folder / "masks" / f"{base}.nii.gz"
                prepared.space.write(path, mask.view(np.uint8), 1, "anomaly mask, 1 is abnormal")
        if "overlays" in self.kinds:
            picture = overlay(prepared.picture(shown), codes[shown])
            write_png(self.folder / "overlays" / f"{name}.png", picture)

    def _write_image(self, name: str, codes: NDArray[np.uint16], mask: NDArray[np.bool_]) -> None:
        if "maps" in self.kinds:
            # A PNG of 16 bits would be an eighth smaller and take ten times as long to write.
            pixels = codes.astype("<u2", copy=False).tobytes()
            write_whole(self.folder / "maps" / f"{name}.tif", _tiff_head(codes.shape) + pixels)
        if "masks" in self.kinds:
            write_png(self.folder / "masks" / f"{name}.png", mask.astype(np.uint8) * np.uint8(255))


@lru_cache(maxsize=64)
def _tiff_head(shape: tuple[int, int]) -> bytes:
    """What comes before the pixels in a TIFF file of 16 bits, little-endian, which costs Pillow more than they do.

    Args:
        shape: Rows and columns.
    """
    stream = io.BytesIO()
    blank = np.zeros(shape, dtype="<u2")
    Image.fromarray(blank).save(stream, format="TIFF")
    return stream.getvalue()[: -blank.nbytes]


def overlay(picture: NDArray[np.float32], codes: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Lay a map over a picture: the higher its value, the hotter the colour and the less is seen of the picture.

    Args:
        picture: In [0, 1], ``[1 or 3, rows, columns]``.
        codes: The map, ``[rows, columns]``; 65535 stands for 1.

    Returns:
        uint8 ``[rows, columns, 3]``.
    """
    shade = (codes >> 8).astype(np.uint8)
    heat, cover = _heat_table()
    grey = np.clip(picture, 0, 1).transpose(1, 2, 0) * np.float32(255)
    return (grey * (1 - cover[shade])[..., None] + heat[shade]).astype(np.uint8)


def _heat_table() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Colour, already weighed by what it covers, and the share that it covers, of each shade."""
    value = np.linspace(0, 1, _SHADES, dtype=np.float32)
    steps = np.linspace(0, 1, len(_HEAT))
    colour = np.stack([np.interp(value, steps, channel) for channel in _HEAT.T], axis=1)
    cover = _STRONGEST * value
    return (colour * cover[:, None]).astype(np.float32), cover.astype(np.float32)
