# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""From a checkpoint to results by commands: export, parity, predict, serve."""

import csv
import json
import re
import shutil
import subprocess
import sys

import pytest
import torch
from anomalib.data import InferenceBatch
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from jsonargparse.util import import_object
from lightning import Trainer
from small_model import make_model, write_brain
from torchvision.transforms.v2 import Normalize

from anomalib_patchgan import PatchGan
from anomalib_patchgan.cli import main
from anomalib_patchgan.deploy.checkpoint import load_trained
from anomalib_patchgan.deploy.identity import read_model
from anomalib_patchgan.deploy.latency_child import CONTENDERS
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.models import Cflow
from anomalib_patchgan.models.components.post_processor import CalibratedPostProcessor


@pytest.fixture(scope="module")
def brains(tmp_path_factory):
    root = tmp_path_factory.mktemp("brats") / "tree"
    for number in range(12):
        write_brain(root / "HGG", f"BraTS19_X_{number:03d}_1", number)
    return root


def save(model, path):
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "model.ckpt"
    save(make_model(), path)
    return path


@pytest.fixture(scope="module")
def data(brains, tmp_path_factory):
    return [
        *("--data", "anomalib_patchgan.data.BraTS2019", "--data.root", str(brains), "--data.image_size", "32"),
        *("--data.cache_dir", str(tmp_path_factory.mktemp("cache")), "--data.slice_spacing", "4"),
    ]


