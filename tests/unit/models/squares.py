# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Small images that models train on in a second."""

from pathlib import Path

import numpy as np
import pytest
import torch
from anomalib.data import Folder
from PIL import Image

QUIET = {"accelerator": "cpu", "devices": 1, "logger": False, "enable_progress_bar": False}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of smooth noise; the abnormal ones hold a bright square."""
    root = tmp_path_factory.mktemp("folder")
    random = np.random.default_rng(0)
    for group, count in {"train": 24, "test": 8, "abnormal": 8}.items():
        (root / group).mkdir()
        for index in range(count):
            image = random.normal(120, 12, (32, 32, 3))
            if group == "abnormal":
                image[8:20, 8:20] += 90
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(root / group / f"{index}.png")
    return root


def datamodule(folder: Path) -> Folder:
    return Folder(
        name="squares",
        root=folder,
        normal_dir="train",
        normal_test_dir="test",
        abnormal_dir="abnormal",
        train_batch_size=8,
        eval_batch_size=8,
        num_workers=0,
        val_split_mode="same_as_test",
    )


def raw_scores(model: torch.nn.Module, folder: Path, group: str) -> torch.Tensor:
    paths = sorted((folder / group).glob("*.png"))
    images = np.stack([np.asarray(Image.open(path)) for path in paths])
    batch = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        return model.eval().model(batch).pred_score
