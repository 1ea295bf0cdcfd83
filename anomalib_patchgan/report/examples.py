# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Example images, chosen by rule and never by hand."""

import io
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from anomalib_patchgan.report.findings import UNREADABLE, DataResult
from anomalib_patchgan.report.scores import run_threshold
from anomalib_patchgan.store import DataRecord, Run, Store

RULE = (
    "Chosen by rule from the test set, by the image score of the method's first finished seed. Best: the abnormal "
    "image with the highest score. Median: the one in the middle of the ranking of abnormal images. Worst: the "
    "one with the lowest score. Missed: of the abnormal images at or below the threshold, the one with the largest "
    "lesion. False alarm: the normal image with the highest score above the threshold."
)
TILES = {
    "input": "Input",
    "map": "Anomaly map",
    "reconstruction": "Reconstruction",
    "mask": "Lesion, outlined",
    "twin": "Healthy twin",
}
"""What the gallery shows of an image, in order, as far as it is stored, and what it is called."""

_TILE = 192
_OUTLINE = (0, 230, 255)
# Enough pixels for a percentile; all of them would need as much memory again as the maps.
_PIXELS = 4_000_000
# Share of the test pixels that the threshold of the page's slider leaves unmarked at first; no label is looked at.
_MARKED_FROM = 99.0


@dataclass(frozen=True)
class Tile:
    """One encoded picture.

    Attributes:
        name: What it shows: a name in ``TILES``, or ``levels`` (the map in gray, for the page to colour).
        content: The file's bytes.
        kind: ``jpeg`` or ``png``.
        width: In pixels.
        height: In pixels.
        alternative: Text that stands for the picture.
    """

    name: str
    content: bytes
    kind: str
    width: int
    height: int
    alternative: str


@dataclass(frozen=True)
class Example:
    """One test image as the gallery shows it."""

    rule: str
    sample_id: str
    subject_id: str
    abnormal: bool
    score: float
    decision: str
    lesion: str
    tiles: tuple[Tile, ...]

    def tile(self, name: str) -> Tile | None:
        """The picture of this name, or None."""
        return next((tile for tile in self.tiles if tile.name == name), None)


@dataclass(frozen=True)
class MapScale:
    """What the levels of the shown maps mean.

    Attributes:
        low: Value at level 0 and below.
        high: Value at level 255 and above.
        shares: [256] share of the test pixels above each level.
        marked_from: Level above which pixels are marked at first.
    """

    low: float
    high: float
    shares: tuple[float, ...]
    marked_from: int


@dataclass(frozen=True)
class Gallery:
    """The examples of one data set, what there is to say about them, and what their maps' levels mean."""

    examples: tuple[Example, ...]
    remarks: tuple[str, ...]
    scale: MapScale | None = None

    @property
    def shown(self) -> list[str]:
        """Names in ``TILES`` of which there is at least one picture."""
        return [name for name in TILES if any(example.tile(name) for example in self.examples)]


