# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A folder of runs: written atomically, read without torch.

Layout::

    plan.json
    jobs/<key>/{run.json, scores.parquet, calibration.parquet, maps.npz, curves.parquet}
    jobs/<key>/reconstructions.npz, only of the method
    jobs/<key>/{artefacts.parquet, artefact_pixels.parquet}, only where a suite asked for them
    data/<key>/{card.json, samples.parquet, images.npz}, and twins.npz of phantoms with healthy twins
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from anomalib_patchgan.errors import InputError, sentence
from anomalib_patchgan.store.files import (
    REMOVE_FOLDER,
    CannotWriteError,
    read_json,
    remove_unfinished,
    replaced_folder,
    write_json,
)
from anomalib_patchgan.store.lock import locked
from anomalib_patchgan.store.schema import DataRecord, Run

_RUN_TABLES = ("scores", "calibration", "curves", "artefacts", "artefact_pixels")
_RUN_IN_OTHER_FILES = (*_RUN_TABLES, "maps", "reconstructions")
# Without these nothing can be done with a plan.
_PLAN_KEYS = {"suite": str, "jobs": list}
# Its folder is the store, with every result.
_REMOVE_PLAN = "remove this file alone, and `benchmark` writes it again and keeps the results"
_DATA_IN_OTHER_FILES = ("samples", "images", "masks", "twins")


