# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Where jobs run: in this process, in several processes, or on a Ray cluster.

A runner is given jobs and yields their runs as they end; it writes nothing. It does not decide what a job computes, so
the same plan gives the same scores under each of them.
"""

import inspect
from collections.abc import Callable

from anomalib_patchgan.benchmark.runners.in_process import InProcessRunner
from anomalib_patchgan.benchmark.runners.on_ray import RayRunner
from anomalib_patchgan.benchmark.runners.processes import ProcessRunner
from anomalib_patchgan.benchmark.runners.protocol import Runner
from anomalib_patchgan.errors import InputError

RUNNERS: dict[str, Callable[..., Runner]] = {
    "in_process": InProcessRunner,
    "processes": ProcessRunner,
    "ray": RayRunner,
}

__all__ = ["RUNNERS", "InProcessRunner", "ProcessRunner", "RayRunner", "Runner", "make_runner"]


def make_runner(name: str, **options: int | str | None) -> Runner:
    """Make a runner.

    Args:
        name: One of ``RUNNERS``.
        options: Its arguments; None stands for one that was not given.

    Raises:
        InputError: An option belongs to another runner, or has a value that cannot be.
    """
    given = {option: value for option, value in options.items() if value is not None}
    for option in given:
        if option not in inspect.signature(RUNNERS[name]).parameters:
            fitting = [known for known in RUNNERS if option in inspect.signature(RUNNERS[known]).parameters]
            flag = option.replace("_", "-")
            raise InputError(f"--{flag} does not go with --runner {name}; expected --runner {' or '.join(fitting)}.")
    return RUNNERS[name](**given)
