# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Does an exported model decide alike, and how fast is it? One row per backend, measured side by side."""

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from anomalib.data import AnomalibDataModule
from anomalib.models import AnomalibModule
from numpy.typing import NDArray

from anomalib_patchgan.deploy.backends import BACKENDS, REFERENCE
from anomalib_patchgan.deploy.export import Exporter, labels_of
from anomalib_patchgan.deploy.parity import count_flips
from anomalib_patchgan.deploy.runtimes import (
    Outputs,
    Predict,
    UnsupportedError,
    batch_of,
    exported_bytes,
    predict_all,
    run_many,
)
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.evaluation.image import auroc

# Single images per backend that are timed, after the warm-up, in rounds that take turns between the backends.
CALLS, WARM_UP, ROUNDS = 200, 20, 5
# Calls of a batch per round, where throughput is measured.
BATCH_CALLS = 3


def deployment_rows(
    model: AnomalibModule, datamodule: AnomalibDataModule, backends: list[str], threads: int, folder: Path
) -> list[dict[str, Any]]:
    """Run a trained model through each backend on the whole test set, compare, and time.

    Parity is of calibrated scores and maps at the test set's image size. Latency is that of one image in memory,
    model only, synchronous; throughput that of batches of 16, asynchronous where the backend can. Backends take turns
    in rounds, so a change of the machine's speed meets all of them.

    Args:
        model: A trained model.
        datamodule: Its data, set up.
        backends: Names in ``BACKENDS``; the reference is measured too, whether named or not.
        threads: Threads of one inference.
        folder: Where exports are written, one folder each.

    Returns:
        One row per backend, the reference first, as the result store's schema tells. A backend that fails is a row
        with status "failed" and a note, one that this machine cannot run a row with status "unsupported".

    Raises:
        InputError: A backend of an unknown name.
    """
    unknown = [name for name in backends if name not in BACKENDS]
    if unknown:
        raise InputError(f"backends: found {unknown[0]!r}, expected names among {', '.join(BACKENDS)}.")
    names = [REFERENCE, *(name for name in backends if name != REFERENCE)]
    try:
        exporter = Exporter(model, datamodule)
    except InputError as error:
        return [_row(name, len(datamodule.test_data), threads, ("failed", str(error))) for name in names]
    images = exporter.images_of(datamodule.test_data)
    labels = labels_of(datamodule.test_data)
    opened: dict[str, Predict] = {}
    outputs: dict[str, Outputs] = {}
    parities: dict[str, dict[str, Any]] = {}
    failures: dict[str, tuple[str, str]] = {}
    for name in names:
        target = folder / name
        target.mkdir(parents=True, exist_ok=True)
        with _noted(failures, name):
            opened[name] = BACKENDS[name].open(exporter, target, threads)
            outputs[name] = predict_all(opened[name], images)
            parities[name] = _parity(outputs[REFERENCE], outputs[name], labels) if REFERENCE in outputs else {}
    timings = _time_side_by_side({name: opened[name] for name in parities}, images, failures)
    rows = []
    for name in names:
        row = _row(name, len(images), threads, failures.get(name, ("ok", None)))
        if name in timings:
            row |= parities[name] | timings[name] | {"size_bytes": exported_bytes(folder / name)}
            if REFERENCE in timings:
                row["speedup"] = timings[REFERENCE]["latency_ms_p50"] / timings[name]["latency_ms_p50"]
        rows.append(row)
    return rows


def _row(name: str, samples: int, threads: int, status: tuple[str, str | None]) -> dict[str, Any]:
    """What is known of a backend before it has run."""
    facts = {"backend": name, "precision": BACKENDS[name].precision, "samples": samples, "threads": threads}
    return facts | {"status": status[0], "note": status[1]}


@contextlib.contextmanager
def _noted(failures: dict[str, tuple[str, str]], name: str) -> Iterator[None]:
    """Note what a backend fails by, as a status and a sentence, and go on."""
    try:
        yield
    except UnsupportedError as error:
        failures[name] = "unsupported", str(error)
    except Exception as error:  # noqa: BLE001 - any failure of a backend is a row of the report
        text = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        failures[name] = "failed", str(error) if isinstance(error, InputError) else text


def _parity(reference: Outputs, other: Outputs, labels: NDArray[np.int64]) -> dict[str, Any]:
    """Differences of calibrated scores, maps, AUROC and labels; ties at the threshold are counted apart.

    Where there is one class only, there is no difference of the AUROC.
    """
    difference = np.abs(reference.score.astype(np.float64) - other.score)
    flips, ties = count_flips(reference, other)
    maps = None
    if reference.map is not None and other.map is not None:
        maps = float(np.abs(reference.map.astype(np.float64) - other.map).max())
    return {
        "score_max_abs_diff": float(difference.max()),
        "score_mean_abs_diff": float(difference.mean()),
        "map_max_abs_diff": maps,
        "auroc_diff": auroc(labels, other.score) - auroc(labels, reference.score) if 0 < labels.mean() < 1 else None,
        "label_flips": flips,
        "label_ties": ties,
    }


def _time_side_by_side(
    opened: dict[str, Predict], images: NDArray[np.float32], failures: dict[str, tuple[str, str]]
) -> dict[str, dict[str, float]]:
    """Latency percentiles in ms and throughput in images per second, backends taking turns round by round.

    A backend that fails meanwhile is noted among the failures, and timed no further.
    """
    single = [np.ascontiguousarray(images[index % len(images)][None]) for index in range(CALLS)]
    batch = batch_of(images)
    latencies: dict[str, list[float]] = {name: [] for name in opened}
    rates: dict[str, list[float]] = {name: [] for name in opened}
    for name, predict in opened.items():
        with _noted(failures, name):
            for image in single[:WARM_UP]:
                predict(image)
            run_many(predict, batch)
    gc.disable()
    try:
        for number in range(ROUNDS):
            for name, predict in opened.items():
                if name in failures:
                    continue
                with _noted(failures, name):
                    for image in single[number::ROUNDS]:
                        latencies[name].append(_seconds(predict, image))
                    rates[name] += [_rate(predict, batch) for _ in range(BATCH_CALLS)]
    finally:
        gc.enable()
    return {
        name: {
            f"latency_ms_p{percent}": float(1000 * np.percentile(latencies[name], percent)) for percent in (50, 90, 99)
        }
        | {"throughput": float(np.median(rates[name]))}
        for name in opened
        if name not in failures
    }


def _seconds(predict: Predict, images: NDArray[np.float32]) -> float:
    started = perf_counter()
    predict(images)
    return perf_counter() - started


def _rate(predict: Predict, batch: NDArray[np.float32]) -> float:
    """Images per second."""
    started = perf_counter()
    return run_many(predict, batch) / (perf_counter() - started)
