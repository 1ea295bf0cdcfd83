# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""``anomalib train | test | predict | export`` with Patch-GAN on phantoms, in process and as a real process."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from anomalib.cli.cli import AnomalibCLI

from anomalib_patchgan import PatchGan
from anomalib_patchgan.data.phantoms import BrainPhantoms, SkinPhantoms
from anomalib_patchgan.deploy.core import compile_in_float32

CONFIGS = Path(__file__).parents[2] / "configs"
TINY = {
    "patchgan_brats2019": [
        *("--data.init_args.image_size", "32", "--data.init_args.slice_spacing", "8"),
        *("--data.init_args.position_tolerance", "0.2", "--data.init_args.area_tolerance", "0.2"),
    ],
    "patchgan_isic2016": ["--data.init_args.patches_per_image", "4"],
}


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("trees")
    BrainPhantoms(subjects=12, seed=5, spacing=6.0).write(root / "brain", processes=1)
    SkinPhantoms(train_images=8, test_images=4, seed=5, height=192, width=256).write(root / "skin", processes=1)
    return {"patchgan_brats2019": root / "brain", "patchgan_isic2016": root / "skin"}


@pytest.mark.slow
@pytest.mark.parametrize("config", sorted(TINY))
def test_every_command_runs_in_process_from_the_configuration(
    config: str, trees: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    common = [
        *("--config", str(CONFIGS / f"{config}.yaml"), "--data.init_args.root", str(trees[config])),
        *("--data.init_args.cache_dir", str(tmp_path / "cache"), *TINY[config]),
        *("--model.init_args.image_size", "32", "--model.init_args.width", "8"),
        *("--model.init_args.training_steps", "3", "--trainer.accelerator", "cpu"),
    ]
    AnomalibCLI(args=["train", *common])
    (checkpoint,) = tmp_path.rglob("v0/weights/lightning/model.ckpt")
    with_checkpoint = [*common, "--ckpt_path", str(checkpoint)]
    AnomalibCLI(args=["test", *with_checkpoint])
    AnomalibCLI(args=["predict", *with_checkpoint])
    pictures = list(tmp_path.rglob("images/*/*.png"))
    assert {path.parent.name for path in pictures} == {"normal", "abnormal"}
    AnomalibCLI(
        args=[
            *("export", *with_checkpoint, "--export_type", "openvino", "--export_root", str(tmp_path / "out")),
            *("--onnx_kwargs", '{"opset_version": 18}', "--input_size", "[32, 32]"),
        ]
    )
    (exported,) = (tmp_path / "out").rglob("model.xml")
    compiled = compile_in_float32(exported)
    model = PatchGan.load_from_checkpoint(checkpoint).eval()
    for batch in (1, 2, 7):
        images = torch.rand(batch, 3, 32, 32)
        with torch.no_grad():
            expected = model(images)
        found = compiled({0: images.numpy()})
        assert np.allclose(found["pred_score"], expected.pred_score, atol=1e-4)
        assert np.allclose(found["anomaly_map"], expected.anomaly_map, atol=1e-4)
        assert found["pred_label"].shape == (batch,)


@pytest.mark.slow
def test_the_readme_line_trains_as_a_real_process(trees: dict[str, Path], tmp_path: Path) -> None:
    anomalib = shutil.which("anomalib", path=str(Path(sys.executable).parent))
    assert anomalib is not None
    command = [
        *(anomalib, "train", "--model", "anomalib_patchgan.PatchGan", "--data", "anomalib_patchgan.data.BraTS2019"),
        *("--data.root", str(trees["patchgan_brats2019"]), "--model.training_steps", "2"),
        *("--data.position_tolerance", "0.2", "--data.area_tolerance", "0.2", "--trainer.accelerator", "cpu"),
        *("--data.cache_dir", str(tmp_path / "cache"), "--model.width", "8"),
    ]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert list(tmp_path.rglob("v0/weights/lightning/model.ckpt"))
