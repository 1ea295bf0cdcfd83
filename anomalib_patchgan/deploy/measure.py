# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Does an exported model decide alike, and how fast is it? One row per backend, measured side by side."""

import gc
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from anomalib.data import AnomalibDataModule
from anomalib.models import AnomalibModule
from numpy.typing import NDArray

from anomalib_patchgan.deploy.backends import BACKENDS, REFERENCE, Outputs, Predict, exported_bytes
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.evaluation.image import auroc

# Single images per backend that are timed, after the warm-up, in rounds that take turns between the backends.
CALLS, WARM_UP, ROUNDS = 200, 20, 5
# Images per call where throughput is measured, and calls of it per round.
BATCH, BATCH_CALLS = 16, 3
# A calibrated score this close to the threshold of 0.5 is a tie: rounding may flip its label either way.
TIE = 1e-6


def deployment_rows(
    model: AnomalibModule, datamodule: AnomalibDataModule, backends: list[str], threads: int, folder: Path
) -> list[dict[str, Any]]:
    """Run a trained model through each backend on the whole test set, compare, and time.

    Parity is of calibrated scores and maps at the test set's image size. Latency is that of one image in memory,
    model only, synchronous; throughput that of batches of 16. Backends take turns in rounds, so a change of the
    machine's speed meets all of them.

    Args:
        model: A trained model.
        datamodule: Its data, set up.
        backends: Names in ``BACKENDS``; the reference is measured too, whether named or not.
        threads: Threads of one inference.
        folder: Where exports are written, one folder each.

    Returns:
        One row per backend, the reference first, as the result store's schema tells. A backend that fails is a row
        with status "failed" and a note.

    Raises:
        InputError: A backend of an unknown name.
    """
    unknown = [name for name in backends if name not in BACKENDS]
    if unknown:
        raise InputError(f"backends: found {unknown[0]!r}, expected names among {', '.join(BACKENDS)}.")
    images, labels = _test_set(datamodule)
    size = (images.shape[2], images.shape[3])
    names = [REFERENCE, *(name for name in backends if name != REFERENCE)]
    opened: dict[str, Predict] = {}
    outputs: dict[str, Outputs] = {}
    failures: dict[str, str] = {}
    for name in names:
        target = folder / name
        target.mkdir(parents=True, exist_ok=True)
        try:
            opened[name] = BACKENDS[name](model, target, size, threads)
            outputs[name] = _predict_all(opened[name], images)
        except Exception as error:  # noqa: BLE001 - any failure of an exporter is a row of the report
            failures[name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            opened.pop(name, None)
    timings = _time_side_by_side(opened, images)
    rows = []
    for name in names:
        row: dict[str, Any] = {
            "backend": name,
            "precision": "fp32",
            "samples": len(images),
            "threads": threads,
            "status": "failed" if name in failures else "ok",
            "note": failures.get(name),
        }
        if name in outputs and name in timings:
            row |= _parity(outputs[REFERENCE], outputs[name], labels) if REFERENCE in outputs else {}
            row |= timings[name] | {"size_bytes": exported_bytes(folder / name)}
            if REFERENCE in timings:
                row["speedup"] = timings[REFERENCE]["latency_ms_p50"] / timings[name]["latency_ms_p50"]
        rows.append(row)
    return rows


def _test_set(datamodule: AnomalibDataModule) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Images [N, 3, H, W] and labels [N] of the test set, in its order, not pre-processed by a model."""
    data = datamodule.test_data
    items = [data[index] for index in range(len(data))]
    images = np.stack([item.image.numpy() for item in items]).astype(np.float32)
    return images, np.array([int(item.gt_label) for item in items], dtype=np.int64)


def _predict_all(predict: Predict, images: NDArray[np.float32]) -> Outputs:
    parts = [predict(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    scores, labels, maps = zip(*parts, strict=True)
    return np.concatenate(scores), np.concatenate(labels), None if maps[0] is None else np.concatenate(maps)


def _parity(reference: Outputs, other: Outputs, labels: NDArray[np.int64]) -> dict[str, Any]:
    """Differences of calibrated scores, maps, AUROC and labels; ties at the threshold are counted apart."""
    difference = np.abs(reference[0].astype(np.float64) - other[0])
    flipped = reference[1].astype(bool) != other[1].astype(bool)
    tied = np.abs(reference[0] - 0.5) <= TIE
    maps = None
    if reference[2] is not None and other[2] is not None:
        maps = float(np.abs(reference[2].astype(np.float64) - other[2]).max())
    return {
        "score_max_abs_diff": float(difference.max()),
        "score_mean_abs_diff": float(difference.mean()),
        "map_max_abs_diff": maps,
        "auroc_diff": auroc(labels, other[0]) - auroc(labels, reference[0]),
        "label_flips": int((flipped & ~tied).sum()),
        "label_ties": int(tied.sum()),
    }


def _time_side_by_side(opened: dict[str, Predict], images: NDArray[np.float32]) -> dict[str, dict[str, float]]:
    """Latency percentiles in ms and throughput in images per second, backends taking turns round by round."""
    single = [np.ascontiguousarray(images[index % len(images)][None]) for index in range(CALLS)]
    batch = np.ascontiguousarray(images[np.arange(BATCH) % len(images)])
    latencies: dict[str, list[float]] = {name: [] for name in opened}
    rates: dict[str, list[float]] = {name: [] for name in opened}
    for predict in opened.values():
        for image in single[:WARM_UP]:
            predict(image)
        predict(batch)
    gc.disable()
    try:
        for number in range(ROUNDS):
            for name, predict in opened.items():
                for image in single[number::ROUNDS]:
                    latencies[name].append(_seconds(predict, image))
                rates[name] += [BATCH / _seconds(predict, batch) for _ in range(BATCH_CALLS)]
    finally:
        gc.enable()
    return {
        name: {
            f"latency_ms_p{percent}": float(1000 * np.percentile(latencies[name], percent)) for percent in (50, 90, 99)
        }
        | {"throughput": float(np.median(rates[name]))}
        for name in opened
    }


def _seconds(predict: Predict, images: NDArray[np.float32]) -> float:
    started = perf_counter()
    predict(images)
    return perf_counter() - started
