# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import re

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_benchmark import TinyData
from tiny_suite import MODELS, contents, runs_by_model, write_suite

from anomalib_patchgan.benchmark import job as job_module
from anomalib_patchgan.cli import main
from anomalib_patchgan.deploy import device
from anomalib_patchgan.store import Store


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The suite after its first start: the suite's path and the exit status."""
    path = write_suite(tmp_path_factory.mktemp("first"), MODELS)
    return path, main(["benchmark", str(path)])


def test_model_that_raises_is_a_failed_run_and_the_others_finish(finished):
    path, status = finished
    runs = runs_by_model(path)
    assert status == 1
    assert {name: run.status for name, run in runs.items()} == {
        "Tiny": "finished",
        "Raising": "failed",
        "Undefined": "failed",
        "Tiny by steps": "finished",
    }
    assert runs["Raising"].error == "RuntimeError: this model never learns"
    assert "tiny_benchmark.py" in runs["Raising"].traceback
    assert "4 of 4 values not finite" in runs["Undefined"].error
    assert (path.parent / "report" / "index.html").exists()


def test_second_start_runs_nothing_and_prints_the_page_last(finished, monkeypatch, capsys):
    path, _ = finished
    before = contents(path.parent / "store" / "jobs")

    def refuse(*_args):
        raise AssertionError("a job ran again")

    monkeypatch.setattr(job_module, "run_job", refuse)
    (path.parent / "report" / "index.html").unlink()
    assert main(["benchmark", str(path)]) == 1
    assert capsys.readouterr().out == f"{path.parent / 'report' / 'index.html'}\n"
    assert (path.parent / "report" / "index.html").exists()
    assert contents(path.parent / "store" / "jobs") == before


def test_same_plan_in_a_fresh_store_gives_the_same_bytes(finished, tmp_path):
    path, _ = finished
    other = write_suite(tmp_path / "second", {"Tiny": MODELS["Tiny"]})
    assert main(["benchmark", str(other)]) == 0
    for seed in (0, 1):
        first, second = runs_by_model(path, seed)["Tiny"], runs_by_model(other, seed)["Tiny"]
        assert first.key == second.key
        for name in ("scores.parquet", "calibration.parquet", "maps.npz", "curves.parquet"):
            files = [store / "store" / "jobs" / first.key / name for store in (path.parent, other.parent)]
            assert files[0].read_bytes() == files[1].read_bytes(), name


def test_processes_give_the_bytes_that_this_process_gives(finished, tmp_path):
    path, _ = finished
    other = write_suite(tmp_path / "other", {"Tiny": MODELS["Tiny"]})
    assert main(["benchmark", str(other), "--runner", "processes"]) == 0
    for seed in (0, 1):
        first, second = runs_by_model(path, seed)["Tiny"], runs_by_model(other, seed)["Tiny"]
        assert first.key == second.key
        for name in ("scores.parquet", "calibration.parquet", "maps.npz", "curves.parquet"):
            files = [store / "store" / "jobs" / first.key / name for store in (path.parent, other.parent)]
            assert files[0].read_bytes() == files[1].read_bytes(), name


def test_suite_for_a_gpu_is_a_sentence_where_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    path = write_suite(tmp_path / "suite", {"Tiny": MODELS["Tiny"]})
    assert main(["benchmark", str(path), "--accelerator", "gpu"]) == 1
    run = runs_by_model(path)["Tiny"]
    assert run.error == "PyTorch finds no GPU here; expected one, or a suite with --accelerator cpu."


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("runner", ["in_process", "processes"])
def test_suite_trains_and_tests_on_a_gpu_and_says_on_which(tmp_path, runner):
    path = write_suite(tmp_path / "suite", {"Tiny": MODELS["Tiny"]})
    assert main(["benchmark", str(path), "--accelerator", "gpu", "--runner", runner]) == 0
    run = runs_by_model(path)["Tiny"]
    assert run.status == "finished"
    assert run.environment["accelerator"] == f"cuda:0 ({torch.cuda.get_device_name(0)})"


def test_jobs_of_one_data_set_read_it_once(tmp_path, monkeypatch):
    read = []
    assemble = TinyData._assemble
    monkeypatch.setattr(TinyData, "_assemble", lambda self: read.append(self) or assemble(self))
    assert main(["benchmark", str(write_suite(tmp_path / "suite", {"Tiny": MODELS["Tiny"]}))]) == 0
    # Once to prepare them, once for the jobs of both seeds.
    assert len(read) == 2


@pytest.mark.parametrize(("native", "trained_in"), [(False, "32-true"), (True, None)])
def test_bfloat16_is_not_emulated_and_the_budget_says_so(tmp_path, monkeypatch, native, trained_in):
    monkeypatch.setattr(device, "computes_bfloat16", lambda _device: native)
    trainer = {"max_epochs": 1, "precision": "bf16-mixed"}
    path = write_suite(tmp_path / "suite", {"Tiny": MODELS["Tiny"] | {"trainer": trainer}})
    assert main(["benchmark", str(path), "--seeds", "[0]"]) == 0
    assert runs_by_model(path)["Tiny"].budget.get("trained_in") == trained_in


