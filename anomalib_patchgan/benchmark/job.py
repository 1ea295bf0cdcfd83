# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Running one job: seed, build, train, calibrate, test, export. Imports torch and anomalib."""

import contextlib
import importlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
import torch
from anomalib.engine import Engine
from anomalib.models import AnomalibModule
from lightning import seed_everything
from lightning.pytorch import Callback
from threadpoolctl import threadpool_limits

from anomalib_patchgan.benchmark.classes import Blueprint, import_class, takes
from anomalib_patchgan.benchmark.environment import describe_environment
from anomalib_patchgan.benchmark.fingerprint import digest
from anomalib_patchgan.benchmark.labels import declare_thresholds, declared_thresholds
from anomalib_patchgan.benchmark.plan import Job
from anomalib_patchgan.benchmark.recorder import RawScoreRecorder, TrackEpoch
from anomalib_patchgan.benchmark.suite import LoggerEntry
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.quiet import quiet
from anomalib_patchgan.store import Run

# What this process has read last, by the data set's key; no trainer gets it, so that nothing passes from job to job.
_last_data: dict[str, Any] = {}

# The report is made from raw scores, so a model need not spend time on metrics and drawings.
_WITHOUT = ("visualizer", "evaluator")


def run_job(job: Job, track: TrackEpoch, leak: bool = False) -> Run:
    """Train and test one model on one data set with one seed.

    Args:
        job: What to run.
        track: Called with a stage, the steps of it that are done, and all of them.
        leak: Whether to train on samples of test subjects too, see
            :meth:`~anomalib_patchgan.data.base.MedicalDataModule.leak`; for the leak meter only.

    Returns:
        The finished run.
    """
    with workplace(job) as place:
        model, datamodule = place.model, place.datamodule
        if leak:
            datamodule.setup()
            datamodule.leak()
        declare_thresholds(model)
        image_size = _height_and_width(datamodule.image_size)
        # The gallery shows the method's; the other rows need no room for them.
        recorder = RawScoreRecorder(image_size, track, reconstructing=job.role == "method")
        engine = place.engine([recorder], job.trainer, _loggers(job))
        engine.fit(model, datamodule=datamodule)
        timings = {}
        if not recorder.has_calibration:
            calibrating = perf_counter()
            engine.validate(model, datamodule=datamodule, verbose=False)
            timings["calibration"] = perf_counter() - calibrating
        budget = _budget(job, engine, datamodule)
        engine.test(model, datamodule=datamodule, verbose=False)
        timings |= recorder.seconds
        scores, maps = recorder.scores(datamodule.test_data.samples), recorder.maps()
        reconstructions = recorder.reconstructions()
        artefacts, artefact_pixels = _test_under_artefacts(job, model, engine, datamodule, recorder, timings)
        deployment = _deploy(job, model, datamodule, place.folder, timings, track) if job.backends else []
        return Run(
            **job.identity(),
            status="finished",
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            budget=budget,
            timings=timings,
            environment=describe_environment() | {"accelerator": _accelerator(engine)},
            deployment=deployment,
            thresholds=declared_thresholds(model),
            scores=scores,
            calibration=recorder.calibration(datamodule.val_data.samples),
            maps=maps,
            reconstructions=reconstructions,
            curves=recorder.curves(),
            artefacts=artefacts,
            artefact_pixels=artefact_pixels,
        )


@dataclass(frozen=True)
class Workplace:
    """What a job works with.

    Attributes:
        model: The model, freshly built from the job's seed.
        datamodule: The data.
        folder: A temporary folder for what is not kept.
    """

    model: AnomalibModule
    datamodule: Any
    folder: Path

    def engine(self, callbacks: list[Callback], trainer: dict[str, Any], loggers: list[Any]) -> Engine:
        """An engine that trains silently and deterministically, and calibrates once at the end.

        Args:
            callbacks: Callbacks beside anomalib's own.
            trainer: Arguments of Lightning's trainer, which go over the defaults.
            loggers: Loggers of the training.
        """
        # No logger is False and not an empty list, of which Lightning thinks differently here and there.
        arguments = _trainer_arguments(trainer) | {"logger": loggers or False}
        return Engine(callbacks=callbacks, default_root_dir=self.folder, **arguments)


@contextlib.contextmanager
def workplace(job: Job) -> Iterator[Workplace]:
    """Build data, seed and build the model, and keep a job to its threads and from the console while it lasts.

    Raises:
        InputError: A class cannot be imported or does not take its arguments.
    """
    # Registers the timm name of the weights that come as a Python package.
    importlib.import_module("anomalib_patchgan.models.backbones")
    with (
        quiet(),
        tempfile.TemporaryDirectory(prefix="anomalib-patchgan-") as folder,
        # The linear algebra of numpy and scikit-learn has threads of its own.
        threadpool_limits(limits=job.threads),
    ):
        torch.set_num_threads(job.threads)
        # Before the seed, so that it is the same whether the data are read now or were before.
        datamodule = _datamodule(job)
        seed_everything(job.seed, workers=True, verbose=False)
        model = model_blueprint(job.model, job.model_class, job.model_arguments).build()
        yield Workplace(model, datamodule, Path(folder))


