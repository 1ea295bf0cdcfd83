# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The leak meter on a model that memorises."""

import pytest
import yaml

from anomalib_patchgan.benchmark import artefact_tests
from anomalib_patchgan.benchmark.leak_meter import describe_leak, measure_leak
from anomalib_patchgan.benchmark.progress import LineDisplay
from anomalib_patchgan.benchmark.suite import read_suite
from anomalib_patchgan.cli import INTERRUPTED_STATUS, main


@pytest.fixture
def suite_file(tmp_path):
    (tmp_path / "data").mkdir()
    data = {"root": str(tmp_path / "data"), "cache_dir": str(tmp_path / "cache")}
    suite = {
        "name": "leak",
        "question": "Does it leak?",
        "method": "Memorising",
        "seeds": [0, 1],
        "store": str(tmp_path / "store"),
        "data": {
            "leaking": {"class_path": "tiny_benchmark.LeakingData", "init_args": data},
            "tight": {"class_path": "tiny_benchmark.TinyData", "init_args": data},
        },
        "models": {"Memorising": {"class_path": "tiny_benchmark.MemorisingModel", "trainer": {"max_epochs": 1}}},
    }
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(suite))
    return path


def test_memorising_is_inflated_by_a_leak_on_the_same_test(suite_file):
    leak = measure_leak(read_suite(suite_file), "Memorising", "leaking", LineDisplay())
    assert leak.by_subject.auroc < leak.by_sample.auroc
    assert leak.inflation is not None
    assert leak.inflation.value == pytest.approx(leak.by_sample.auroc - leak.by_subject.auroc)
    assert (leak.train_samples, leak.test_samples, leak.seeds) == (6, 8, 2)
    assert "Inflation by the leak: +" in describe_leak(leak)


def test_the_command_prints_and_writes_the_finding(suite_file, tmp_path, capsys):
    output = tmp_path / "new" / "leak.md"
    argv = ["leak-meter", str(suite_file), "--model", "Memorising", "--data", "leaking", "--output", str(output)]
    assert main(argv) == 0
    assert output.read_text() == capsys.readouterr().out
    assert not list((tmp_path / "store").rglob("*scores*"))


def test_data_that_leave_nothing_to_leak_are_refused_in_a_sentence(suite_file, capsys):
    assert main(["leak-meter", str(suite_file), "--model", "Memorising", "--data", "tight"]) == 2
    assert "found no spare normal sample of a test subject" in capsys.readouterr().err


def test_interrupted_training_ends_the_command_as_ctrl_c_does(suite_file, capsys):
    suite_file.write_text(suite_file.read_text().replace("MemorisingModel", "StoppedModel"))
    argv = ["leak-meter", str(suite_file), "--model", "Memorising", "--data", "leaking"]
    assert main(argv) == INTERRUPTED_STATUS
    assert capsys.readouterr().err.splitlines()[-1] == "stopped"


def test_artefacts_of_the_suite_are_not_tested(suite_file, monkeypatch):
    suite = read_suite(suite_file, ["--artefacts.kinds", "[blur]", "--artefacts.severities", "[1]", "--seeds", "[0]"])
    monkeypatch.setattr(artefact_tests, "score_under_artefacts", None)
    assert measure_leak(suite, "Memorising", "leaking", LineDisplay()).seeds == 1


def test_names_that_are_not_in_the_suite_are_refused(suite_file, capsys):
    assert main(["leak-meter", str(suite_file), "--model", "Other", "--data", "tight"]) == 2
    assert "--model: found 'Other', expected one of Memorising" in capsys.readouterr().err
