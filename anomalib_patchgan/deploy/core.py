# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The one OpenVINO core of a process, and what keeps others from taking the process down.

A core that has loaded OpenVINO's CPU plugin gives the thread a signal stack of its own and frees it when it goes. Of
two cores that go in the order in which they came, the second restores the first one's stack after it was freed, and the
next signal with a handler ends the process with a segmentation fault: a DataLoader's worker that ends is enough, since
torch handles SIGCHLD (seen in OpenVINO 2026.4).
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import openvino


@cache
def shared_core() -> openvino.Core:
    """The core that everything here reads and compiles with; it lives as long as the process."""
    core = openvino.Core()
    # The plugin is loaded when it is first asked.
    core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return core


def compile_in_float32(model: openvino.Model | Path) -> openvino.CompiledModel:
    """Compile a model for the CPU, in float32 where nothing is quantised; some CPUs would take bfloat16 by themselves.

    Args:
        model: A graph, or the ``.xml`` file of one.
    """
    return shared_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def reason_of(error: RuntimeError) -> str:
    """What OpenVINO says went wrong, without the places in its source that come before.

    Args:
        error: What it raised.
    """
    return (str(error).strip().splitlines() or [""])[-1].strip().rstrip(".") or "no reason given"


class _SignalStack(ctypes.Structure):
    """``stack_t`` of Linux's ``sigaltstack(2)``."""

    _fields_ = (("ss_sp", ctypes.c_void_p), ("ss_flags", ctypes.c_int), ("ss_size", ctypes.c_size_t))


@contextmanager
def foreign_cores() -> Iterator[None]:
    """Put the thread's signal stack back after code that makes cores of its own, such as NNCF's."""
    if sys.platform != "linux":
        yield
        return
    shared_core()
    libc = ctypes.CDLL(None)
    before = _SignalStack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)