def _datamodule(job: Job) -> Any:
    """The job's data in a datamodule of its own, read only where the last job of this process had other data."""
    key = digest([job.data_key, job.data_class, job.data_arguments])
    if key not in _last_data:
        datamodule = Blueprint(job.data_class, job.data_arguments, f"data.{job.data}").build()
        datamodule.setup()
        _last_data.clear()
        _last_data[key] = datamodule
    return _last_data[key].renewed()


def model_blueprint(name: str, class_path: str, arguments: dict[str, Any]) -> Blueprint:
    """Check a model and its arguments without building it.

    Args:
        name: Name of the model's row.
        class_path: Dotted path of its class.
        arguments: Its constructor arguments.

    Raises:
        InputError: The class cannot be imported or does not take the arguments.
    """
    where = f"models.{name}"
    built_class = import_class(class_path, where)
    if not issubclass(built_class, AnomalibModule):
        raise InputError(f"{where}.class_path is {class_path!r}; expected a model derived from AnomalibModule.")
    switched_off = {argument: False for argument in _WITHOUT if takes(built_class, argument)}
    return Blueprint(class_path, switched_off | arguments, where)


def logger_blueprint(name: str, entry: LoggerEntry, title: str) -> Blueprint:
    """Check a logger and its arguments without building it.

    Args:
        name: Name of the entry.
        entry: Its class and arguments.
        title: The job in words; the logger's name of the run where none is given.

    Raises:
        InputError: The class cannot be imported or does not take the arguments.
    """
    built_class = import_class(entry.class_path, f"loggers.{name}")
    # MLflow's name of a run is not that of its logger.
    named = next((argument for argument in ("run_name", "name") if takes(built_class, argument)), None)
    arguments = ({named: title} if named else {}) | entry.init_args
    return Blueprint(entry.class_path, arguments, f"loggers.{name}")


def _loggers(job: Job) -> list[Any]:
    return [logger_blueprint(name, entry, job.title).build() for name, entry in job.loggers.items()]


def _accelerator(engine: Engine) -> str:
    """Where a model was trained and tested; afterwards it is on the CPU again."""
    device = engine.trainer.strategy.root_device
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def _trainer_arguments(given: dict[str, Any]) -> dict[str, Any]:
    """Arguments of Lightning's trainer: at most one calibration and that at the end, deterministic, silent."""
    arguments: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }
    # A training by steps may end between two epochs, so it is calibrated afterwards and not before.
    arguments["check_val_every_n_epoch"] = given.get("max_epochs", sys.maxsize)
    arguments |= given
    if arguments["accelerator"] == "gpu" and not torch.accelerator.is_available():
        raise InputError("PyTorch finds no GPU here; expected one, or a suite with --accelerator cpu.")
    if arguments["accelerator"] == "cpu" and str(arguments.get("precision")).startswith("bf16"):
        from anomalib_patchgan.deploy.device import computes_bfloat16  # imports openvino

        if not computes_bfloat16("CPU"):
            # Asked for to save time, it would be emulated at a tenth of the speed.
            arguments["precision"] = "32-true"
    # Some operations have no deterministic form on an accelerator; there it can only be asked for.
    arguments.setdefault("deterministic", True if arguments["accelerator"] == "cpu" else "warn")
    return arguments


def _budget(job: Job, engine: Engine, datamodule: Any) -> dict[str, Any]:
    budget = job.trainer | {
        "epochs": engine.trainer.current_epoch,
        "optimizer_steps": engine.trainer.global_step,
        "train_samples": len(datamodule.train_data),
    }
    asked, used = str(job.trainer.get("precision")), engine.trainer.precision
    if asked.startswith("bf16") and asked != used:
        budget["trained_in"] = used
    return budget


def _test_under_artefacts(
    job: Job, model: Any, engine: Engine, datamodule: Any, recorder: RawScoreRecorder, timings: dict[str, float]
) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    if job.artefacts is None:
        return None, None
    from anomalib_patchgan.benchmark.artefact_tests import score_under_artefacts  # torchio is slow to import

    started = perf_counter()
    tables = score_under_artefacts(job.artefacts, model, engine.trainer, datamodule, recorder, job.seed)
    timings["artefacts"] = perf_counter() - started
    return tables


def _deploy(
    job: Job, model: Any, datamodule: Any, folder: Path, timings: dict[str, float], track: TrackEpoch
) -> list[dict[str, Any]]:
    from anomalib_patchgan.deploy import deployment_rows  # exporters are slow to import and most jobs need none

    track("deployment", 0, len(job.backends))
    started = perf_counter()
    rows = deployment_rows(
        model=model, datamodule=datamodule, backends=job.backends, threads=job.threads, folder=folder / "deployment"
    )
    timings["deployment"] = perf_counter() - started
    return list(rows)


def _height_and_width(image_size: int | tuple[int, int]) -> tuple[int, int]:
    return (image_size, image_size) if isinstance(image_size, int) else (int(image_size[0]), int(image_size[1]))