@pytest.fixture(scope="module")
def exported_by_command(checkpoint, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    arguments = ["export", "--ckpt_path", str(checkpoint), *data, "--output", str(folder), "--precision", "fp32"]
    assert main(arguments) == 0
    return folder / "fp32" / "model.xml"


def test_a_checkpoint_is_exported_compared_predicted_with_and_served(
    checkpoint, data, brains, exported_by_command, tmp_path, capsys
):
    trained = ["--ckpt_path", str(checkpoint), *data]
    exported = exported_by_command
    _, identity = read_model(exported)
    assert identity.preparation["modalities"] == ["flair"]
    assert identity.data["protocol"] == "slice"
    assert "BraTS19_X" not in exported.read_text()  # no subject is named

    assert main(["parity", *trained, str(exported.parent), "--output", str(tmp_path / "parity.md")]) == 0
    assert "| openvino_fp32 | passed |" in capsys.readouterr().out
    assert "| openvino_fp32 | passed |" in (tmp_path / "parity.md").read_text()

    subject = brains / "HGG" / "BraTS19_X_003_1"
    assert main(["predict", str(exported), str(subject), "--output", str(tmp_path / "out")]) == 0
    (row,) = csv.DictReader((tmp_path / "out" / "scores.csv").open())
    assert row["input"] == "BraTS19_X_003_1_flair.nii.gz"

    assert main(["serve", str(exported), "--repository", str(tmp_path / "served"), "--name", "brain"]) == 0
    (entry,) = json.loads((tmp_path / "served" / "config.json").read_text())["model_config_list"]
    assert entry["config"]["base_path"] == "/models/brain"


def test_the_exit_status_says_that_a_gate_is_not_passed(checkpoint, data, exported_by_command, monkeypatch, capsys):
    from anomalib_patchgan.deploy import parity

    monkeypatch.setitem(parity.GATES, "fp32", parity.Gate(score=0.0))
    assert main(["parity", "--ckpt_path", str(checkpoint), *data, str(exported_by_command)]) == 1
    assert "failed: a raw score differs by" in capsys.readouterr().out


def test_an_export_that_cannot_be_read_is_a_row_and_the_others_stand(
    checkpoint, data, exported_by_command, tmp_path, capsys
):
    damaged = tmp_path / "damaged" / "model.xml"
    damaged.parent.mkdir()
    damaged.write_text("<svg/>")
    shutil.copy(exported_by_command.with_suffix(".bin"), damaged.parent)
    trained = ["--ckpt_path", str(checkpoint), *data]
    assert main(["parity", *trained, str(damaged.parent), str(exported_by_command.parent)]) == 1
    table = capsys.readouterr().out
    assert f"| {damaged} | failed: found a model that cannot be read" in table
    assert "| openvino_fp32 | passed |" in table


@pytest.mark.parametrize("command", ["parity", "latency"])
def test_help_says_that_data_are_required(command, capsys):
    assert main([command, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--data CONFIG" in text
    assert "[--data CONFIG" not in text


def test_help_names_the_ways_of_latency(capsys):
    assert main(["latency", "--help"]) == 0
    text = "".join(capsys.readouterr().out.split())
    assert ",".join(CONTENDERS) in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "--output", "out"],
        ["latency", "--data", "anomalib_patchgan.data.BraTS2019", "--data.root", "absent", "--workspace", "workspace"],
    ],
)
def test_a_console_shows_the_sentence_and_no_warning(arguments, tmp_path):
    command = [sys.executable, "-m", "anomalib_patchgan.cli", *arguments, "--ckpt_path", "absent.ckpt"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert found.returncode == 2
    assert found.stderr.startswith("error: absent.ckpt: found no such file")
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ckpt_path", "absent.ckpt"], "absent.ckpt: found no such file, expected a checkpoint"),
        (["--ckpt_path", "CHECKPOINT", "--model", "anomalib_patchgan.models.Absent"], "model: found"),
        (["--ckpt_path", "CHECKPOINT", "--model", "anomalib.data.Folder"], "expected a model derived from"),
        (["--ckpt_path", "CHECKPOINT", "--model", "anomalib_patchgan.models.MeanIntensity"], "no checkpoint of Mean"),
        (["--ckpt_path", "CHECKPOINT", "--precision", "int8"], "data: found none, expected those"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(checkpoint, arguments, message, tmp_path, capsys):
    arguments = [str(checkpoint) if argument == "CHECKPOINT" else argument for argument in arguments]
    assert main(["export", *arguments, "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_what_the_data_of_a_model_refuse_is_one_sentence(checkpoint, brains, tmp_path, capsys):
    data = ["--data", "anomalib_patchgan.data.BraTS2019", "--data.root", str(brains), "--data.modality", "[ct]"]
    assert main(["export", "--ckpt_path", str(checkpoint), *data, "--output", str(tmp_path / "out")]) == 2
    assert re.fullmatch(r"error: modality: found 'ct', expected one of .*\n", capsys.readouterr().err)


def test_a_model_read_from_a_checkpoint_scores_as_before(checkpoint):
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        expected = make_model()(images)
        found = load_trained("anomalib_patchgan.PatchGan", checkpoint)(images)
    assert isinstance(load_trained("anomalib_patchgan.PatchGan", checkpoint), PatchGan)
    torch.testing.assert_close(found.pred_score, expected.pred_score)


@pytest.mark.parametrize("model_class", [PatchGan, Cflow])
def test_a_checkpoint_is_read_with_the_pre_processor_that_it_was_trained_with(model_class, tmp_path):
    model = model_class(image_size=32, pre_processor=PreProcessor(transform=Normalize([0.5] * 3, [0.25] * 3)))
    save(model, tmp_path / "model.ckpt")
    found = load_trained(f"{model_class.__module__}.{model_class.__name__}", tmp_path / "model.ckpt")
    images = torch.rand(2, 3, 48, 48)
    torch.testing.assert_close(found.pre_processor(images), model.pre_processor(images))


@pytest.mark.parametrize(
    ("class_path", "post_processor"),
    [("anomalib.models.Padim", CalibratedPostProcessor), ("anomalib_patchgan.PatchGan", PostProcessor)],
)
def test_a_checkpoint_is_read_with_the_post_processor_that_it_was_trained_with(class_path, post_processor, tmp_path):
    arguments = {"backbone": "resnet18", "pre_trained": False} if class_path.endswith("Padim") else {"width": 8}
    model = import_object(class_path)(post_processor=post_processor(), **arguments)
    thresholds = {"image_min": 1.0, "_image_threshold": 2.0, "image_max": 4.0}
    for name, value in thresholds.items():
        getattr(model.post_processor, name).fill_(value)
    save(model, tmp_path / "model.ckpt")
    raw = InferenceBatch(pred_score=torch.tensor([1.5, 2.5, 9.0]))
    expected = model.post_processor(raw)
    found = load_trained(class_path, tmp_path / "model.ckpt").post_processor(raw)
    torch.testing.assert_close(found.pred_score, expected.pred_score)


def test_a_checkpoint_with_a_post_processor_that_is_not_known_is_named(tmp_path):
    class OfSomebody(PostProcessor):
        _checkpoint_config_keys = ("own",)

    save(PatchGan(width=8, post_processor=OfSomebody()), tmp_path / "model.ckpt")
    with pytest.raises(InputError, match=r"model\.ckpt: found a post-processor with the settings own, expected Calib"):
        load_trained("anomalib_patchgan.PatchGan", tmp_path / "model.ckpt")
