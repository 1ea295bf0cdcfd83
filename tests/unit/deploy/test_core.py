# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""OpenVINO's core: signals still arrive after others have come and gone."""

import subprocess
import sys

import pytest

# Cores come and go in the same order, and then a child ends whose parent handles SIGCHLD, as that of a DataLoader with
# workers does.
CODE = """
import signal, subprocess
from contextlib import nullcontext
from openvino import Core
from anomalib_patchgan.deploy.core import foreign_cores, shared_core

signal.signal(signal.SIGCHLD, lambda *_: None)
with {around}():
    first, second = {core}(), {core}()
    for core in (first, second):
        core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    del core, first
    del second
subprocess.run(["sleep", "0.2"], check=True)
"""


def status(around, core):
    code = CODE.format(around=around, core=core)
    return subprocess.run([sys.executable, "-c", code], check=False).returncode


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGCHLD")
@pytest.mark.parametrize(("around", "core"), [("nullcontext", "shared_core"), ("foreign_cores", "Core")])
def test_signals_arrive_after_cores_have_come_and_gone(around, core):
    assert status(around, core) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="seen on Linux")
@pytest.mark.xfail(reason="OpenVINO frees a signal stack that is in use; once it does not, this module can go")
def test_openvinos_own_cores_leave_the_process_alive():
    assert status("nullcontext", "Core") == 0
