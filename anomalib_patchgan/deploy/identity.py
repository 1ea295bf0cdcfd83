# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What an exported model is, in the metadata of its OpenVINO representation, and reading a model back with it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, get_type_hints

import openvino

from anomalib_patchgan.deploy.core import reason_of, shared_core
from anomalib_patchgan.deploy.plain import fits
from anomalib_patchgan.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

SECTION = "anomalib_patchgan"
"""Name of the section of the metadata."""
FORMAT_VERSION = 1
# Names of the outputs of an exported graph; the last two are left out by a model without maps.
RAW_SCORE, SCORE, LABEL, MAP, MASK = "raw_score", "pred_score", "pred_label", "anomaly_map", "pred_mask"
OUTPUTS = (RAW_SCORE, SCORE, LABEL, MAP, MASK)
INPUT = "input"


@dataclass(frozen=True, kw_only=True)
class ModelIdentity:
    """What an exported model is.

    Attributes:
        model_class: Dotted path of the model's class.
        arguments: Its constructor arguments, as far as they are plain values.
        precision: ``fp32``, ``fp16``, ``bf16``, ``int8`` or ``int8_bf16``: what weights or declared arithmetic are.
        inference_precision: What a device is asked to compute in where nothing is quantised: ``f32`` or ``bf16``.
        image_threshold: Calibrated score above which an image is called abnormal.
        pixel_threshold: Calibrated value of the map above which a pixel is.
        raw_image_threshold: The image threshold on the raw score.
        preparation: How a file becomes the model's images, see :mod:`anomalib_patchgan.deploy.preparation`.
        data: Name, protocol and hashes of what the model was trained on; no subject is named.
        packages: Versions of the packages that made it.
        quantised: Names of the operations that compute in 8-bit integers.
        weights_sha256: SHA-256 of the weights' file.
    """

    model_class: str
    arguments: dict[str, Any]
    precision: str
    inference_precision: str
    image_threshold: float
    pixel_threshold: float
    raw_image_threshold: float
    preparation: dict[str, Any]
    data: dict[str, Any]
    packages: dict[str, str]
    quantised: list[str]
    weights_sha256: str = ""

    def write_to(self, model: openvino.Model) -> None:
        """Put it into the metadata of a graph.

        Args:
            model: The graph.
        """
        content = {"format_version": FORMAT_VERSION, **asdict(self)}
        for name, value in content.items():
            model.set_rt_info(json.dumps(value, sort_keys=True), [SECTION, name])

    @classmethod
    def read_from(cls, model: openvino.Model, path: Path) -> ModelIdentity:
        """Take it from the metadata of a graph.

        Args:
            model: The graph.
            path: Its file, for the message.

        Raises:
            InputError: If it has none, or one that is damaged or that this version does not know.
        """
        expected = "expected a model written by `anomalib-patchgan export`"
        if not model.has_rt_info([SECTION, "format_version"]):
            raise InputError(f"{path}: found an OpenVINO model without the section {SECTION!r}, {expected}.")
        version = _value(model, "format_version", path)
        if version != FORMAT_VERSION:
            raise InputError(f"{path}: found metadata of format {version}, expected {FORMAT_VERSION}.")
        missing = [field.name for field in fields(cls) if not model.has_rt_info([SECTION, field.name])]
        if missing:
            raise InputError(f"{path}: found metadata without {missing[0]!r}, {expected}.")
        values = {field.name: _value(model, field.name, path) for field in fields(cls)}
        hints = get_type_hints(cls)
        for name, value in values.items():
            if not fits(value, hints[name]):
                raise InputError(f"{path}: found metadata whose {name!r} is {value!r}, {expected}.")
        return cls(**values)


def read_model(path: Path) -> tuple[openvino.Model, ModelIdentity]:
    """Read an exported model and what it is.

    Args:
        path: The ``.xml`` file; the weights lie beside it in a ``.bin`` file.

    Raises:
        InputError: If a file is missing, damaged or cut short, or if the model was not exported by this package.
    """
    if path.suffix != ".xml":
        raise InputError(f"{path}: found the ending {path.suffix!r}, expected the .xml file of an OpenVINO model.")
    weights = path.with_suffix(".bin")
    for file in (path, weights):
        _check_readable(file)
    try:
        model = shared_core().read_model(path)
    except RuntimeError as error:
        reason = reason_of(error)
        raise InputError(f"{path}: found a model that cannot be read ({reason}), expected whole files.") from error
    identity = ModelIdentity.read_from(model, path)
    if file_sha256(weights) != identity.weights_sha256:
        raise InputError(f"{weights}: found other weights than those of {path.name}, expected both of one export.")
    names = {name for output in model.outputs for name in output.get_names()}
    lacking = [name for name in (RAW_SCORE, SCORE, LABEL) if name not in names]
    if lacking:
        raise InputError(f"{path}: found no output {lacking[0]!r}, expected {', '.join(OUTPUTS)}.")
    return model, identity


def file_sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_readable(file: Path) -> None:
    expected = "expected an OpenVINO model: an .xml and a .bin file"
    try:
        with file.open("rb"):
            pass
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise InputError(f"{file}: found no such file, {expected}.") from error
    except OSError as error:
        raise InputError(f"{file}: found that it cannot be read ({error.strerror}), {expected}.") from error


def _value(model: openvino.Model, name: str, path: Path) -> Any:
    text = str(model.get_rt_info([SECTION, name]).value)
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: found damaged metadata, {name!r} is {text!r}, expected JSON.") from error
