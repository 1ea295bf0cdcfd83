# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What ``parity`` and ``latency`` refuse before they measure, and that nothing measured is lost after it."""

from pathlib import Path

import pytest
from jsonargparse import Namespace

from anomalib_patchgan.deploy import commands, latency, parity
from anomalib_patchgan.deploy.latency import LatencyRow
from anomalib_patchgan.deploy.parity import ParityRow
from anomalib_patchgan.errors import InputError

FULL = Path("/dev/full")


@pytest.fixture
def untouched(monkeypatch):
    """Fail if a model is read."""

    def fail(options):
        raise AssertionError("a model was read")

    monkeypatch.setattr(commands, "_trained", fail)


@pytest.fixture
def measured(monkeypatch):
    """Measure nothing, and give the rows of this list as the result."""
    rows = []
    monkeypatch.setattr(commands, "_trained", lambda options: (None, None))
    monkeypatch.setattr(latency, "write_workspace", lambda *arguments: None)
    monkeypatch.setattr(latency, "measure_latency", lambda *arguments: rows)
    return rows


def latency_options(folder, **changes):
    values = {"workspace": folder / "ws", "ways": "", "threads": 1, "rounds": 1, "seconds": 1.0, "output": None}
    return Namespace(**values | changes)


def parity_options(*exports, **changes):
    return Namespace(**{"exports": list(exports), "threads": 1, "output": None} | changes)


@pytest.fixture
def export(tmp_path):
    path = tmp_path / "exports" / "model.xml"
    path.parent.mkdir()
    path.touch()
    return path


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rounds": 0}, "rounds: found 0, expected 1 or more"),
        ({"rounds": -1}, "rounds: found -1, expected 1 or more"),
        ({"seconds": 0.0}, "seconds: found 0, expected more than 0"),
        ({"seconds": -2.5}, "seconds: found -2.5, expected more than 0"),
        ({"seconds": float("nan")}, "seconds: found nan, expected more than 0"),
        ({"seconds": float("inf")}, "seconds: found inf, expected more than 0"),
        ({"threads": 0}, "threads: found 0, expected 1 or more"),
        ({"threads": -1}, "threads: found -1, expected 1 or more"),
        ({"ways": "tensorrt"}, "ways: found 'tensorrt', expected some of pytorch_fp32"),
    ],
)
def test_latency_refuses_what_cannot_be_measured_before_it_reads_a_model(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        commands.latency(latency_options(tmp_path, **changes), [])


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("threads", [0, -1])
def test_parity_refuses_to_run_without_threads(export, threads):
    with pytest.raises(InputError, match=f"threads: found {threads}, expected 1 or more"):
        commands.parity(parity_options(export, threads=threads), [])


@pytest.mark.usefixtures("untouched")
def test_every_path_without_an_export_is_named_before_a_model_is_read(tmp_path, export):
    empty, absent, other = tmp_path / "empty", tmp_path / "absent.xml", tmp_path / "model.onnx"
    empty.mkdir()
    other.touch()
    with pytest.raises(InputError) as caught:
        commands.parity(parity_options(export.parent, empty, absent, other), [])
    assert str(caught.value) == f"{empty}, {absent}, {other}: found no .xml file, expected an exported model."


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("output", ["file/table.md", "exports", f"exports/{'a' * 300}"])
def test_an_output_that_cannot_be_written_is_refused_before_a_model_is_read(tmp_path, export, output):
    (tmp_path / "file").touch()
    for run, options in (
        (commands.parity, parity_options(export, output=tmp_path / output)),
        (commands.latency, latency_options(tmp_path, output=tmp_path / output)),
    ):
        with pytest.raises(InputError, match="expected"):
            run(options, [])


@pytest.mark.usefixtures("untouched")
def test_a_table_under_the_name_of_the_working_folder_is_refused_before_a_model_is_read(tmp_path):
    with pytest.raises(InputError, match=r"\.: found a folder, expected a file or a free name"):
        commands.latency(latency_options(tmp_path, output=Path()), [])


@pytest.mark.usefixtures("untouched")
def test_a_workspace_that_is_a_file_is_refused_before_a_model_is_read(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="found no folder that can be made"):
        commands.latency(latency_options(tmp_path, workspace=tmp_path / "file"), [])


@pytest.mark.usefixtures("untouched")
def test_a_table_under_the_name_of_the_record_is_refused_before_a_model_is_read(tmp_path):
    with pytest.raises(InputError, match=r"speed\.json: found the name that all numbers get"):
        commands.latency(latency_options(tmp_path, output=tmp_path / "speed.json"), [])


@pytest.fixture
def compared(monkeypatch):
    """Compare nothing, and give each export in turn a row of this list."""
    rows = []

    class Bench:
        def __init__(self, *arguments):
            pass

        def compare_export(self, path):
            return rows.pop(0)

    monkeypatch.setattr(commands, "_trained", lambda options: (None, None))
    monkeypatch.setattr(parity, "ParityBench", Bench)
    return rows


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has a file that is always full")
def test_a_table_that_cannot_be_written_has_been_printed(measured, compared, tmp_path, export, capsys):
    measured.append(LatencyRow(name="decoding", status="unsupported", note="no such thing"))
    with pytest.raises(InputError, match="/dev/full: found that it cannot be written"):
        commands.latency(latency_options(tmp_path, output=FULL), [])
    assert "| decoding | unsupported: no such thing |" in capsys.readouterr().out

    compared.append(ParityRow(backend="openvino_fp32", precision="fp32", status="passed"))
    with pytest.raises(InputError, match="/dev/full: found that it cannot be written"):
        commands.parity(parity_options(export, output=FULL), [])
    assert "| openvino_fp32 | passed |" in capsys.readouterr().out


def test_latency_fails_where_no_way_could_be_measured(measured, tmp_path):
    measured.append(LatencyRow(name="decoding", status="unsupported"))
    assert commands.latency(latency_options(tmp_path), []) == 1
    timed = LatencyRow(name="openvino_fp32", status="ok", seconds=[1.0], rates=[1.0], cold_start_s=1.0)
    measured.append(timed)
    assert commands.latency(latency_options(tmp_path), []) == 0


def test_parity_fails_where_no_export_could_be_compared(compared, export):
    unsupported = ParityRow(backend="openvino_bf16", precision="bf16", status="unsupported")
    compared.append(unsupported)
    assert commands.parity(parity_options(export), []) == 1
    compared += [unsupported, ParityRow(backend="openvino_fp32", precision="fp32", status="passed")]
    export.with_name("other.xml").touch()
    assert commands.parity(parity_options(export.parent), []) == 0
