# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from PIL import Image

from anomalib_patchgan import __version__, cli
from anomalib_patchgan.cli import main
from anomalib_patchgan.store import Store


def test_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"anomalib-patchgan {__version__}\n"


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--help"], ["benchmark", "report", "prepare", "leak-meter", "phantoms", "export", "predict", "--version"]),
        (
            ["benchmark", "--help"],
            [
                "SUITE.yaml",
                "--seeds",
                "--dry-run",
                "--retry-failed",
                "--print_config",
                "--runner",
                "--jobs",
                "--ray-address",
                "skip: Why",
            ],
        ),
        (["report", "--help"], ["store", "--output"]),
        (["prepare", "--help"], ["--data", "--strict", "--split"]),
        (["leak-meter", "--help"], ["suite", "--model", "--data", "--output"]),
        (["export", "--help"], ["--ckpt_path", "--model", "--data", "--precision", "--output"]),
        (["parity", "--help"], ["--ckpt_path", "--data", "exports", "--threads"]),
        (["predict", "--help"], ["model", "inputs", "--output", "--write", "--device", "--hint", "--resume"]),
        (["latency", "--help"], ["--ckpt_path", "--workspace", "--ways", "--rounds"]),
        (["serve", "--help"], ["model", "--repository", "--name", "--hint"]),
        (["phantoms", "--help"], ["brats2019", "isic2016", "manifest"]),
        (["phantoms", "brats2019", "--help"], ["--root", "--subjects", "--spacing"]),
        (["phantoms", "manifest", "--help"], ["--root", "--anatomy", "--test_images"]),
        (["phantoms", "isic2016", "--help"], ["--root", "--train_images", "--height"]),
    ],
)
def test_help_names_what_can_be_asked_for(argv, expected, capsys):
    assert main(argv) == 0
    printed = capsys.readouterr().out
    assert [word for word in expected if word not in printed] == []


def test_help_imports_no_heavy_package():
    heavy = ["torch", "anomalib", "lightning", "pandas", "matplotlib", "scipy", "nibabel", "openvino"]
    code = (
        "import sys; from anomalib_patchgan.cli import main; main(['--help']); "
        f"print(sorted(set({heavy}) & set(sys.modules)))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "command"),
        (["brew"], "brew"),
        (["benchmark"], "benchmark has no suite; expected"),
        (["benchmark", "--dry-run"], "benchmark has no suite; expected"),
        (["benchmark", "absent.yaml"], "absent.yaml cannot be read"),
        (["report"], "STORE"),
        (["report", "absent"], "absent is not a result store"),
        (["report", "--leaderboard", "stores", "--method", "A"], "--method goes with STORE alone"),
        (["prepare", "--strict"], "data"),
        (["prepare", "--data", "anomalib_patchgan.data.BraTS2019", "--data.root", "absent"], "absent: found no such"),
        (["prepare", "--data", "anomalib_patchgan.data.BraTS2019", "--data.rot", "absent"], "rot"),
        (["leak-meter", "absent.yaml", "--model", "A", "--data", "b"], "absent.yaml cannot be read"),
        (["phantoms", "brats2019"], "root"),
        (["phantoms", "brats2019", "--root", "x", "--subjects", "0"], "subjects is 0"),
        (["phantoms", "brats2019", "--root", "x", "--subjcts", "2"], "subjcts"),
        (["phantoms", "manifest", "--root", "x", "--anatomy", "knee"], "anatomy"),
        (["phantoms", "brats2019", "--root", "x", "--spacing", "500"], "spacing is 500.0, expected at most 20.0"),
    ],
)
def test_what_the_user_can_correct_is_one_line_on_the_error_stream(argv, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"error: .*\n", captured.err)
    assert message in captured.err
    assert not list(tmp_path.iterdir())


def test_phantoms_are_written_and_their_folder_printed(tmp_path, capsys):
    root = tmp_path / "skin"
    argv = [
        "phantoms",
        "isic2016",
        "--root",
        str(root),
        "--train_images=1",
        "--test_images=1",
        "--height=96",
        "--width=128",
    ]
    assert main(argv) == 0
    assert capsys.readouterr().out.splitlines() == [str(root)]
    assert len(list(root.rglob("*.jpg"))) == 2


@pytest.fixture
def absent_suite(tmp_path):
    """A suite whose classes cannot be imported, so that whatever comes to the jobs says so."""
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        "{name: tiny, question: '?', method: A, seeds: [0], "
        "data: {brain: {class_path: absent_package.Data, init_args: {root: nowhere}}}, "
        "models: {A: {class_path: absent_package.Model, trainer: {max_epochs: 1}}}}"
    )
    return suite


