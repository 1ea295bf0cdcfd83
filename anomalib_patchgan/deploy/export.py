# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Export to OpenVINO, in a declared precision, with what a device needs to know in the model's metadata."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from anomalib.data import AnomalibDataModule
from anomalib.models import AnomalibModule
from numpy.typing import NDArray
from torchvision.transforms.v2 import Resize
from torchvision.transforms.v2.functional import resize

from anomalib_patchgan import __version__
from anomalib_patchgan.deploy.core import reason_of
from anomalib_patchgan.deploy.graph import DeployedGraph, convert, steps_of, write_onnx
from anomalib_patchgan.deploy.identity import ModelIdentity, file_sha256
from anomalib_patchgan.deploy.preparation import (
    Preparation,
    RasterPreparation,
    preparation_of_card,
    preparation_to_plain,
)
from anomalib_patchgan.deploy.quantisation import quantise, quantised_operations
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.outputs import make_room, not_writable

MODEL_NAME = "model.xml"
_PACKAGES = ("anomalib", "nncf", "openvino", "torch")
_UNDECIDED = 0.5


@dataclass(frozen=True)
class Precision:
    """A way to export a model.

    Attributes:
        inference: What a device is asked to compute in where nothing is quantised.
        halves_weights: Whether weights are stored in 16 bits.
        quantises: Whether the layers of the network are quantised to eight bits.
    """

    inference: str
    halves_weights: bool = False
    quantises: bool = False


# CPUs compute few operations in float16, so weights of 16 bits are computed with in 32. Where bfloat16 is quick, what
# quantising leaves in 32 bits takes as long as the layers in eight, so it is offered in bfloat16 too.
PRECISIONS = {
    "fp32": Precision("f32"),
    "fp16": Precision("f32", halves_weights=True),
    "bf16": Precision("bf16"),
    "int8": Precision("f32", quantises=True),
    "int8_bf16": Precision("bf16", quantises=True),
}


