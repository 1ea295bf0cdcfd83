# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Preparing data sets: writing phantoms where the suite asks for them, and keeping the test data in the store."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from anomalib_patchgan.benchmark.classes import Blueprint
from anomalib_patchgan.benchmark.fingerprint import (
    class_paths,
    data_source_digest,
    digest,
    folder_digest,
    other_source_digest,
    package_versions,
)
from anomalib_patchgan.benchmark.plan import DataSummary, without_locations
from anomalib_patchgan.benchmark.suite import DataEntry
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.store import DataRecord, Store

ReportProgress = Callable[[int, int], None]


def write_phantoms(name: str, entry: DataEntry, progress: ReportProgress) -> None:
    """Write the phantoms of a data set to its root, unless it has none or they are there.

    Raises:
        InputError: The phantoms' class or arguments are wrong, or the root holds something else.
    """
    if entry.phantoms is None:
        return
    where = f"data.{name}.phantoms"
    phantoms = Blueprint(entry.phantoms.class_path, entry.phantoms.init_args, where).build()
    phantoms.write(Path(entry.init_args["root"]), progress)


def summarise_data(name: str, entry: DataEntry, store: Store) -> DataSummary | None:
    """Say what the plan needs of a data set whose record is stored, or None where it is not."""
    content = content_digest(entry)
    key = _record_key(name, entry, content)
    if content is None or not store.has_data(key):
        return None
    return _summary(store.load_data(key, with_images=False), content)


def prepare_data(name: str, entry: DataEntry, store: Store, progress: ReportProgress) -> DataSummary:
    """Set a data set up once and keep its test data in the store, unless they are there.

    Args:
        name: Name of the data set in the suite.
        entry: Its class and arguments.
        store: The store.
        progress: Called with the number of samples read and the number of all.

    Returns:
        What the plan needs to know.

    Raises:
        InputError: The data are missing or cannot be used.
    """
    known = summarise_data(name, entry, store)
    if known:
        return known
    where = f"data.{name}"
    blueprint = Blueprint(entry.class_path, entry.init_args, where)
    if not hasattr(blueprint.built_class, "card"):
        expected = "a datamodule derived from anomalib_patchgan.data.base.MedicalDataModule"
        raise InputError(f"{where}.class_path is {entry.class_path!r}, which has no card(); expected {expected}.")
    datamodule = blueprint.build()
    datamodule.setup()
    content = content_digest(entry)
    images, masks = _read_images(datamodule.test_data, progress)
    record = DataRecord(
        key=_record_key(name, entry, content),
        name=name,
        data_class=entry.class_path,
        data_arguments=entry.init_args,
        card=datamodule.card(),
        samples=_sample_table(datamodule.test_data.samples),
        images=images,
        masks=masks,
        twins=_read_twins(datamodule, images),
    )
    store.save_data(record)
    return _summary(record, content)


def content_digest(entry: DataEntry) -> str | None:
    """Digest of the folders and of the split file that a data set reads, or None where its root is missing."""
    content = folder_digest(Path(entry.init_args["root"]))
    others = [entry.init_args.get(name) for name in ("normal_root", "split_file")]
    further = [folder_digest(Path(path)) for path in others if path]
    return content if content is None or not further else digest([content, *further])


def record_key(name: str, entry: DataEntry) -> str:
    """Key of the record of a data set as it lies on this machine."""
    return _record_key(name, entry, content_digest(entry))


def _record_key(name: str, entry: DataEntry, content: str | None) -> str:
    versions = package_versions()
    record = {
        "name": name,
        "data_class": entry.class_path,
        "data_arguments": without_locations(entry.init_args),
        "content": content,
        "source": data_source_digest(),
        # What reads and resizes the images.
        "versions": {package: versions[package] for package in ("anomalib", "numpy", "torch", "torchvision")},
    }
    if other := other_source_digest(class_paths(entry.class_path, entry.init_args)):
        record["other_source"] = other
    return digest(record)


def _summary(record: DataRecord, content: str | None) -> DataSummary:
    return DataSummary(
        key=record.key,
        content=content,
        protocol=str(record.card["protocol"]),
        card_name=str(record.card["name"]),
        split_sha256=str(record.card["split_sha256"]),
    )


def _sample_table(samples: pd.DataFrame) -> pd.DataFrame:
    table = samples[["sample_id", "subject_id", "lesion_fraction", "slice_index"]].reset_index(drop=True)
    table.insert(2, "label", samples["label_index"].astype(int).to_numpy())
    return pd.DataFrame(table)


def _read_twins(datamodule: Any, images: np.ndarray) -> np.ndarray | None:
    """Read the twins of the abnormal test images as uint8 [N, H, W, 3], zero for normal ones, where there are twins."""
    dataset = datamodule.twins()
    if dataset is None:
        return None
    twins = np.zeros_like(images)
    abnormal = np.flatnonzero(datamodule.test_data.samples["label_index"])
    for index, position in enumerate(abnormal):
        twins[position] = _picture(dataset[index].image)
    return twins


def _picture(image: Any) -> np.ndarray:
    return np.rint(image.numpy().transpose(1, 2, 0).clip(0.0, 1.0) * 255.0).astype(np.uint8)


def _read_images(dataset: Any, progress: ReportProgress) -> tuple[np.ndarray, np.ndarray]:
    """Read the images [N, H, W, 3] as uint8 and the masks [N, H, W] as bool."""
    images: list[np.ndarray] = []
    masks: list[np.ndarray] = []
    for index in range(len(dataset)):
        item = dataset[index]
        images.append(_picture(item.image))
        height, width = images[-1].shape[:2]
        mask = np.zeros((height, width), bool) if item.gt_mask is None else item.gt_mask.numpy().astype(bool)
        masks.append(mask.reshape(height, width))
        progress(index + 1, len(dataset))
    return np.stack(images), np.stack(masks)
