# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Does an exported model decide as the trained one does? On the whole test set, with a gate for each precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from anomalib.data import AnomalibDataModule
from anomalib.models import AnomalibModule
from numpy.typing import NDArray

from anomalib_patchgan.deploy.backends import BACKENDS, REFERENCE, check_arithmetic
from anomalib_patchgan.deploy.core import reason_of
from anomalib_patchgan.deploy.device import check_threads
from anomalib_patchgan.deploy.export import PRECISIONS, Exporter, labels_of
from anomalib_patchgan.deploy.identity import ModelIdentity, read_model
from anomalib_patchgan.deploy.quantisation import interquartile_range
from anomalib_patchgan.deploy.runtimes import OpenVinoRuntime, Outputs, UnsupportedError, predict_all
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.evaluation.bootstrap import auroc_draws, draw_subjects, percentile_interval
from anomalib_patchgan.evaluation.image import auroc

# Calibrated scores this close to the threshold of 0.5 are ties: rounding may flip their label either way.
TIE = 1e-6
PASSED, FAILED, UNSUPPORTED = "passed", "failed", "unsupported"


@dataclass(frozen=True)
class Gate:
    """What a precision has to keep.

    Attributes:
        flips: Most labels that may differ, ties apart; None for any number.
        score: Largest difference of a raw score, as a share of the interquartile range of normal validation
            scores; None for any.
        auroc: Largest difference of the image AUROC; None for any.
    """

    flips: int | None = None
    score: float | None = None
    auroc: float | None = None


GATES = {
    "fp32": Gate(flips=0, score=1e-3),
    "fp16": Gate(auroc=0.002),
    "bf16": Gate(auroc=0.002),
    "int8": Gate(auroc=0.005),
    "int8_bf16": Gate(auroc=0.005),
}


@dataclass(frozen=True, kw_only=True)
class ParityRow:
    """How far a backend is from the trained model.

    Attributes:
        backend: Name of the backend.
        precision: What it computes in; empty where that could not be read.
        status: ``passed``, ``failed`` or ``unsupported``.
        note: Why it did not pass.
        samples: Number of test images.
        score_max: Largest difference of a raw score, in interquartile ranges of normal validation scores.
        score_mean: Mean difference, in the same.
        map_max: Largest difference of a calibrated map; None without maps.
        map_mean: Mean difference of the maps.
        auroc: Image AUROC of the backend.
        auroc_difference: Minus that of the trained model.
        auroc_low: Lower end of the 95 % interval of that difference, over draws of subjects; None where it has none.
        auroc_high: Its upper end.
        flips: Labels that differ, ties apart.
        ties: Calibrated scores of the trained model within 1e-6 of the threshold.
        quantised: Number of layers in eight bits.
    """

    backend: str
    precision: str
    status: str
    note: str = ""
    samples: int = 0
    score_max: float | None = None
    score_mean: float | None = None
    map_max: float | None = None
    map_mean: float | None = None
    auroc: float | None = None
    auroc_difference: float | None = None
    auroc_low: float | None = None
    auroc_high: float | None = None
    flips: int | None = None
    ties: int | None = None
    quantised: int = 0


class ParityBench:
    """Compares backends with a trained model on its test set.

    Args:
        model: The trained model.
        datamodule: Its data, set up.
        threads: Threads of inference.

    Raises:
        InputError: If there is no thread, or if normal validation images are test images too.
    """

    def __init__(self, model: AnomalibModule, datamodule: AnomalibDataModule, threads: int) -> None:
        check_threads(threads)
        self.exporter = Exporter(model, datamodule)
        self._threads = threads
        self._images = self.exporter.images_of(datamodule.test_data)
        self._labels = labels_of(datamodule.test_data)
        samples = getattr(datamodule.test_data, "samples", None)
        subjects = [str(index) for index in range(len(self._labels))]
        if samples is not None and "subject_id" in samples:
            subjects = samples["subject_id"].astype(str).tolist()
        self._draws = draw_subjects(subjects)
        predict = BACKENDS[REFERENCE].open(self.exporter, Path(), threads)
        self._reference = predict_all(predict, self._images)
        normal = predict_all(predict, self.exporter.normal_images())
        self._spread = interquartile_range(normal.raw_score.astype(np.float64))

    def compare_export(self, path: Path) -> ParityRow:
        """Compare an exported model.

        Args:
            path: The ``.xml`` file.

        Raises:
            InputError: If it cannot be read or run, or is an export of another model or of other data.
        """
        _, identity = read_model(path)
        if identity.precision not in GATES:
            raise InputError(f"{path}: found the precision {identity.precision!r}, expected one of {', '.join(GATES)}.")
        name = f"openvino_{identity.precision}"
        self._check_identity(path, identity)
        try:
            check_arithmetic(identity.precision)
            outputs = predict_all(OpenVinoRuntime(path, self._threads), self._images)
        except UnsupportedError as error:
            return ParityRow(backend=name, precision=identity.precision, status=UNSUPPORTED, note=str(error))
        except RuntimeError as error:
            raise InputError(f"{path}: found that it does not run ({reason_of(error)}), expected it to.") from error
        return self._compare(name, identity.precision, outputs, len(identity.quantised))

    def compare_backend(self, name: str, folder: Path) -> ParityRow:
        """Compare a backend by its name, for instance ``onnxruntime_fp32``.

        Args:
            name: A name in ``BACKENDS``.
            folder: Where it may write.
        """
        backend = BACKENDS[name]
        try:
            outputs = predict_all(backend.open(self.exporter, folder, self._threads), self._images)
        except UnsupportedError as error:
            return ParityRow(backend=name, precision=backend.precision, status=UNSUPPORTED, note=str(error))
        return self._compare(name, backend.precision, outputs, 0)

    def _check_identity(self, path: Path, identity: ModelIdentity) -> None:
        expected = self.exporter.identity(identity.precision, [])
        for name in ("model_class", "arguments", "raw_image_threshold", "data"):
            found, wanted = getattr(identity, name), getattr(expected, name)
            if found != wanted:
                raise InputError(f"{path}: found a model whose {name} is {found!r}, expected {wanted!r}, as trained.")

    def _compare(self, name: str, precision: str, outputs: Outputs, quantised: int) -> ParityRow:
        reference = self._reference
        differences = np.abs(reference.raw_score.astype(np.float64) - outputs.raw_score) / self._spread
        maps: NDArray[Any] | None = None
        if reference.map is not None and outputs.map is not None:
            maps = np.abs(reference.map.astype(np.float64) - outputs.map)
        flips, ties = count_flips(reference, outputs)
        found = auroc(self._labels, outputs.raw_score)
        # The same draws for both, so that what they share falls out of the difference.
        interval = percentile_interval(
            auroc_draws(self._labels, outputs.raw_score, self._draws)
            - auroc_draws(self._labels, reference.raw_score, self._draws)
        )
        row = ParityRow(
            backend=name,
            precision=precision,
            status=PASSED,
            samples=len(differences),
            score_max=float(differences.max()),
            score_mean=float(differences.mean()),
            map_max=None if maps is None else float(maps.max()),
            map_mean=None if maps is None else float(maps.mean()),
            auroc=found,
            auroc_difference=found - auroc(self._labels, reference.raw_score),
            auroc_low=None if interval is None else interval.low,
            auroc_high=None if interval is None else interval.high,
            flips=flips,
            ties=ties,
            quantised=quantised,
        )
        reasons = broken_by(row)
        return row if not reasons else ParityRow(**asdict(row) | {"status": FAILED, "note": "; ".join(reasons)})


