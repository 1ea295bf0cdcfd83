# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Reading a trained model back from the checkpoint that a training left."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, cast

from anomalib.models import AnomalibModule

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.quiet import quiet


def load_trained(class_path: str, checkpoint: Path) -> AnomalibModule:
    """Build a model from a checkpoint, with the constructor arguments that it was trained with.

    Args:
        class_path: Dotted path of the model's class.
        checkpoint: File that ``anomalib train`` wrote, as ``weights/lightning/model.ckpt``.

    Raises:
        InputError: If there is no such class or file, or the file is not a checkpoint of that class.
    """
    module_name, _, class_name = class_path.rpartition(".")
    try:
        with quiet():
            module = importlib.import_module(module_name)
        model_class = getattr(module, class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"model: found {class_path!r} ({error}), expected the dotted path of a model.") from error
    if not (isinstance(model_class, type) and issubclass(model_class, AnomalibModule)):
        raise InputError(f"model: found {class_path!r}, expected a model derived from AnomalibModule.")
    if not checkpoint.is_file():
        raise InputError(f"{checkpoint}: found no such file, expected a checkpoint, as weights/lightning/model.ckpt.")
    try:
        with quiet():
            return cast("type[Any]", model_class).load_from_checkpoint(checkpoint, map_location="cpu").eval()
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{checkpoint}: found no checkpoint of {class_name} ({reason}), expected one.") from error
