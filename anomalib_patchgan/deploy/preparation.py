# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""How a file becomes the images that a model takes, the same as when the model was trained.

A preparation travels in the metadata of an exported model. It cuts an input into tiles (the slices of a volume, the
patches of a photograph, or the image as a whole), and brings the maps of the tiles back to the input's own pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, get_type_hints

import numpy as np
from PIL import Image

from anomalib_patchgan.data.volumes import Window, scale_volume
from anomalib_patchgan.deploy.plain import fits
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import (
    IntensityRange,
    NativeSpace,
    axial_volume,
    balance_colours,
    check_background,
    check_photograph_size,
    check_same_grid,
    header_of,
    read_dicom_grid,
    read_photograph,
    read_photograph_size,
    read_raster,
    read_volume,
    resize_image,
    scale_raster,
    skin_balance,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from anomalib_patchgan.io import Volume

MAP_CODES = 65535
"""The code of a map that stands for 1."""
OF_A_MANIFEST = ("volume",)
"""What the volume of a subject is called where a manifest lists it; no file is named so."""
# Codes of images in the cache of the datamodules: what a model was trained on went through them.
_IMAGE_CODES = 65535
_DEEP_MODES = ("I", "F")


@dataclass(frozen=True)
class Tile:
    """A part of an input that becomes one image of the model.

    Attributes:
        slice_index: Slice of the input; 0 where there is only one.
        window: Rectangle of that slice, in its own pixels; it may reach beyond the slice.
    """

    slice_index: int
    window: Window


@dataclass(frozen=True)
class PreparedInput:
    """An input, read and cut into tiles.

    Attributes:
        tiles: Its tiles.
        shape: Slices, rows and columns of the input.
        read: Gives the pixels of a tile in [0, 1], float32 ``[1 or 3, rows, columns]``.
        picture: Gives a slice as a viewer shows it, in [0, 1], float32 ``[1 or 3, rows, columns]``.
        space: Grid of the volume that the input is; None for an image.
        channels: Number of channels of a slice.
    """

    tiles: Sequence[Tile]
    shape: tuple[int, int, int]
    read: Callable[[Tile], NDArray[np.float32]]
    picture: Callable[[int], NDArray[np.float32]]
    space: NativeSpace | None = None
    channels: int = 3

    @property
    def slice_bytes(self) -> int:
        """Bytes of a slice in float32."""
        _, rows, columns = self.shape
        return 4 * self.channels * rows * columns

    def images(self, *sizes: tuple[int, int]) -> Iterator[NDArray[np.float32]]:
        """Yield each tile as the model takes it, ``[3, height, width]``.

        Args:
            sizes: Heights and widths that it is brought to, one after the other.
        """
        for tile in self.tiles:
            channels = list(self.read(tile))
            for size in sizes:
                channels = [resize_image(channel, size) for channel in channels]
            yield np.stack(channels if len(channels) == 3 else channels * 3)

    def assemble(self, maps: Sequence[NDArray[np.float32]]) -> NDArray[np.uint16]:
        """Bring the maps of the tiles to the pixels of the input; where tiles overlap, the higher value stays.

        Args:
            maps: One map a tile, in [0, 1], float32 ``[rows, columns]``.

        Returns:
            Codes ``[slices, rows, columns]``; ``MAP_CODES`` stands for 1, and 0 for what no tile covers too.
        """
        canvas = np.zeros(self.shape, dtype=np.uint16)
        for tile, own in zip(self.tiles, maps, strict=True):
            window = tile.window
            resized = resize_image(np.ascontiguousarray(own), (window.height, window.width))
            scaled = np.clip(resized, 0, 1)
            scaled *= MAP_CODES
            # Half a code is rounded down: a pixel at the threshold of 0.5 is not above it.
            scaled -= 0.5
            codes = np.ceil(scaled, out=scaled).astype(np.uint16)
            top, left = max(window.top, 0), max(window.left, 0)
            bottom, right = window.top + window.height, window.left + window.width
            target = canvas[tile.slice_index, top:bottom, left:right]
            shown = codes[top - window.top :, left - window.left :][: target.shape[0], : target.shape[1]]
            np.maximum(target, shown, out=target)
        return canvas


class Preparation(Protocol):
    """Reads inputs of one kind."""

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images of the model."""

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the volumes that make one input; empty where an input is an image."""

    def open(self, files: Sequence[Path]) -> PreparedInput:
        """Read an input.

        Args:
            files: One path, or one for each modality.

        Raises:
            InputError: If it cannot be read or is of another kind.
        """


@dataclass(frozen=True)
class RasterPreparation:
    """Whole images of any depth: scaled to [0, 1] and resized, whatever their aspect.

    Attributes:
        image_size: Height and width of the model's images.
        intensity_range: Intensities that become 0 and 1 in images deeper than eight bits; None finds them for each.
        aliased: Whether images are resized without antialiasing, as a model's own step did in training.
    """

    image_size: tuple[int, int]
    intensity_range: tuple[float, float] | None = None
    aliased: bool = False
    modalities = ()

    def open(self, files: Sequence[Path]) -> PreparedInput:
        """Read an image."""
        path = _one_image(files)
        declared = None if self.intensity_range is None else IntensityRange(*self.intensity_range)
        scaled = scale_raster(read_raster(path), declared)
        if scaled is None:
            raise InputError(f"{path}: found an image of one intensity only, expected some contrast.")
        rows, columns = scaled.shape[1:]
        resize = _resize_aliased if self.aliased else resize_image

        def read(_tile: Tile) -> NDArray[np.float32]:
            resized = np.stack([resize(channel, self.image_size) for channel in scaled])
            # The datamodules keep images as 16-bit codes.
            return np.rint(resized * np.float32(_IMAGE_CODES)) / np.float32(_IMAGE_CODES)

        return PreparedInput(_whole(rows, columns), (1, rows, columns), read, lambda _: scaled, channels=len(scaled))


@dataclass(frozen=True)
class PhotographPreparation:
    """Colour photographs at a working size, as a whole or patch by patch.

    Attributes:
        image_size: Height and width of the model's images.
        working_size: Pixels of the shorter side that a photograph is brought to first.
        patch_size: Side of a patch in pixels of the photograph at its working size; None takes it as a whole.
        colour_constancy: Whether its colours are scaled so that its own skin is grey.
    """

    image_size: tuple[int, int]
    working_size: int
    patch_size: int | None = None
    colour_constancy: bool = False
    modalities = ()

    def open(self, files: Sequence[Path]) -> PreparedInput:
        """Read a photograph; its map is that of the photograph at its own size."""
        path = _one_image(files)
        rows, columns = read_photograph_size(path)
        check_photograph_size(path, (rows, columns))
        with Image.open(path) as opened:
            if opened.mode.startswith(_DEEP_MODES):
                raise InputError(f"{path}: found pixels of the kind {opened.mode}, expected 8 bits a channel.")
        colours = read_photograph(path, self.working_size)
        balance = skin_balance(colours) if self.colour_constancy else None
        working = colours.transpose(2, 0, 1)
        height, width = working.shape[1:]
        if min(height, width) < (self.patch_size or 1):
            raise InputError(f"{path}: found {height} x {width} pixels, expected {self.patch_size} or more a side.")
        scale = rows / height, columns / width
        places = {_scaled_window(window, scale): window for window in _patches(height, width, self.patch_size)}

        def read(tile: Tile) -> NDArray[np.float32]:
            window = places[tile.window]
            part = working[:, window.top : window.top + window.height, window.left : window.left + window.width]
            image = np.ascontiguousarray(part).astype(np.float32) / np.float32(255)
            return image if balance is None else balance_colours(image, balance)

        def picture(_slice: int) -> NDArray[np.float32]:
            channels = working.astype(np.float32) / np.float32(255)
            return np.stack([resize_image(channel, (rows, columns)) for channel in channels])

        return PreparedInput([Tile(0, window) for window in places], (1, rows, columns), read, picture)


@dataclass(frozen=True)
class VolumePreparation:
    """Axial slices of volumes that are scaled as a whole.

    Attributes:
        image_size: Height and width of the model's images.
        modalities: Names of the volumes of a subject, one or three; the first tells tissue from background.
        field_of_view: Side in mm of the square around the centre of the body that is cut from every slice.
        minimum_area: Area in mm2 of tissue that a slice needs; others are outside what the model was trained on.
        patch_size: Side of a patch in pixels of the volume; None takes the square as a whole.
        maximum_background: Largest share of background of a patch.
        intensity_range: Intensities that become 0 and 1, and below which is background; None where background is zero,
            and the rest is scaled by its upper quartile.
    """

    image_size: tuple[int, int]
    modalities: tuple[str, ...]
    field_of_view: float
    minimum_area: float
    patch_size: int | None = None
    maximum_background: float = 1.0
    intensity_range: tuple[float, float] | None = None

    def open(self, files: Sequence[Path]) -> PreparedInput:
        """Read the volumes of a subject: NIfTI files, or the folder of a DICOM series."""
        if len(files) != len(self.modalities):
            raise InputError(
                f"{files[0]}: found {len(files)} volumes, expected {len(self.modalities)}, "
                f"{', '.join(self.modalities)}."
            )
        declared = None if self.intensity_range is None else IntensityRange(*self.intensity_range)
        volume, space = _read_native(files[0])
        channels = [scale_volume(files[0], volume, declared)]
        for path in files[1:]:
            other, other_space = _read_native(path)
            check_same_grid(path, header_of(other_space.image), header_of(space.image), files[0].name)
            channels.append(scale_volume(path, other, declared))
        first = channels[0]
        if declared is None:
            for path, channel in zip(files, channels, strict=True):
                check_background(path, sum(channel.counts), math.prod(channel.shape))
        whole = first.central_window(self.field_of_view)
        pixel_area = first.spacing[1] * first.spacing[2]
        tiles = [
            Tile(index, window)
            for index, count in enumerate(first.counts)
            if count and count * pixel_area >= self.minimum_area
            for window in _patches(whole.height, whole.width, self.patch_size, whole.top, whole.left)
            if self.patch_size is None or np.mean(first.read(index, window) == 0) <= self.maximum_background
        ]
        if not tiles:
            raise InputError(
                f"{files[0]}: found no slice with {self.minimum_area:g} mm2 of tissue, expected some, as in training."
            )
        slices, rows, columns = first.shape
        everything = Window(0, 0, rows, columns)

        def read(tile: Tile) -> NDArray[np.float32]:
            return np.stack([channel.read_intensities(tile.slice_index, tile.window) for channel in channels])

        def picture(index: int) -> NDArray[np.float32]:
            return first.read_intensities(index, everything)[None]

        return PreparedInput(tiles, (slices, rows, columns), read, picture, space, len(channels))


_KINDS: dict[str, Callable[..., Preparation]] = {
    "raster": RasterPreparation,
    "photograph": PhotographPreparation,
    "volume": VolumePreparation,
}


def preparation_to_plain(preparation: Preparation) -> dict[str, Any]:
    """Write a preparation as what JSON can hold."""
    kind = next(name for name, known in _KINDS.items() if type(preparation) is known)
    return {"kind": kind, **asdict(preparation)}  # type: ignore[call-overload]


def preparation_from_plain(plain: Mapping[str, Any]) -> Preparation:
    """Read a preparation that :func:`preparation_to_plain` wrote.

    Raises:
        InputError: If this version of the package does not know it.
    """
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise InputError(f"preparation: found the kind {kind!r}, expected one of {', '.join(_KINDS)}.")
    hints = get_type_hints(_KINDS[kind])
    for name, value in fields.items():
        if name in hints and not fits(value, hints[name]):
            raise InputError(f"preparation: found {value!r} for {name!r}, expected {hints[name]}.")
    try:
        return _KINDS[kind](**fields)
    except TypeError as error:
        raise InputError(f"preparation: found fields not known here ({error}), expected others.") from error


def preparation_of_card(card: Mapping[str, Any]) -> Preparation:
    """Find how a datamodule prepares its samples.

    Args:
        card: What the datamodule says about itself, see
            :meth:`~anomalib_patchgan.data.base.MedicalDataModule.card`.
    """
    parameters = card["protocol_parameters"]
    height, width = card["image_size"]
    size = (int(height), int(width))
    patch_size = parameters["patch_size"] if card["protocol"] == "patch" else None
    declared = parameters.get("intensity_range")
    intensity_range = None if declared is None else (float(declared[0]), float(declared[1]))
    if "field_of_view" in parameters:
        return VolumePreparation(
            size,
            tuple(parameters.get("modality", OF_A_MANIFEST)),
            float(parameters["field_of_view"]),
            float(parameters.get("minimum_brain_area", 0.0)),
            patch_size,
            float(parameters.get("maximum_background_fraction", 1.0)),
            intensity_range,
        )
    if "working_size" in parameters:
        constant = bool(parameters.get("colour_constancy", False))
        return PhotographPreparation(size, int(parameters["working_size"]), patch_size, constant)
    return RasterPreparation(size, intensity_range)


def _one_image(files: Sequence[Path]) -> Path:
    path = files[0]
    if path.name.lower().endswith((".nii", ".nii.gz")):
        raise InputError(f"{path}: found a volume, expected an image, as the model was trained on images.")
    return path


def _resize_aliased(image: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize one channel ``[rows, columns]`` as torchvision does without antialiasing: from the four nearest pixels."""
    for axis, wanted in enumerate(size):
        length = image.shape[axis]
        places = np.maximum((np.arange(wanted) + 0.5) * (length / wanted) - 0.5, 0)
        before = places.astype(np.int64)
        after = np.minimum(before + 1, length - 1)
        share = np.expand_dims((places - before).astype(np.float32), 1 - axis)
        image = image.take(before, axis) * (1 - share) + image.take(after, axis) * share
    return image


def _read_native(path: Path) -> tuple[Volume, NativeSpace]:
    if path.is_dir():
        grid = read_dicom_grid(path)
        volume = axial_volume(grid)
        return volume, NativeSpace(grid)
    return read_volume(path), NativeSpace.of_file(path)


def _whole(rows: int, columns: int) -> list[Tile]:
    return [Tile(0, Window(0, 0, rows, columns))]


def _patches(height: int, width: int, side: int | None, top: int = 0, left: int = 0) -> list[Window]:
    """Patches that cover a rectangle; the last of a row or column overlaps the one before where the side does not fit.

    Args:
        height: Rows of the rectangle.
        width: Columns of the rectangle.
        side: Side of a patch; None for the whole rectangle.
        top: First row of the rectangle.
        left: First column of the rectangle.
    """
    if side is None:
        return [Window(top, left, height, width)]
    return [
        Window(top + row, left + column, side, side) for row in _starts(height, side) for column in _starts(width, side)
    ]


def _starts(length: int, side: int) -> list[int]:
    last = max(0, length - side)
    return sorted({*range(0, last + 1, side), last})


def _scaled_window(window: Window, scale: tuple[float, float]) -> Window:
    top, left = round(window.top * scale[0]), round(window.left * scale[1])
    bottom, right = round((window.top + window.height) * scale[0]), round((window.left + window.width) * scale[1])
    # Of a photograph far smaller than its working size a patch may be less than a pixel.
    return Window(top, left, max(1, bottom - top), max(1, right - left))
