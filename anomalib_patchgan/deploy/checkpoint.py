# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Reading a trained model back from the checkpoint that a training left."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, cast

import torch
from anomalib.models import AnomalibModule
from anomalib.post_processing import PostProcessor

from anomalib_patchgan.errors import InputError, sentence
from anomalib_patchgan.models.components.post_processor import CalibratedPostProcessor
from anomalib_patchgan.quiet import quiet

# Those that a model may be given in place of its own, and where anomalib keeps the settings of the one that it had.
_POST_PROCESSORS = (CalibratedPostProcessor, PostProcessor)
_SETTINGS = "anomalib_post_processor_config"


def load_trained(class_path: str, checkpoint: Path) -> AnomalibModule:
    """Build a model from a checkpoint, with the constructor arguments and the post-processor that it was trained with.

    Args:
        class_path: Dotted path of the model's class.
        checkpoint: File that ``anomalib train`` wrote, as ``weights/lightning/model.ckpt``.

    Raises:
        InputError: If there is no such class or file, the file is not a checkpoint of that class, or its post-processor
            is not known here.
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
            return _load(cast("type[Any]", model_class), checkpoint).eval()
    except InputError:
        raise
    except Exception as error:
        reason = sentence(error)[:200]
        raise InputError(f"{checkpoint}: found no checkpoint of {class_name} ({reason}), expected one.") from error


def _load(model_class: type[Any], checkpoint: Path) -> AnomalibModule:
    model: AnomalibModule = model_class.load_from_checkpoint(checkpoint, map_location="cpu")
    settings = torch.load(checkpoint, map_location="cpu", weights_only=False).get(_SETTINGS)
    # anomalib keeps settings, not the class, and puts the model's own in the place of another that scores otherwise.
    if settings is None or _has_settings(model.post_processor, settings):
        return model
    for post_processor in (kind() for kind in _POST_PROCESSORS):
        if _has_settings(post_processor, settings):
            return model_class.load_from_checkpoint(checkpoint, map_location="cpu", post_processor=post_processor)
    known = " or ".join(kind.__name__ for kind in _POST_PROCESSORS)
    raise InputError(f"{checkpoint}: found a post-processor with the settings {', '.join(settings)}, expected {known}.")


def _has_settings(post_processor: Any, settings: dict[str, Any]) -> bool:
    return isinstance(post_processor, PostProcessor) and post_processor.checkpoint_config().keys() == settings.keys()
