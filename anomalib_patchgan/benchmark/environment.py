# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What a result has to be read with: processor, memory, operating system, versions, source."""

import os
import platform
from pathlib import Path
from typing import Any

from anomalib_patchgan.benchmark.fingerprint import package_source_digest, package_versions


def describe_environment() -> dict[str, Any]:
    """Describe the machine and the installed packages, without importing any of them.

    Returns:
        JSON-able values; ``memory_gib`` in GiB, None where the system does not tell.
    """
    return {
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "machine": platform.machine(),
        "processor": _processor_name(),
        "logical_cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "memory_gib": _memory_gib(),
        "versions": package_versions(),
        "source": package_source_digest(),
    }


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor_name() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None