class Exporter:
    """Exports a trained model, converting it only once.

    Args:
        model: A trained model; it is put on the CPU and set to evaluation.
        datamodule: Its data, set up. It says how files are prepared, and gives the normal images that quantising
            needs; None for images of eight bits that need no preparation but resizing.

    Attributes:
        graph: What is exported.
        preparation: How a file becomes an image.
        input_size: Height and width of the images of the graph.

    Raises:
        InputError: If the model was never calibrated, or nothing says how large its images are.
    """

    def __init__(self, model: AnomalibModule, datamodule: AnomalibDataModule | None = None) -> None:
        self.graph = DeployedGraph(model)
        self._folder = tempfile.TemporaryDirectory()
        self._model = model
        self._datamodule = datamodule
        card = getattr(datamodule, "card", None)
        self._card: dict[str, Any] | None = card() if card is not None else None
        # Data of anomalib are resized by the model's own step, in training and in test; ours come at their size.
        self._aliased = datamodule is not None and self._card is None and not is_antialiased(model)
        self.preparation: Preparation = (
            preparation_of_card(self._card)
            if self._card is not None
            else RasterPreparation(image_size_of(model), aliased=self._aliased)
        )
        self.input_size = input_size_of(model, self.preparation.image_size)

    @cached_property
    def converted(self) -> openvino.Model:
        """The graph in OpenVINO, in 32 bits."""
        return convert(self.graph, self._onnx)

    @cached_property
    def quantised(self) -> openvino.Model:
        """The graph with the layers of the network in eight bits."""
        return quantise(self.converted, self.graph.network, self.normal_images())

    @cached_property
    def _onnx(self) -> Path:
        path = Path(self._folder.name) / "model.onnx"
        write_onnx(self.graph, self.input_size, path)
        return path

    def write(self, folder: Path, precision: str) -> Path:
        """Write the model in one precision.

        Args:
            folder: Where to; missing folders are made.
            precision: A name in ``PRECISIONS``.

        Returns:
            The ``.xml`` file; the weights lie beside it.

        Raises:
            InputError: If there is no such precision, the model cannot be exported in it, or nothing can be written
                there.
        """
        if precision not in PRECISIONS:
            raise InputError(f"precision: found {precision!r}, expected one of {', '.join(PRECISIONS)}.")
        way = PRECISIONS[precision]
        path = folder / MODEL_NAME
        for file in (path, path.with_suffix(".bin")):
            make_room(file)
        model = self.quantised if way.quantises else self.converted
        identity = self.identity(precision, quantised_operations(model))
        try:
            # A program that runs the export before this one has its weights mapped: they are replaced, not rewritten.
            with tempfile.TemporaryDirectory(dir=folder, prefix=".unfinished-") as unfinished:
                written = Path(unfinished) / MODEL_NAME
                identity.write_to(model)
                openvino.save_model(model, written, compress_to_fp16=way.halves_weights)
                weights = written.with_suffix(".bin")
                # Their hash goes into the other file, so that files of two exports are not taken for one model.
                replace(identity, weights_sha256=file_sha256(weights)).write_to(model)
                openvino.save_model(model, written, compress_to_fp16=way.halves_weights)
                weights.replace(path.with_suffix(".bin"))
                written.replace(path)
        except OSError as error:
            raise not_writable(path, error.strerror) from error
        except RuntimeError as error:
            raise not_writable(path, reason_of(error)) from error
        return path

    def write_onnx(self, folder: Path) -> Path:
        """Write the same graph as ONNX, for other runtimes.

        Args:
            folder: Where to; missing folders are made.
        """
        shutil.copytree(self._onnx.parent, folder, dirs_exist_ok=True)
        return folder / self._onnx.name

    def normal_images(self) -> NDArray[np.float32]:
        """Normal images ``[N, 3, H, W]`` of the calibration group.

        Raises:
            InputError: If there is no datamodule or no such image, or if some of those images are in its test set.
        """
        if self._datamodule is None:
            raise InputError("data: found none, expected those that the model was trained on, for their normal images.")
        # anomalib's datamodules have no such attribute where no validation is asked for.
        validation, test = getattr(self._datamodule, "val_data", None), self._datamodule.test_data
        if validation is None or labels_of(validation).all():
            raise InputError(
                "data: found no normal validation image, expected some: ranges of eight bits and the unit of score "
                "differences are read from them."
            )
        shared = _paths(validation, normal_only=True) & _paths(test)
        if shared:
            raise InputError(
                f"data: found {len(shared)} normal validation images that are test images too, expected others: "
                "nothing that is tested decides how a model is quantised or judged."
            )
        return self.images_of(validation, normal_only=True)

    def images_of(self, dataset: Any, normal_only: bool = False) -> NDArray[np.float32]:
        """Images ``[N, 3, H, W]`` of a data set as the graph takes them, see :func:`stack_images`."""
        return stack_images(dataset, self.input_size, normal_only, antialias=not self._aliased)

    def identity(self, precision: str, quantised: list[str]) -> ModelIdentity:
        """What an export of the model is, without the hash of its weights.

        Args:
            precision: A name in ``PRECISIONS``.
            quantised: Names of the layers in eight bits.
        """
        post_processor = self.graph.post_processor
        model_class = type(self._model)
        return ModelIdentity(
            model_class=f"{model_class.__module__}.{model_class.__qualname__}",
            arguments=json.loads(
                json.dumps({key: value for key, value in self._model.hparams.items() if _is_plain(value)})
            ),
            precision=precision,
            inference_precision=PRECISIONS[precision].inference,
            image_threshold=float(post_processor.normalized_image_threshold),
            pixel_threshold=_or_undecided(float(post_processor.normalized_pixel_threshold)),
            raw_image_threshold=float(post_processor.image_threshold),
            preparation=preparation_to_plain(self.preparation),
            data=_hashes(self._card),
            packages={"anomalib-patchgan": __version__} | {name: version(name) for name in _PACKAGES},
            quantised=quantised,
        )


def export_model(
    model: AnomalibModule,
    folder: Path | str,
    precisions: Sequence[str] = ("fp32",),
    datamodule: AnomalibDataModule | None = None,
) -> dict[str, Path]:
    """Export a trained model to OpenVINO, for any batch size.

    Args:
        model: A trained model.
        folder: Where to; each precision gets a folder of its own.
        precisions: ``fp32``, ``fp16``, ``bf16``, ``int8`` or ``int8_bf16``.
        datamodule: Its data, set up; the last two need them.

    Returns:
        The ``.xml`` file of each precision.

    Raises:
        InputError: If the model cannot be exported so.
    """
    exporter = Exporter(model, datamodule)
    return {precision: exporter.write(Path(folder) / precision, precision) for precision in precisions}


