# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Compiling an exported model for a device."""

from __future__ import annotations

from typing import Any

import openvino

from anomalib_patchgan.deploy.core import shared_core
from anomalib_patchgan.errors import InputError

HINTS = {"throughput": "THROUGHPUT", "latency": "LATENCY"}
# Devices that can be told what to compute in; others have one arithmetic only.
_TOLD_PRECISION = ("CPU", "GPU", "AUTO")


def compile_for(
    model: openvino.Model,
    inference_precision: str,
    device: str,
    hint: str,
    threads: int | None,
) -> openvino.CompiledModel:
    """Compile a graph.

    The precision is always declared where the device can be told: on CPUs with bfloat16 OpenVINO would else compute in
    it silently, with other scores.

    Args:
        model: The graph.
        inference_precision: ``f32`` or ``bf16``.
        device: ``CPU``, ``GPU``, ``NPU`` or ``AUTO``.
        hint: ``throughput`` or ``latency``.
        threads: Threads on a CPU; None leaves it to OpenVINO.

    Raises:
        InputError: If there is no such device, it cannot compute so, or the hint is unknown.
    """
    if hint not in HINTS:
        raise InputError(f"hint: found {hint!r}, expected one of {', '.join(HINTS)}.")
    core = shared_core()
    available = core.available_devices
    if device != "AUTO" and device.split(".")[0] not in {name.split(".")[0] for name in available}:
        raise InputError(f"device: found {device!r}, expected AUTO or one of this machine: {', '.join(available)}.")
    if inference_precision == "bf16" and not computes_bfloat16(device):
        raise InputError(
            f"device: found {device!r}, which does not compute in bfloat16, expected one that does; export the "
            "model in another precision."
        )
    config: dict[str, Any] = {"PERFORMANCE_HINT": HINTS[hint]}
    if device.split(".")[0] in _TOLD_PRECISION:
        config["INFERENCE_PRECISION_HINT"] = inference_precision
    if threads is not None and device in {"CPU", "AUTO"}:
        config["INFERENCE_NUM_THREADS"] = threads
    try:
        return core.compile_model(model, device, config)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip().rstrip(".")
        raise InputError(
            f"device: found {device!r}, which cannot run the model ({reason}), expected one that can."
        ) from error


def computes_bfloat16(device: str) -> bool:
    """Whether a device has arithmetic in bfloat16; asked of the CPU for ``AUTO``.

    Args:
        device: Name of a device of this machine.
    """
    asked = "CPU" if device == "AUTO" else device
    return "BF16" in shared_core().get_property(asked, "OPTIMIZATION_CAPABILITIES")


def check_threads(threads: int) -> None:
    """Refuse a number of threads that nothing can run with; PyTorch would fail on it, OpenVINO takes 0 for all.

    Args:
        threads: Threads of inference.

    Raises:
        InputError: If it is not positive.
    """
    if threads < 1:
        raise InputError(f"threads: found {threads}, expected 1 or more.")