def failed_row(path: Path, error: InputError) -> ParityRow:
    """The row of an export that cannot be compared.

    Args:
        path: The ``.xml`` file.
        error: Why not.
    """
    note = str(error).removeprefix(f"{path}: ")
    return ParityRow(backend=str(path), precision="", status=FAILED, note=note)


def measure_parity(
    model: AnomalibModule, datamodule: AnomalibDataModule, exports: Mapping[str, Path], threads: int = 1
) -> list[ParityRow]:
    """Compare exported models with the trained one on the whole test set.

    Args:
        model: The trained model.
        datamodule: Its data, set up.
        exports: The ``.xml`` file of each precision.
        threads: Threads of inference.

    Returns:
        A row for each.
    """
    bench = ParityBench(model, datamodule, threads)
    return [bench.compare_export(path) for path in exports.values()]


def broken_by(row: ParityRow) -> list[str]:
    """What a row breaks of the gate of its precision.

    Args:
        row: The row, with numbers.
    """
    gate = GATES[row.precision]
    reasons = []
    if gate.flips is not None and row.flips is not None and row.flips > gate.flips:
        reasons.append(f"{row.flips} labels flipped, at most {gate.flips} may")
    if gate.score is not None and row.score_max is not None and not row.score_max < gate.score:
        reasons.append(f"a raw score differs by {row.score_max:.2g} interquartile ranges, less than {gate.score:g} may")
    if gate.auroc is not None and row.auroc_difference is not None and abs(row.auroc_difference) > gate.auroc:
        reasons.append(f"the AUROC differs by {row.auroc_difference:+.4f}, at most {gate.auroc:g} may")
    if PRECISIONS[row.precision].quantises and not row.quantised:
        reasons.append("no layer is quantised")
    return reasons


def count_flips(reference: Outputs, other: Outputs) -> tuple[int, int]:
    """Count labels that differ, without ties at the threshold of 0.5, and those ties.

    Args:
        reference: What the trained model says.
        other: What a backend says.
    """
    flipped = reference.label.astype(bool) != other.label.astype(bool)
    tied = np.abs(reference.score - 0.5) <= TIE
    return int((flipped & ~tied).sum()), int(tied.sum())


def parity_table(rows: list[ParityRow]) -> str:
    """Write rows as a table in Markdown."""
    header = (
        "backend",
        "status",
        "images",
        "raw score, largest (IQR)",
        "mean",
        "map, largest",
        "mean",
        "AUROC",
        "difference [95 %]",
        "flips",
        "ties",
        "8-bit layers",
    )
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |"]
    for row in rows:
        interval = "" if row.auroc_low is None else f" [{row.auroc_low:+.4f}, {row.auroc_high:+.4f}]"
        cells = (
            row.backend,
            f"{row.status}{': ' + row.note if row.note else ''}",
            str(row.samples),
            _number(row.score_max),
            _number(row.score_mean),
            _number(row.map_max),
            _number(row.map_mean),
            "" if row.auroc is None else f"{row.auroc:.4f}",
            "" if row.auroc_difference is None else f"{row.auroc_difference:+.4f}{interval}",
            "" if row.flips is None else str(row.flips),
            "" if row.ties is None else str(row.ties),
            str(row.quantised),
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"
