# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Every row of the suite of phantoms, as it stands there, fits and scores a few images, on a GPU too where one is."""

from pathlib import Path

import numpy as np
import pytest
import torch
from anomalib.data import Folder
from anomalib.engine import Engine
from PIL import Image

from anomalib_patchgan.benchmark.job import model_blueprint
from anomalib_patchgan.benchmark.recorder import RawScoreRecorder
from anomalib_patchgan.benchmark.suite import read_suite
from anomalib_patchgan.models import backbones

SUITE = read_suite(Path(__file__).parents[3] / "benchmarks" / "phantoms.yaml")
# These have tests of their own: Patch-GAN's are many, and the engine would write a checkpoint of 1.2 GB for DRAEM.
ELSEWHERE = {"Patch-GAN", "Patch-GAN untrained", "DRAEM"}
# Slice position needs volumes.
ROWS = [
    name for name, row in SUITE.models.items() if not row.skip and row.runs_on("skin_medium") and name not in ELSEWHERE
]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Smooth noise; the abnormal ones hold a bright square."""
    root = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    # As many as DFKDE keeps principal components, and one more.
    for group, count in {"train": 17, "test": 3, "abnormal": 3}.items():
        (root / group).mkdir()
        for index in range(count):
            image = random.normal(120, 12, (32, 32, 3))
            if group == "abnormal":
                image[8:20, 8:20] += 90
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(root / group / f"{index}.png")
    return root


ACCELERATORS = ["cpu", "gpu"] if torch.cuda.is_available() else ["cpu"]


@pytest.mark.parametrize("accelerator", ACCELERATORS)
@pytest.mark.parametrize("name", ROWS)
def test_a_row_fits_and_gives_finite_scores_that_differ(
    name: str, accelerator: str, pictures: Path, tmp_path: Path
) -> None:
    assert backbones.efficientnet_lite0_wheel.__name__ == "efficientnet_lite0_wheel"
    row = SUITE.models[name]
    torch.manual_seed(0)
    model = model_blueprint(name, row.class_path, row.arguments_for("skin_medium")).build()
    folders = {"normal_dir": "train", "normal_test_dir": "test", "abnormal_dir": "abnormal"}
    one_pass = row.trainer["max_epochs"] == 1
    datamodule = Folder(
        name="pictures",
        root=pictures,
        train_batch_size=17 if one_pass else 4,
        eval_batch_size=6,
        num_workers=0,
        val_split_mode="same_as_test",
        **folders,
    )
    recorder = RawScoreRecorder((32, 32), lambda *_: None)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    engine = Engine(
        callbacks=[recorder],
        default_root_dir=tmp_path,
        max_epochs=1,
        limit_train_batches=1,
        accelerator=accelerator,
        devices=1,
        deterministic=True if accelerator == "cpu" else "warn",
        **quiet,
    )
    engine.fit(model, datamodule=datamodule)
    engine.test(model, datamodule=datamodule, verbose=False)
    samples = datamodule.test_data.samples
    scores = recorder.scores(samples.assign(sample_id=samples["image_path"]))["raw_score"]
    assert np.isfinite(scores).all()
    assert scores.nunique() > 1 or name == "Foreground area"
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    assert "site-packages" not in checkpoint.read_bytes().decode("latin1")