def stack_images(
    dataset: Any, image_size: tuple[int, int], normal_only: bool = False, antialias: bool = True
) -> NDArray[np.float32]:
    """Images ``[N, 3, height, width]`` of an anomalib data set, in its order, not pre-processed by a model.

    Args:
        dataset: The data set.
        image_size: Height and width; images of another size are resized.
        normal_only: Whether to leave out what is labelled abnormal.
        antialias: Whether they are resized with antialiasing.
    """
    with _without_augmentations(dataset):
        items = (dataset[index] for index in range(len(dataset)))
        images = [item.image for item in items if not (normal_only and item.gt_label)]
    resized = [resize(image, list(image_size), antialias=antialias) for image in images]
    return torch.stack(resized).float().numpy()


def _paths(dataset: Any, normal_only: bool = False) -> set[str]:
    """Image paths of an anomalib data set; none where it keeps no list."""
    samples = getattr(dataset, "samples", None)
    if samples is None:
        return set()
    return set(samples["image_path"][samples["label_index"] == 0] if normal_only else samples["image_path"])


def labels_of(dataset: Any) -> NDArray[np.int64]:
    """Labels ``[N]`` of an anomalib data set, in its order."""
    samples = getattr(dataset, "samples", None)
    if samples is not None:
        return samples["label_index"].to_numpy(dtype=np.int64)
    return np.array([int(dataset[index].gt_label) for index in range(len(dataset))], dtype=np.int64)


def input_size_of(model: AnomalibModule, image_size: tuple[int, int]) -> tuple[int, int]:
    """Height and width that images are given to the exported graph in.

    A graph resizes without antialiasing, unlike anomalib does in training and test. Where a model looks at images
    smaller than they are, they are therefore resized before.

    Args:
        model: The model.
        image_size: Height and width that files are prepared to.
    """
    wanted = _resize_of(model)
    if wanted is None or not wanted.antialias:
        return image_size
    height, width = _pair(wanted.size)
    return (height, width) if height < image_size[0] or width < image_size[1] else image_size


def image_size_of(model: AnomalibModule) -> tuple[int, int]:
    """Height and width of a model's images, by its arguments or its pre-processor.

    Args:
        model: The model.

    Raises:
        InputError: If neither tells.
    """
    given = model.hparams.get("image_size")
    if given is None:
        wanted = _resize_of(model)
        given = None if wanted is None else wanted.size
    if given is None:
        raise InputError(f"{type(model).__name__}: found no image size, expected the data that it was trained on.")
    return _pair(given)


def is_antialiased(model: AnomalibModule) -> bool:
    """Whether a model's own resizing step, if it has one, is antialiased."""
    wanted = _resize_of(model)
    return wanted is None or bool(wanted.antialias)


def _resize_of(model: AnomalibModule) -> Resize | None:
    """The resizing step of a model's pre-processor."""
    return next((step for step in steps_of(model) if isinstance(step, Resize)), None)


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    return (int(size), int(size)) if isinstance(size, int) else (int(size[0]), int(size[-1]))


@contextlib.contextmanager
def _without_augmentations(dataset: Any) -> Iterator[None]:
    """Read images as they are: anomalib adds a model's resizing to the data set once a trainer is attached."""
    before = getattr(dataset, "augmentations", None)
    if before is None:
        yield
        return
    dataset.augmentations = None
    try:
        yield
    finally:
        dataset.augmentations = before


def _hashes(card: dict[str, Any] | None) -> dict[str, Any]:
    """What the data were, without the name of a subject."""
    if card is None:
        return {}
    content = json.dumps(card, sort_keys=True, default=str)
    return {
        "name": card["name"],
        "protocol": card["protocol"],
        "phantom": card["phantom"],
        "split_sha256": card["split_sha256"],
        "card_sha256": hashlib.sha256(content.encode()).hexdigest(),
    }


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, str | int | float | bool)


def _or_undecided(threshold: float) -> float:
    return _UNDECIDED if math.isnan(threshold) else threshold