def choose(
    labels: NDArray[np.int64],
    scores: NDArray[np.float64],
    lesion_fractions: NDArray[np.float64],
    threshold: float | None,
) -> dict[int, str]:
    """Choose the samples to show.

    Args:
        labels: [N], 0 or 1.
        scores: [N].
        lesion_fractions: [N], NaN where not known.
        threshold: Score above which an image is called abnormal, or None.

    Returns:
        The name of the rule, or of the rules, that chose each position.
    """
    abnormal = np.flatnonzero(labels == 1)
    ranked = abnormal[np.argsort(-scores[abnormal], kind="stable")]
    chosen: list[tuple[str, int]] = []
    if ranked.size:
        middle = ranked[(ranked.size - 1) // 2]
        chosen += [("Best", int(ranked[0])), ("Median", int(middle)), ("Worst", int(ranked[-1]))]
    if threshold is not None:
        missed = ranked[scores[ranked] <= threshold]
        if missed.size:
            size = np.nan_to_num(lesion_fractions[missed], nan=-1.0)
            chosen.append(("Missed", int(missed[np.argmax(size)])))
        normal = np.flatnonzero(labels == 0)
        alarms = normal[scores[normal] > threshold]
        if alarms.size:
            chosen.append(("False alarm", int(alarms[np.argmax(scores[alarms])])))
    rules: dict[int, str] = {}
    for rule, position in chosen:
        rules[position] = f"{rules[position]}, {rule.lower()}" if position in rules else rule
    return rules


def gallery(store: Store, data: DataResult, record: DataRecord | None, method: str) -> Gallery:
    """Make the examples of one data set from the method's first finished seed.

    Args:
        store: Where the maps are.
        data: Results on the data set.
        record: Its record with images and masks, or None where they cannot be read.
        method: Name of the method's row.
    """
    row = next((one for one in data.results if one.model == method and one.seeds), None)
    if row is None or data.record is None:
        return Gallery((), (f"No examples: {method} has no usable result on this data set.",))
    run = next(one for one in row.runs if one.seed == row.seeds[0].seed)
    if record is None or record.images is None or record.masks is None or run.scores is None:
        return Gallery((), ("No examples: the store holds no test images of this data set.",))
    try:
        stored = store.load_run(run.key, with_maps=True)
        twins = store.load_twins(record.key)
    except UNREADABLE as error:
        # A kept score does not ask for the maps, so this may be the first look at them.
        where = f"the pictures in jobs/{run.key} or data/{record.key}"
        return Gallery((), (f"No examples: {where} cannot be read ({type(error).__name__}: {error}).",))
    maps, reconstructions = stored.maps, stored.reconstructions
    threshold = run_threshold(run)
    scores = run.scores["raw_score"].to_numpy(dtype=np.float64)
    samples = record.samples
    chosen = choose(
        samples["label"].to_numpy(), scores, samples["lesion_fraction"].to_numpy(dtype=np.float64), threshold
    )
    scale = _scale(maps)
    examples = []
    for position, rule in chosen.items():
        sample = samples.iloc[position]
        fraction = float(sample["lesion_fraction"])
        examples.append(
            Example(
                rule=rule,
                sample_id=str(sample["sample_id"]),
                subject_id=str(sample["subject_id"]),
                abnormal=bool(sample["label"] == 1),
                score=float(scores[position]),
                decision=_decision(float(scores[position]), threshold),
                lesion=f"{100.0 * fraction:.1f} % of the image" if np.isfinite(fraction) else "size not recorded",
                tiles=_tiles(
                    str(sample["sample_id"]),
                    record.images[position],
                    anomaly_map=None if maps is None or scale is None else (maps[position], scale),
                    reconstruction=None if reconstructions is None else reconstructions[position],
                    mask=record.masks[position] if record.card.get("has_masks", True) else None,
                    twin=None if twins is None or sample["label"] == 0 else twins[position],
                ),
            )
        )
    return Gallery(tuple(examples), tuple(_remarks(run, threshold, maps is not None, scale, chosen)), scale)


def _decision(score: float, threshold: float | None) -> str:
    if threshold is None:
        return "no threshold"
    return "called abnormal" if score > threshold else "called normal"


def _remarks(
    run: Run, threshold: float | None, has_maps: bool, scale: MapScale | None, chosen: dict[int, str]
) -> list[str]:
    """Say which run is shown, how its map is coloured and which rule found nothing."""
    remarks = [f"Seed {run.seed}; scores are raw, before any normalisation."]
    if threshold is None:
        remarks.append("The threshold is not attainable with these calibration samples, so no miss can be named.")
    else:
        remarks.append(f"Threshold {threshold:.4g}.")
        rules = ", ".join(chosen.values()).lower()
        if "missed" not in rules:
            remarks.append("No abnormal image was missed at the threshold.")
        if "false alarm" not in rules:
            remarks.append("No normal image was above the threshold.")
    if not has_maps:
        remarks.append("The store holds no anomaly maps of this run, so none are shown.")
    elif scale is None:
        remarks.append("The anomaly maps hold no finite value, so none are shown.")
    else:
        remarks.append(
            f"One colour scale for all maps, dark {scale.low:.3g} to bright {scale.high:.3g} "
            "(1st to 99.9th percentile of all test pixels)."
        )
    return remarks


def _scale(maps: NDArray[np.float16] | None) -> MapScale | None:
    """Common range of the colours, so that the maps of one data set can be compared by eye."""
    if maps is None:
        return None
    pixels = maps.reshape(-1)[:: max(1, maps.size // _PIXELS)].astype(np.float32)
    finite = pixels[np.isfinite(pixels)]
    if not finite.size:
        return None
    low, marked, high = (float(value) for value in np.percentile(finite, [1.0, _MARKED_FROM, 99.9]))
    counts = np.bincount(_levels(finite, low, high).ravel(), minlength=256)
    shares = 1.0 - np.cumsum(counts) / finite.size
    level = int(_levels(np.array([marked]), low, high)[0])
    return MapScale(low, high, tuple(np.abs(np.round(shares, 4)).tolist()), level)


def _levels(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.uint8]:
    spread = max(high - low, float(np.finfo(np.float32).tiny))
    shares = np.nan_to_num(np.clip((values.astype(np.float32) - low) / spread, 0.0, 1.0))
    return np.round(shares * 255.0).astype(np.uint8)


def _tiles(
    sample_id: str,
    image: NDArray[np.uint8],
    anomaly_map: tuple[NDArray[np.float16], MapScale] | None,
    reconstruction: NDArray[np.uint8] | None,
    mask: NDArray[np.bool_] | None,
    twin: NDArray[np.uint8] | None,
) -> tuple[Tile, ...]:
    """Encode what there is of an image, at the size of the gallery, in the order in which it is shown."""
    picture = _enlarged(image)
    tiles = [_jpeg("input", picture, f"{sample_id}: input image")]
    if anomaly_map is not None:
        values, scale = anomaly_map
        levels = Image.fromarray(_levels(values, scale.low, scale.high)).resize(picture.size, Image.Resampling.NEAREST)
        coloured = levels.copy()
        coloured.putpalette((mpl.colormaps["magma"](np.arange(256), bytes=True)[:, :3]).tobytes())
        alternative = f"{sample_id}: anomaly map of the method"
        tiles += [_png("map", coloured, alternative), _png("levels", levels, alternative)]
    if reconstruction is not None:
        tiles.append(
            _jpeg("reconstruction", _enlarged(reconstruction), f"{sample_id}: what the method reconstructs it as")
        )
    if mask is not None:
        enlarged = Image.fromarray(mask.astype(np.uint8) * 255).resize(picture.size, Image.Resampling.NEAREST)
        lesion = np.asarray(enlarged) > 0
        outlined = np.asarray(picture).copy()
        outlined[lesion & ~ndimage.binary_erosion(lesion, iterations=2)] = _OUTLINE
        shown = "input with the lesion outlined" if mask.any() else "input, no lesion"
        tiles.append(_jpeg("mask", Image.fromarray(outlined), f"{sample_id}: {shown}"))
    if twin is not None:
        tiles.append(_jpeg("twin", _enlarged(twin), f"{sample_id}: its healthy twin, the same phantom without lesion"))
    return tuple(tiles)


def _enlarged(image: NDArray[np.uint8]) -> Image.Image:
    """A picture [H, W, 1 or 3] at the size of the gallery."""
    factor = _TILE / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    smooth = Image.Resampling.LANCZOS if factor < 1.0 else Image.Resampling.BICUBIC
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("RGB").resize(size, smooth)


def _png(name: str, picture: Image.Image, alternative: str) -> Tile:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return Tile(name, buffer.getvalue(), "png", *picture.size, alternative)


def _jpeg(name: str, picture: Image.Image, alternative: str) -> Tile:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90, subsampling=0, optimize=True)
    return Tile(name, buffer.getvalue(), "jpeg", *picture.size, alternative)