class Store:
    """The result store in one folder.

    Args:
        root: Folder of the store; it is made on the first write.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def locked(self) -> AbstractContextManager[None]:
        """Hold the store for writing.

        Raises:
            InputError: Another living process holds it, or the folder cannot be written.
        """
        return locked(self.root)

    def clean(self) -> int:
        """Remove what killed writes left behind and return how many there were; for the one process that writes."""
        return remove_unfinished(self.root / "jobs") + remove_unfinished(self.root / "data")

    def save_run(self, run: Run) -> None:
        """Write a run; one that failed earlier is replaced, one that finished never is.

        Raises:
            CannotWriteError: The disk is full, or does not take a file; nothing is left of the run.
            FileExistsError: A finished run is stored under this key.
            ValueError: The status is unknown, or a finished run has no scores or maps of another length.
        """
        run.check()
        if self.run_status(run.key) == "finished":
            raise FileExistsError(f"a finished run is never overwritten: {self._run_folder(run.key)}")
        content = {item.name: getattr(run, item.name) for item in fields(run) if item.name not in _RUN_IN_OTHER_FILES}
        with replaced_folder(self._run_folder(run.key)) as folder:
            for name in _RUN_TABLES:
                table = getattr(run, name)
                if table is not None:
                    table.to_parquet(folder / f"{name}.parquet", index=False)
            if run.maps is not None:
                np.savez_compressed(folder / "maps.npz", maps=run.maps.astype(np.float16, copy=False))
            if run.reconstructions is not None:
                np.savez_compressed(folder / "reconstructions.npz", reconstructions=run.reconstructions)
            write_json(folder / "run.json", content)

    def load_run(self, key: str, with_maps: bool = False) -> Run:
        """Read a run; maps and reconstructions, which are large, only when asked for.

        Raises:
            InputError: There is no such run, it is damaged, or it was written by another version.
        """
        folder = self._run_folder(key)
        content = _known(Run, read_json(folder / "run.json"), folder / "run.json")
        large: dict[str, Any] = {
            name: _table(folder / f"{name}.parquet") if (folder / f"{name}.parquet").exists() else None
            for name in _RUN_TABLES
        }
        if with_maps:
            large |= {name: _array(folder, name) for name in ("maps", "reconstructions")}
        return Run(**content, **large)

    def summaries(self) -> Iterator[Run]:
        """Read every run of the store, of whichever plan, without its tables and maps.

        Raises:
            InputError: One was written by another version.
        """
        for path in sorted((self.root / "jobs").glob("*/run.json")):
            yield Run(**_known(Run, read_json(path), path))

    def run_status(self, key: str) -> str | None:
        """Say ``finished`` or ``failed`` without reading the tables, or None where there is no run."""
        path = self._run_folder(key) / "run.json"
        return str(read_json(path)["status"]) if path.exists() else None

    def save_data(self, record: DataRecord) -> None:
        """Write a data record; one that is there stays, since its key says that it is the same.

        Raises:
            CannotWriteError: The disk is full, or does not take a file; nothing is left of the record.
            ValueError: Images or masks are missing or are not as many as the samples.
        """
        if self.has_data(record.key):
            return
        if record.images is None or record.masks is None:
            raise ValueError(f"data {record.key} has no images or no masks")
        for name, array in (("images", record.images), ("masks", record.masks)):
            if len(array) != len(record.samples):
                raise ValueError(f"data {record.key} has {len(array)} {name} for {len(record.samples)} samples")
        content = {
            item.name: getattr(record, item.name) for item in fields(record) if item.name not in _DATA_IN_OTHER_FILES
        }
        with replaced_folder(self._data_folder(record.key)) as folder:
            record.samples.to_parquet(folder / "samples.parquet", index=False)
            np.savez_compressed(folder / "images.npz", images=record.images, masks=record.masks)
            if record.twins is not None:
                np.savez_compressed(folder / "twins.npz", twins=record.twins)
            write_json(folder / "card.json", content)

    def load_data(self, key: str, with_images: bool = True) -> DataRecord:
        """Read a data record.

        Raises:
            InputError: There is no such record, it is damaged, or it was written by another version.
        """
        folder = self._data_folder(key)
        content = read_json(folder / "card.json")
        large: dict[str, Any] = {"samples": _table(folder / "samples.parquet")}
        if with_images:
            with np.load(folder / "images.npz", allow_pickle=False) as archive:
                large |= {name: archive[name] for name in ("images", "masks")}
        return DataRecord(**_known(DataRecord, content, folder / "card.json"), **large)

    def load_twins(self, key: str) -> np.ndarray | None:
        """Read the twins of a data record, which :meth:`load_data` leaves out, or None where it has none."""
        return _array(self._data_folder(key), "twins")

    def has_data(self, key: str) -> bool:
        """Say whether a data record with this key is stored."""
        return (self._data_folder(key) / "card.json").exists()

    def save_plan(self, plan: dict[str, Any]) -> None:
        """Write the plan; the one that was there is replaced.

        Raises:
            CannotWriteError: The disk is full, or does not take a file; the plan that was there stays.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            write_json(self.root / "plan.json", plan)
        except OSError as error:
            raise CannotWriteError(f"{self.root / 'plan.json'} cannot be written ({error.strerror}).") from error

    def has_plan(self) -> bool:
        """Say whether a plan is stored."""
        return (self.root / "plan.json").exists()

    def load_plan(self) -> dict[str, Any]:
        """Read the plan.

        Raises:
            InputError: The folder has no plan, or a damaged one.
        """
        if not self.has_plan():
            found = "no plan.json in it" if self.root.is_dir() else "no such folder"
            expected = "a folder written by `anomalib-patchgan benchmark`"
            raise InputError(f"{self.root} is not a result store ({found}); expected {expected}.")
        path = self.root / "plan.json"
        plan = read_json(path, _REMOVE_PLAN)
        for key, kind in _PLAN_KEYS.items():
            if not isinstance(plan.get(key), kind):
                raise InputError(f"{path}: found no {key}, expected a plan as `benchmark` writes; {_REMOVE_PLAN}.")
        return plan

    def _run_folder(self, key: str) -> Path:
        return self.root / "jobs" / key

    def _data_folder(self, key: str) -> Path:
        return self.root / "data" / key


def _table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({sentence(error)}); {REMOVE_FOLDER}.") from error


def _array(folder: Path, name: str) -> np.ndarray | None:
    """Read the one array of a file, or None where there is no such file."""
    path = folder / f"{name}.npz"
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as archive:
        return np.asarray(archive[name])


def _known(schema: type, content: dict[str, Any], path: Path) -> dict[str, Any]:
    """Check that a file has exactly the keys of its schema, so that a damaged one is a sentence and no TypeError."""
    in_other_files = {*_RUN_IN_OTHER_FILES, *_DATA_IN_OTHER_FILES}
    expected = {item.name for item in fields(schema)} - in_other_files
    if set(content) != expected:
        differing = ", ".join(sorted(expected.symmetric_difference(content)))
        raise InputError(f"{path} has missing or unknown keys ({differing}); {REMOVE_FOLDER}.")
    return content
