# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""anomalib's own commands and models on the datamodules."""

from pathlib import Path

import pytest
from anomalib.cli.cli import AnomalibCLI

CONFIGS = Path(__file__).parents[3] / "configs" / "data"
PADIM = ["--model", "Padim", "--model.pre_trained", "false", "--trainer.accelerator", "cpu"]


def command(*arguments: object) -> None:
    AnomalibCLI(args=[str(argument) for argument in arguments])


@pytest.mark.slow
def test_train_and_predict_run_on_slices_and_draw_each_test_sample(tmp_path, monkeypatch, brain_tree, prepared):
    monkeypatch.chdir(tmp_path)
    data = ["--data", "anomalib_patchgan.data.BraTS2019", "--data.root", brain_tree, "--data.cache_dir", prepared]
    data += ["--data.slice_spacing", "8", "--data.position_tolerance", "0.1", "--data.image_size", "32"]
    command("train", *PADIM, *data)
    run = tmp_path / "results" / "Padim" / "BraTS2019" / "latest"
    trained = sorted(path.relative_to(run / "images") for path in run.glob("images/*/*.png"))
    assert {path.parent.name for path in trained} == {"normal", "abnormal"}
    checkpoint = run / "weights" / "lightning" / "model.ckpt"
    command("predict", *PADIM, *data, "--ckpt_path", checkpoint)
    predicted = sorted(path.relative_to(run / "images") for path in run.glob("images/*/*.png"))
    assert predicted == trained


@pytest.mark.slow
@pytest.mark.parametrize(("config", "tree"), [("brats2019", "brain_tree"), ("isic2016", "skin_tree")])
def test_the_configurations_are_accepted(tmp_path, monkeypatch, request, prepared, config, tree):
    monkeypatch.chdir(tmp_path)
    root = request.getfixturevalue(tree)
    command(
        *("train", *PADIM, "--data", CONFIGS / f"{config}.yaml", "--data.root", root, "--data.cache_dir", prepared),
        *("--data.image_size", "32", "--trainer.limit_train_batches", "1", "--trainer.limit_test_batches", "1"),
        *("--trainer.limit_val_batches", "1", "--data.eval_batch_size", "4", "--data.train_batch_size", "4"),
    )
    (checkpoint,) = (tmp_path / "results").rglob("v0/weights/lightning/model.ckpt")
    assert checkpoint.stat().st_size > 0
