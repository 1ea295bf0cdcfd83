# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A small store, made through the store's own interface: two data sets, four models, two seeds, one failed job."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from anomalib_patchgan.evaluation import declared_threshold
from anomalib_patchgan.store import DataRecord, Run, Store

SIDE = 48
PATIENTS = 30
PER_PATIENT = 4
# name -> role, note, how far its scores part abnormal from normal, whether it gives a map
MODELS = {
    "Patch-GAN": ("method", "", 1.6, True),
    "Patch-GAN, untrained": ("control", "weights as initialised", 0.1, True),
    "PaDiM": ("comparator", "EfficientNet-Lite0 weights from a package index", 1.5, True),
    "Mean intensity": ("trivial", "", 0.6, False),
}


def data_record(name: str, phantom: bool) -> DataRecord:
    generator = np.random.default_rng(len(name))
    count = PATIENTS * PER_PATIENT
    labels = (np.arange(count) % PER_PATIENT) // 2
    rows, columns = np.mgrid[:SIDE, :SIDE]
    centres = generator.integers(14, SIDE - 14, size=(count, 2))
    radii = generator.uniform(2.0, 6.0, count)
    distances = np.hypot(rows - centres[:, 0, None, None], columns - centres[:, 1, None, None])
    masks = (distances < radii[:, None, None]) & (labels[:, None, None] == 1)
    head = np.hypot(rows - SIDE / 2, (columns - SIDE / 2) * 1.15) < SIDE * 0.44
    gray = head * (90 + 12 * generator.normal(size=(count, SIDE, SIDE))) + masks * 70
    images = np.repeat(np.clip(gray, 0, 255).astype(np.uint8)[..., None], 3, axis=3)
    samples = pd.DataFrame(
        {
            "sample_id": [f"{name}/subject{index // PER_PATIENT:02d}/{index % PER_PATIENT}" for index in range(count)],
            "subject_id": [f"subject{index // PER_PATIENT:02d}" for index in range(count)],
            "label": labels,
            "lesion_fraction": masks.mean(axis=(1, 2)),
            "slice_index": np.arange(count) % PER_PATIENT,
        }
    )
    card = {
        "name": name,
        "protocol": "slice",
        "normal_means": "A slice of a patient without any lesion pixel; it is not a healthy person's slice.",
        "protocol_parameters": {"margin": 2, "stride": 1},
        "image_size": [SIDE, SIDE],
        "groups": {
            "train": {"subjects": 40, "normal": 400, "abnormal": 0},
            "test": {"subjects": PATIENTS, "normal": 60, "abnormal": 60},
        },
        "excluded": {"too little brain": 31, "margin of the lesion": 12},
        "split_sha256": "5f" * 32,
        "phantom": phantom,
        "phantom_parameters": {"generator": "brain", "version": 1, "level": "medium"} if phantom else None,
    }
    return DataRecord(
        key=f"data-{len(name)}",
        name=name,
        data_class="anomalib_patchgan.data.BraTS2019",
        data_arguments={"protocol": "slice"},
        card=card,
        samples=samples,
        images=images,
        masks=masks,
        twins=np.where(masks[..., None], images // 2, images) * labels.astype(np.uint8)[:, None, None, None]
        if phantom
        else None,
    )


def finished_run(key: str, model: str, record: DataRecord, seed: int) -> Run:
    role, note, separation, has_map = MODELS[model]
    generator = np.random.default_rng([seed, len(model), len(record.name)])
    labels = record.samples["label"].to_numpy()
    scores = generator.normal(labels * separation, 1.0)
    assert record.masks is not None
    # 20 calibration subjects of two images each, just enough for a target of 5 %.
    calibration = generator.normal(size=40)
    calibration_subjects = [f"calibration-{index // 2}" for index in range(40)]
    threshold = declared_threshold(calibration, 0.05, calibration_subjects).value
    maps = (generator.normal(size=record.masks.shape) + separation * record.masks).astype(np.float16)
    return Run(
        key=key,
        model=model,
        role=role,
        note=note,
        model_class=f"anomalib_patchgan.models.{model.replace(' ', '')}",
        model_arguments={"patch_size": 8},
        data=record.name,
        data_key=record.key,
        protocol="slice",
        seed=seed,
        status="finished",
        threads=2,
        parameters=320_000,
        budget={"epochs": 3, "steps": 120},
        timings={"prepare": 0.4, "fit": 12.5 + seed, "test": 1.25},
        environment={"python": "3.11.2", "packages": {"torch": "2.10.0", "anomalib": "2.7.0"}, "processor": "2 cores"},
        deployment=deployment_rows() if role == "method" and seed == 0 else [],
        scores=pd.DataFrame(
            {"sample_id": record.samples["sample_id"], "raw_score": scores, "predicted_label": scores > threshold}
        ),
        calibration=pd.DataFrame(
            {
                "sample_id": [f"calibration-{index}" for index in range(40)],
                "subject_id": calibration_subjects,
                "raw_score": calibration,
            }
        ),
        thresholds={"image": threshold} | ({"pixel": 2.3} if has_map else {}),
        maps=maps if has_map else None,
        reconstructions=np.full((*record.masks.shape, 1), 90, np.uint8) if role == "method" else None,
    )


def deployment_rows() -> list[dict[str, Any]]:
    row: dict[str, Any] = {
        "backend": "openvino_fp32",
        "precision": "fp32",
        "score_max_abs_diff": 2.1e-6,
        "score_mean_abs_diff": 3.0e-7,
        "map_max_abs_diff": 4.4e-6,
        "auroc_diff": 0.0,
        "label_flips": 0,
        "label_ties": 1,
        "samples": 120,
        "latency_ms_p50": 4.2,
        "latency_ms_p90": 4.9,
        "latency_ms_p99": 7.7,
        "throughput": 231.0,
        "speedup": 2.31,
        "threads": 2,
        "size_bytes": 1_300_000,
        "status": "ok",
        "note": "",
    }
    absent = dict.fromkeys(row)
    return [
        row | {"backend": "pytorch_fp32", "latency_ms_p50": 9.7, "throughput": 99.0, "speedup": 1.0},
        row,
        absent
        | {"backend": "openvino_int8", "status": "unsupported", "note": "this processor has no such instruction"},
    ]


def write_small_store(
    root: Path,
    names: tuple[str, ...] = ("brain phantoms", "skin"),
    change: Callable[[Run], Run | None] = lambda run: run,
    models: tuple[str, ...] = tuple(MODELS),
) -> Path:
    """Write a store; ``change`` may alter a run before it is saved, or return None to leave it out."""
    store = Store(root)
    jobs = []
    for name in names:
        record = data_record(name, phantom="phantom" in name)
        store.save_data(record)
        for model in models:
            for seed in (0, 1):
                run = finished_run(f"{len(name)}-{len(model)}-{seed}", model, record, seed)
                shared = ("key", "model", "role", "note", "data", "data_key", "seed")
                jobs.append({name: getattr(run, name) for name in shared})
                changed = change(run)
                if changed is not None:
                    store.save_run(changed)
    store.save_plan(
        {
            "suite": "quickstart",
            "question": "Is Patch-GAN ahead of simpler detectors?",
            "method": "Patch-GAN",
            "jobs": jobs,
            "models": {name: {} for name in models},
            "data": {name: {} for name in names},
            "seeds": [0, 1],
            "threads": 2,
            "versions": {"anomalib_patchgan": "0.1.0"},
            "command": "anomalib-patchgan benchmark benchmarks/quickstart.yaml",
        }
    )
    return root


@pytest.fixture(scope="session")
def write_store() -> Callable[..., Path]:
    """Write a small store to a folder of the test's choice."""
    return write_small_store


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., Path]:
    """Write a small store to the test's own folder."""
    return partial(write_small_store, tmp_path / "store")


def fail_one(run: Run) -> Run:
    """Let the second seed of PaDiM on skin fail."""
    if (run.model, run.data, run.seed) == ("PaDiM", "skin", 1):
        run.status = "failed"
        run.error = "The features of layer <3> were missing."
        run.traceback = "Traceback (most recent call last):\n  ValueError: <b>no features</b> & more"
        run.scores = run.maps = run.calibration = None
    return run


@pytest.fixture(scope="session")
def one_failed() -> Callable[[Run], Run]:
    """A change for ``make_store``: the second seed of PaDiM on skin fails."""
    return fail_one