def test_dry_run_of_unprepared_data_does_not_say_that_nothing_is_left(tmp_path, capsys):
    assert main(["benchmark", str(write_suite(tmp_path / "new", {"Tiny": MODELS["Tiny"]})), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "squares: 2 jobs get their keys when its data are prepared" in said
    assert "nothing is left" not in said


def test_seeds_differ_in_their_scores(finished):
    scores = [runs_by_model(finished[0], seed)["Tiny"].scores["raw_score"] for seed in (0, 1)]
    assert not np.allclose(*scores)


def test_scores_are_raw_and_in_the_order_of_the_stored_test_set(finished):
    path, _ = finished
    run = runs_by_model(path, with_maps=True)["Tiny"]
    record = Store(path.parent / "store").load_data(run.data_key)
    assert run.scores["sample_id"].tolist() == record.samples["sample_id"].tolist()
    assert run.maps.shape == record.masks.shape == (8, 16, 16)
    np.testing.assert_allclose(run.maps.max(axis=(1, 2)), run.scores["raw_score"], rtol=1e-3)
    assert record.images.dtype == np.uint8
    np.testing.assert_array_equal(record.masks.any(axis=(1, 2)), record.samples["label"].astype(bool))


def test_label_is_the_models_own(finished):
    run = runs_by_model(finished[0])["Tiny"]
    threshold = run.calibration["raw_score"].max()
    assert run.scores["predicted_label"].dtype == bool
    # Four calibration normals attain no target, so the threshold is their highest score.
    np.testing.assert_array_equal(run.scores["predicted_label"], run.scores["raw_score"] > threshold)


def test_curves_times_and_budget_are_kept(finished):
    run = runs_by_model(finished[0])["Tiny"]
    loss = run.curves[run.curves["name"] == "loss"]
    assert loss["step"].tolist() == [0, 1, 2]
    assert loss["value"].is_monotonic_decreasing
    assert set(run.timings) == {"fit", "test", "total"}
    assert run.budget == {"max_epochs": 3, "epochs": 3, "optimizer_steps": 6, "train_samples": 6}
    assert run.parameters == 84


def test_training_by_steps_is_calibrated_too(finished):
    run = runs_by_model(finished[0])["Tiny by steps"]
    assert len(run.calibration) == 4
    assert run.budget["optimizer_steps"] == 1


def test_plan_of_a_finished_suite_is_printed_without_writing(finished, capsys):
    path, _ = finished
    before = contents(path.parent)
    assert main(["benchmark", str(path), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("finished") == 4
    assert printed.count("failed") == 4
    assert contents(path.parent) == before


def test_time_of_jobs_is_estimated_from_runs_of_their_kind(finished, capsys):
    path, _ = finished
    assert main(["benchmark", str(path), "--dry-run"]) == 0
    assert "estimate: nothing is left to run" in capsys.readouterr().out
    assert main(["benchmark", str(path), "--dry-run", "--seeds=[0, 7]"]) == 0
    # Both models that finished, of the four.
    assert re.search(r"estimate: \d s of jobs, .*, and 2 more of which nothing is known", capsys.readouterr().out)
    assert main(["benchmark", str(path), "--dry-run", "--threads=1"]) == 0
    assert "estimate: nothing is known of the 8 jobs to run" in capsys.readouterr().out


def test_failed_job_runs_again_when_asked_for(finished, monkeypatch):
    path, _ = finished
    ran = []

    def note(job, track):
        ran.append(job.model)
        raise RuntimeError("still not")

    monkeypatch.setattr(job_module, "run_job", note)
    assert main(["benchmark", str(path), "--retry-failed"]) == 1
    assert ran == ["Raising", "Raising", "Undefined", "Undefined"]
    assert runs_by_model(path)["Raising"].error == "RuntimeError: still not"


def test_unknown_model_path_is_a_sentence_before_anything_is_written(tmp_path, capsys):
    path = write_suite(tmp_path / "suite", MODELS | {"Tiny": MODELS["Tiny"] | {"class_path": "tiny_benchmark.Absent"}})
    before = contents(path.parent)
    assert main(["benchmark", str(path)]) == 2
    assert "models.Tiny.class_path is 'tiny_benchmark.Absent', which cannot be imported" in capsys.readouterr().err
    assert contents(path.parent) == before


def test_stopped_suite_keeps_what_is_done_and_goes_on_from_there(tmp_path, capsys):
    models = {"Tiny": MODELS["Tiny"], "Stopped": MODELS["Raising"] | {"class_path": "tiny_benchmark.StoppedModel"}}
    path = write_suite(tmp_path / "suite", models)
    assert main(["benchmark", str(path), "--seeds=[0]"]) == 130
    said = capsys.readouterr().err
    assert "2 jobs to run, 0 done before" in said
    assert "stopped" in said
    store = Store(path.parent / "store")
    statuses = {job["model"]: store.run_status(job["key"]) for job in store.load_plan()["jobs"]}
    assert statuses == {"Tiny": "finished", "Stopped": None}
    assert isinstance(store.load_run(store.load_plan()["jobs"][0]["key"]).scores, pd.DataFrame)


def test_skipped_row_stands_in_the_report_fails_nothing_and_runs_when_asked_for(tmp_path, capsys):
    skipped = MODELS["Tiny by steps"] | {"class_path": "absent_package.Model", "skip": "Its weights need a hub."}
    path = write_suite(tmp_path / "suite", {"Tiny": MODELS["Tiny"], "Big": skipped})
    command = ["benchmark", str(path), "--seeds=[0]"]
    assert main(command) == 0
    said = capsys.readouterr().err
    assert "Big is skipped: Its weights need a hub.\n1 jobs to run, 0 done before\n[1/1] Tiny" in said
    page = (path.parent / "report" / "README.md").read_text()
    assert "Big on squares, seed 0, skipped: Its weights need a hub." in page
    assert main([*command, "--models.Big.skip", ""]) == 2
    assert "absent_package" in capsys.readouterr().err
    assert main([*command, "--models.Big.skip", "", "--models.Big.class_path", "tiny_benchmark.TinyModel"]) == 0
    assert runs_by_model(path)["Big"].status == "finished"
