# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Slice position by anomalib's model contract."""

from typing import Any

import torch
from anomalib.data import ImageBatch
from anomalib.metrics import Evaluator
from anomalib.post_processing import PostProcessor
from anomalib.visualization import Visualizer
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.models.components.fitted_once import FittedOnce
from anomalib_patchgan.models.slice_position.torch_model import SlicePositionModel


class SlicePosition(FittedOnce):
    """Where in its volume a slice lies, and nothing else: shows whether the label leaks through the choice of slices.

    No image tells it, so the indices come from the datamodule's sample tables (column ``slice_index``, -1 where there
    are no slices: then all scores are alike). It can be trained, validated and tested, but has nothing to export.

    Args:
        post_processor (PostProcessor | bool): Post-processor, or whether to use the default.
            Defaults to ``True``.
        evaluator (Evaluator | bool): Evaluator, or whether to use anomalib's default.
            Defaults to ``True``.
        visualizer (Visualizer | bool): Visualizer, or whether to use anomalib's default.
            Defaults to ``True``.
    """

    def __init__(
        self,
        post_processor: PostProcessor | bool = True,
        evaluator: Evaluator | bool = True,
        visualizer: Visualizer | bool = True,
    ) -> None:
        super().__init__(None, False, post_processor, evaluator, visualizer)
        self.model = SlicePositionModel()

    def training_step(self, batch: ImageBatch, *args: Any, **kwargs: Any) -> STEP_OUTPUT:
        """Keep the indices of the batch's slices; the returned loss is 0."""
        del args, kwargs
        self._condensed.append(self.model.condense(self._positions(batch)))
        return torch.tensor(0.0, requires_grad=True, device=self.device)

    def validation_step(self, batch: ImageBatch, *args: Any, **kwargs: Any) -> STEP_OUTPUT:
        """Score a batch by its slices' indices."""
        del args, kwargs
        return batch.update(**self.model(self._positions(batch))._asdict())

    def test_step(self, batch: ImageBatch, *args: Any, **kwargs: Any) -> STEP_OUTPUT:
        """Score a batch by its slices' indices."""
        return self.validation_step(batch, *args, **kwargs)

    def _positions(self, batch: ImageBatch) -> Tensor:
        """Look the batch's slices up: indices [N], float.

        Raises:
            InputError: The datamodule's tables have no slice indices.
        """
        known: dict[str, int] = {}
        datamodule: Any = getattr(self.trainer, "datamodule", None)
        for group in ("train_data", "val_data", "test_data"):
            table = getattr(getattr(datamodule, group, None), "samples", None)
            if table is not None and "slice_index" in table:
                known |= dict(zip(table["image_path"], table["slice_index"], strict=True))
        missing = [path for path in batch.image_path if path not in known]
        if missing:
            expected = "a datamodule of anomalib_patchgan.data, whose sample tables have a column slice_index"
            raise InputError(f"SlicePosition: found no slice index of {missing[0]}, expected {expected}.")
        return torch.tensor([float(known[path]) for path in batch.image_path], device=self.device)