@pytest.mark.parametrize("option", ["--store", "--report"])
@pytest.mark.parametrize("below", ["", "below/it"])
@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_file_where_a_folder_of_results_is_to_be_is_refused_first(
    option, below, dry_run, absent_suite, tmp_path, capsys
):
    file = tmp_path / "file"
    file.touch()
    assert main(["benchmark", str(absent_suite), option, str(file / below), *dry_run]) == 2
    assert capsys.readouterr().err == f"error: {option}: found the file {file}, expected a folder or a free name.\n"


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ("file/leak.md", "file: found no folder that can be made (File exists), expected one."),
        ("here", "here: found a folder, expected a file or a free name."),
    ],
)
def test_leak_meter_that_cannot_write_its_finding_is_refused_first(output, found, absent_suite, tmp_path, capsys):
    (tmp_path / "file").touch()
    (tmp_path / "here").mkdir()
    argv = ["leak-meter", str(absent_suite), "--model", "A", "--data", "brain", "--output", str(tmp_path / output)]
    assert main(argv) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/{found}\n"


def test_finding_of_the_leak_meter_is_printed_even_where_it_cannot_be_written(
    absent_suite, tmp_path, monkeypatch, capsys
):
    from anomalib_patchgan.benchmark import leak_meter

    output = tmp_path / "new" / "leak.md"

    def measure(*_args):
        output.mkdir()

    monkeypatch.setattr(leak_meter, "measure_leak", measure)
    monkeypatch.setattr(leak_meter, "describe_leak", lambda _leak: "the finding")
    assert main(["leak-meter", str(absent_suite), "--model", "A", "--data", "brain", "--output", str(output)]) == 2
    captured = capsys.readouterr()
    assert captured.out == "the finding\n"
    assert captured.err == f"error: {output}: found that it cannot be written (Is a directory), expected a file.\n"


@pytest.mark.parametrize(
    ("plan", "missing"), [({}, "suite"), ({"suite": "tiny"}, "jobs"), ({"suite": "tiny", "jobs": 3}, "jobs")]
)
def test_report_of_a_store_without_a_plan_of_jobs_is_a_sentence(plan, missing, tmp_path, capsys):
    Store(tmp_path).save_plan(plan)
    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path / 'plan.json'}: found no {missing}, expected a plan as `benchmark` writes; remove this file "
        "alone, and `benchmark` writes it again and keeps the results.\n"
    )


def test_report_about_another_row_does_not_take_the_place_of_the_suites_own(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jobs = [{"key": f"never-run-{model}", "model": model, "data": "brain", "seed": 0} for model in ("A", "B, new")]
    Store(tmp_path / "store").save_plan({"suite": "tiny", "method": "A", "jobs": jobs})
    assert main(["report", "store", "--method", "B, new"]) == 0
    assert capsys.readouterr().out == "reports/tiny-b-new/index.html\n"


@pytest.mark.parametrize("damaged", [False, True])
def test_report_says_that_no_job_has_a_result(damaged, tmp_path, capsys):
    store = tmp_path / "store"
    job = {"key": "never-run", "model": "A", "data": "brain", "seed": 0}
    Store(store).save_plan({"suite": "tiny", "method": "A", "jobs": [job]})
    if damaged:
        (store / "jobs" / "never-run").mkdir(parents=True)
        (store / "jobs" / "never-run" / "run.json").touch()
    assert main(["report", str(store), "--output", str(tmp_path / "report")]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{tmp_path / 'report' / 'index.html'}\n"
    assert captured.err == f"no job of {store} has a result; the report says why\n"


def test_dry_run_refuses_what_the_runner_would(absent_suite, capsys):
    assert main(["benchmark", str(absent_suite), "--dry-run", "--runner", "processes", "--jobs", "0"]) == 2
    assert capsys.readouterr().err == "error: --jobs is 0; expected a positive number.\n"


def test_printed_configuration_has_the_overrides(absent_suite, capsys):
    assert (
        main(["benchmark", str(absent_suite), "--print_config", "--threads=7", "--models.A.trainer.max_epochs", "9"])
        == 0
    )
    printed = capsys.readouterr().out
    assert "threads: 7" in printed
    assert "max_epochs: 9" in printed


def test_full_disk_is_a_sentence_wherever_it_is_met(monkeypatch, capsys):
    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "cache/volume.npy")

    monkeypatch.setitem(cli.COMMANDS, "report", replace(cli.COMMANDS["report"], run=full))
    assert main(["report", "store"]) == 2
    assert capsys.readouterr().err == "error: cache/volume.npy cannot be written (No space left on device)\n"


def test_path_that_cannot_be_used_is_a_sentence(tmp_path, capsys):
    file = tmp_path / "file"
    file.touch()
    argv = ["phantoms", "isic2016", "--root", str(file / "below"), "--train_images=1", "--test_images=1"]
    assert main(argv) == 2
    assert capsys.readouterr().err == f"error: {file} cannot be read or written (File exists)\n"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("benchmark", "stopped; the same command goes on where this one ended"),
        ("predict", "stopped; the same command with --resume goes on where this one ended"),
        ("report", "stopped"),
    ],
)
def test_stopped_command_says_what_goes_on_if_anything_does(command, message, monkeypatch, capsys):
    def stop(_arguments):
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS, command, replace(cli.COMMANDS[command], prepare=stop))
    assert main([command]) == 130
    assert capsys.readouterr().err == f"{message}\n"


