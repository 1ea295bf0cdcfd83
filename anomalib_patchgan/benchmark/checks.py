# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What only imported classes can tell of a suite, checked before anything is written; imports torch and anomalib."""

import inspect
from typing import Any

from anomalib_patchgan.benchmark.classes import Blueprint
from anomalib_patchgan.benchmark.suite import DataEntry, ModelEntry, Suite
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.quiet import without_warnings

# A job sets these itself.
_OF_THE_JOB = {"callbacks", "default_root_dir", "logger"}


def check_classes(suite: Suite) -> None:
    """Check every class of a suite with its arguments, the trainers' arguments and the backends.

    Raises:
        InputError: One of them cannot be used.
    """
    with without_warnings():
        from anomalib_patchgan.benchmark.job import logger_blueprint, model_blueprint

        for name, entry in suite.data.items():
            _check_data(name, entry)
        for name, row in suite.models.items():
            # What a skipped row needs may not be installed here.
            for data in filter(row.runs_on, suite.data if not row.skip else ()):
                model_blueprint(name, row.class_path, row.arguments_for(data))
                _check_trainer(row.trainer_for(data), f"models.{name}.trainer")
            _check_backends(row, f"models.{name}.backends")
        for name, logger in suite.loggers.items():
            logger_blueprint(name, logger, suite.name)


def _check_data(name: str, entry: DataEntry) -> None:
    Blueprint(entry.class_path, entry.init_args, f"data.{name}")
    if entry.phantoms is None:
        return
    where = f"data.{name}.phantoms"
    blueprint = Blueprint(entry.phantoms.class_path, entry.phantoms.init_args, where)
    try:
        blueprint.build()
    except InputError as error:
        raise InputError(f"{where}.init_args does not fit {entry.phantoms.class_path}: {error}") from error


def _check_trainer(trainer: dict[str, Any], where: str) -> None:
    from lightning import Trainer

    # Minutes are turned into steps before Lightning sees them.
    known = {*inspect.signature(Trainer).parameters, "max_minutes"} - _OF_THE_JOB
    for key in trainer:
        if key not in known:
            raise InputError(f"{where} has the unknown key {key!r}; expected arguments of Lightning's Trainer.")


def _check_backends(row: ModelEntry, where: str) -> None:
    if not row.backends or row.skip:
        return
    from anomalib_patchgan.deploy.backends import BACKENDS  # exporters are slow to import and most suites need none

    for name in row.backends:
        if name not in BACKENDS:
            raise InputError(f"{where} names {name!r}; expected some of {', '.join(BACKENDS)}.")
