# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A model that learns in a second, three that do not end well, and data that need no files."""

import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from anomalib import LearningType
from anomalib.data import InferenceBatch
from anomalib.models import AnomalibModule
from anomalib.pre_processing import PreProcessor
from torchvision.transforms.v2 import Resize

from anomalib_patchgan.data.base import Assembly, MedicalDataModule

SIZE = 16
GROUP_SIZES = {"train": 6, "reference": 2, "calibration": 4, "test": 8}


@dataclass(frozen=True)
class TinyProtocol:
    normal_means: str = "Noise without a bright square."


class TinyReader:
    fingerprint = "tiny"

    def read(self, sample: Any) -> tuple[np.ndarray, np.ndarray]:
        draw = np.random.default_rng(int(sample["subject_id"].removeprefix("subject")))
        image = draw.uniform(0.2, 0.4, (1, SIZE, SIZE)).astype(np.float32)
        lesion = np.zeros((SIZE, SIZE), dtype=bool)
        if sample["label_index"]:
            lesion[4:8, 4:8] = True
            image[0, lesion] = 0.9
        return image, lesion


class TinyData(MedicalDataModule):
    def __init__(self, root: Path | str, cache_dir: Path | str | None = None) -> None:
        super().__init__(root, "patch", TinyProtocol(), SIZE, 4, 3, 0, 0, cache_dir, None)

    def _assemble(self) -> Assembly:
        subjects: dict[str, list[str]] = {}
        rows = []
        for group, size in GROUP_SIZES.items():
            first = sum(map(len, subjects.values()))
            subjects[group] = [f"subject{first + number:03d}" for number in range(size)]
            for number, subject in enumerate(subjects[group]):
                label = int(group == "test" and number % 2)
                position = {"slice_index": -1, "top": 0, "left": 0, "height": SIZE, "width": SIZE}
                row = {"group": group, "sample_id": subject, "subject_id": subject, "label_index": label}
                rows.append(row | {"lesion_fraction": label / 16} | position)
        return Assembly(subjects, pd.DataFrame(rows), Counter(), TinyReader())


class TinyNetwork(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.reconstruct = torch.nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor | InferenceBatch:
        reconstruction = self.reconstruct(images)
        if self.training:
            return reconstruction
        # Only a map: the score has to be derived from it, as anomalib does.
        return InferenceBatch(anomaly_map=(images - reconstruction).abs().mean(1, keepdim=True))


class TinyModel(AnomalibModule):
    def __init__(self, learning_rate: float = 0.01, evaluator: bool = True, visualizer: bool = True) -> None:
        super().__init__(pre_processor=False, evaluator=evaluator, visualizer=visualizer)
        self.model = TinyNetwork()
        self.learning_rate = learning_rate

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)

    def training_step(self, batch: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss = (self.model(batch.image) - batch.image).square().mean()
        self.log("loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.image))
        return loss

    def validation_step(self, batch: Any, *args: Any, **kwargs: Any) -> Any:
        return batch.update(**self.model(batch.image)._asdict())

    @property
    def trainer_arguments(self) -> dict[str, Any]:
        return {}

    @property
    def learning_type(self) -> LearningType:
        return LearningType.ONE_CLASS


class ResizingModel(TinyModel):
    """Reads images at twice their size; anomalib then resizes them, and their masks, in the data set."""

    def __init__(self, learning_rate: float = 0.01, evaluator: bool = True, visualizer: bool = True) -> None:
        super().__init__(learning_rate, evaluator, visualizer)
        self.pre_processor = PreProcessor(Resize((2 * SIZE, 2 * SIZE)))


class RaisingModel(TinyModel):
    def training_step(self, batch: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        raise RuntimeError("this model\nnever learns")


class StoppedModel(TinyModel):
    def training_step(self, batch: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        raise KeyboardInterrupt


class WaitingModel(TinyModel):
    """Trains for ever where the environment says so."""

    def training_step(self, batch: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        while "TINY_MODEL_WAITS" in os.environ:
            time.sleep(0.1)
        return super().training_step(batch)


class PickyModel(TinyModel):
    def __init__(self, learning_rate: float = 0.01, evaluator: bool = True, visualizer: bool = True) -> None:
        raise ValueError(f"learning_rate is {learning_rate}; expected one that I like")


class UndefinedModel(TinyModel):
    def validation_step(self, batch: Any, *args: Any, **kwargs: Any) -> Any:
        return batch.update(pred_score=torch.full((len(batch.image),), float("nan")))


class FaintReader(TinyReader):
    """Faint lesions: a normal image is told by having been seen, hardly by its looks."""

    def read(self, sample: Any) -> tuple[np.ndarray, np.ndarray]:
        image, lesion = super().read(sample | {"label_index": 0})
        if sample["label_index"]:
            image[0, 4:6, 4:6] = 0.4
        return image, lesion


class LeakingData(TinyData):
    """Every test subject has one more normal image, which a split by sample may train on."""

    def _assemble(self) -> Assembly:
        assembly = super()._assemble()
        test = assembly.samples[assembly.samples["group"] == "test"]
        normal = test[test["label_index"] == 0]
        assembly.spare = normal.assign(sample_id=normal["sample_id"] + "_spare")
        assembly.reader = FaintReader()
        return assembly


class UnmaskedReader:
    fingerprint = "unmasked"

    def read(self, sample: Any) -> tuple[np.ndarray, None]:
        return TinyReader().read(sample)[0], None


class UnmaskedData(TinyData):
    """A collection that knows nothing of pixels."""

    def _assemble(self) -> Assembly:
        assembly = super()._assemble()
        assembly.samples["lesion_fraction"] = float("nan")
        assembly.reader, assembly.has_masks = UnmaskedReader(), False
        return assembly


class MemorisingModel(TinyModel):
    """The distance to the nearest training image."""

    def __init__(self, evaluator: bool = True, visualizer: bool = True) -> None:
        super().__init__(0.0, evaluator, visualizer)
        self.seen: list[torch.Tensor] = []

    def training_step(self, batch: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        self.seen.append(batch.image.detach())
        return super().training_step(batch)

    def validation_step(self, batch: Any, *args: Any, **kwargs: Any) -> Any:
        distance = torch.cdist(batch.image.flatten(1), torch.cat(self.seen).flatten(1))
        return batch.update(pred_score=distance.amin(dim=1))

    def test_step(self, batch: Any, batch_idx: int, *args: Any, **kwargs: Any) -> Any:
        return self.validation_step(batch)