def test_kill_stops_a_command_as_ctrl_c_does(monkeypatch, capsys):
    def be_killed(*_args):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setitem(cli.COMMANDS, "report", replace(cli.COMMANDS["report"], run=be_killed))
    assert main(["report", "store"]) == 130
    assert capsys.readouterr().err == "stopped\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_error_of_the_system_that_no_path_makes_keeps_its_traceback(monkeypatch):
    def broken(*_args):
        raise OSError(errno.EIO, os.strerror(errno.EIO), "disk")

    monkeypatch.setitem(cli.COMMANDS, "report", replace(cli.COMMANDS["report"], run=broken))
    with pytest.raises(OSError, match="disk"):
        main(["report", "store"])


def test_command_that_the_base_install_cannot_run_names_the_extra(monkeypatch, capsys):
    def untrained(*_args):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setitem(cli.COMMANDS, "benchmark", replace(cli.COMMANDS["benchmark"], prepare=untrained))
    with pytest.raises(ModuleNotFoundError):
        main(["benchmark"])
    monkeypatch.setattr(cli, "find_spec", lambda _name: None)
    assert main(["benchmark"]) == 2
    assert capsys.readouterr().err == (
        "error: benchmark needs torch, which the base install leaves out; "
        "install the train extra (pip install 'anomalib-patchgan[train]')\n"
    )


def test_runners_on_offer_are_those_there_are(capsys):
    from anomalib_patchgan.benchmark.runners import RUNNERS

    assert main(["benchmark", "--help"]) == 0
    assert f"{{{','.join(RUNNERS)}}}" in "".join(capsys.readouterr().out.split())


def test_a_collection_is_prepared_described_and_its_split_written(tmp_path, capsys):
    root, split = tmp_path / "skin", tmp_path / "split.json"
    sizes = ["--train_images=10", "--test_images=4", "--height=96", "--width=128"]
    assert main(["phantoms", "isic2016", "--root", str(root), *sizes]) == 0
    data = ["--data", "anomalib_patchgan.data.ISIC2016", "--data.root", str(root), "--data.working_size", "96"]
    argv = ["prepare", *data, "--data.cache_dir", str(tmp_path / "cache"), "--data.patch_size", "16"]
    capsys.readouterr()
    assert main([*argv, "--strict", "--split", str(split)]) == 0
    printed = capsys.readouterr().out
    assert "| test | 4 |" in printed
    assert json.loads(split.read_text())["sha256"] in printed


@pytest.fixture
def one_image_manifest(tmp_path):
    def write(rows):
        root = tmp_path / "collection"
        root.mkdir()
        Image.new("L", (8, 8)).save(root / "a.png")
        (root / "manifest.csv").write_text("\n".join(rows))
        return root

    return write


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (["image,label", "a.png,maybe"], [], "line 2: found the label 'maybe', expected one of 0, normal"),
        (["image,label", "b.png,normal"], [], "b.png"),
        (["image,label", "a.png,normal", "a.png,normal"], [], "line 3"),
        ([], [], "manifest.csv"),
        (["image,label", "a.png,normal"], ["--data.intensity_range", "[5,1]"], "intensity_range: found 5, 1"),
        (["image,label", "a.png,normal"], ["--data.image_size", "0"], "image_size: found (0, 0), expected at least"),
        (["image,label", "a.png,normal"], ["--data.image_size", "[8,-5]"], "image_size: found (8, -5), expected at"),
    ],
)
def test_what_a_datamodule_refuses_is_its_own_sentence(rows, options, message, one_image_manifest, capsys):
    data = ["--data", "anomalib_patchgan.data.Manifest", "--data.root", str(one_image_manifest(rows))]
    assert main(["prepare", *data, *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"error: .*\n", captured.err)
    assert message in captured.err
