# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Work is spread over processes without a trace in the results, and a killed writer leaves no half-made data set."""

import signal
import subprocess
import sys
import time

import pytest

from anomalib_patchgan.data.phantoms import SkinPhantoms
from anomalib_patchgan.data.phantoms.processes import map_indices

SCRIPT = """
import sys
from pathlib import Path
from anomalib_patchgan.data.phantoms import SkinPhantoms

if __name__ == "__main__":
    SkinPhantoms(train_images=3000, test_images=1, height=96, width=128).write(Path(sys.argv[1]), processes=2)
"""


def square(index):
    return index * index


def fail_at_three(index):
    if index == 3:
        raise ValueError("three")
    return index


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_order_and_progress_counts_up(processes):
    calls = []
    assert map_indices(square, 9, processes, lambda *call: calls.append(call)) == [index**2 for index in range(9)]
    assert calls == [(done, 9) for done in range(1, 10)]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_failing_task_raises_its_own_error(processes):
    with pytest.raises(ValueError, match="three"):
        map_indices(fail_at_three, 5, processes, None)


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killed_writer_leaves_no_data_set_and_no_working_process(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    folder = tmp_path / "data"
    writer = subprocess.Popen([sys.executable, str(script), str(folder / "set")])
    deadline = time.time() + 60
    while not list(folder.glob(".set.partial-*/*/*.jpg")):
        assert time.time() < deadline, "the writer did not start"
        assert writer.poll() is None, "the writer ended before it was killed"
        time.sleep(0.05)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    time.sleep(1.0)
    count = len(list(folder.rglob("*.jpg")))
    time.sleep(1.0)
    assert len(list(folder.rglob("*.jpg"))) == count
    assert not (folder / "set").exists()

    SkinPhantoms(train_images=1, test_images=1, height=96, width=128).write(folder / "set")
    assert len(list((folder / "set").rglob("*.jpg"))) == 2


def test_script_read_from_standard_input_writes_its_phantoms(tmp_path):
    script = SCRIPT.replace("3000", "6")
    finished = subprocess.run(
        [sys.executable, "-", str(tmp_path / "set")], input=script, capture_output=True, text=True, timeout=60
    )
    assert finished.returncode == 0, finished.stderr
    assert len(list((tmp_path / "set").rglob("*.jpg"))) == 7
