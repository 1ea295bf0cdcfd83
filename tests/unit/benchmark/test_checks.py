# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What a dry run and a start refuse alike, once the classes of a suite are imported."""

import re

import pytest
import yaml

from anomalib_patchgan.cli import main


@pytest.fixture
def content(tmp_path):
    return {
        "name": "tiny",
        "question": "Does it run?",
        "method": "Mean",
        "seeds": [0],
        "store": str(tmp_path / "store"),
        "report": str(tmp_path / "report"),
        "data": {
            "brain": {
                "class_path": "anomalib_patchgan.data.BraTS2019",
                "init_args": {"root": str(tmp_path / "brains")},
                "phantoms": {"class_path": "anomalib_patchgan.data.phantoms.BrainPhantoms"},
            }
        },
        "models": {
            "Mean": {"class_path": "anomalib_patchgan.models.MeanIntensity", "trainer": {"max_epochs": 1}},
        },
    }


@pytest.mark.parametrize("command", [["benchmark", "--dry-run"], ["benchmark"], ["leak-meter"]])
@pytest.mark.parametrize(
    ("section", "name", "entry", "message"),
    [
        (
            "models",
            "Mean",
            {"trainer": {"max_epochs": 1, "nonsense": 3}},
            "Mean.trainer has the unknown key 'nonsense'",
        ),
        (
            "models",
            "Mean",
            {"overrides": {"brain": {"trainer": {"callbacks": []}}}},
            "Mean.trainer has the unknown key 'callbacks'; expected arguments of Lightning's Trainer",
        ),
        ("data", "brain", {"subjects": -1}, "data.brain.phantoms.init_args does not fit .*: phantoms: subjects is -1"),
        ("data", "brain", {"spacing": 500}, "data.brain.phantoms.init_args does not fit .*: phantoms: spacing is 500"),
    ],
)
def test_what_would_fail_later_is_refused_before_anything_is_written(
    command, section, name, entry, message, content, tmp_path, capsys
):
    changed = content[section][name]
    (changed if section == "models" else changed["phantoms"]).update(
        entry if section == "models" else {"init_args": entry}
    )
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(content))
    names = ["--model", "Mean", "--data", "brain"] if command == ["leak-meter"] else []
    assert main([command[0], str(path), *command[1:], *names]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert [path] == list(tmp_path.iterdir())


def test_unknown_backend_is_refused_by_a_dry_run(content, tmp_path, capsys):
    content["models"]["Mean"]["backends"] = ["pytorch_fp32", "tpu"]
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(content))
    assert main(["benchmark", str(path), "--dry-run"]) == 2
    assert "models.Mean.backends names 'tpu'; expected some of pytorch_fp32" in capsys.readouterr().err
