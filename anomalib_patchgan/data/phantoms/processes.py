# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The same work on every core: results in order and independent of how many processes there are."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

# A fresh process takes about a second to import SciPy: fewer tasks than this each are not worth one.
FEWEST_TASKS_PER_PROCESS = 4

_tasks: list[Callable[[int], Any]] = []


def _receive(task: Callable[[int], Any]) -> None:
    threadpool_limits(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _tasks[:] = [task]


def _end_with_parent() -> None:
    # When the parent is killed, the pool does not tell its processes: they would wait for work for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(index: int) -> Any:
    return _tasks[0](index)


def _main_can_be_imported() -> bool:
    # A spawned process runs the file of the main module first. Where that is not one (a script read from standard input
    # calls it "<stdin>"), it dies before it takes work, and the pool waits for ever. No file at all is fine.
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    return path is None or getattr(main, "__spec__", None) is not None or Path(path).is_file()


def map_indices(
    task: Callable[[int], Any],
    count: int,
    processes: int | None,
    progress: Callable[[int, int], None] | None,
) -> list[Any]:
    """Calls ``task(0) ... task(count - 1)``.

    Args:
        task: Picklable; sent once to each process. Must depend on nothing but its own fields and the index.
        count: Number of calls.
        processes: At most this many; None means one a core. One means none but the calling process, which also does
            all the work where others cannot be started: in a daemonic process and in a script read from standard input.
        progress: Called with (done, count) after each task, in the calling process.

    Returns:
        The tasks' results, in the order of their index.
    """
    wanted = processes or min(os.cpu_count() or 1, count // FEWEST_TASKS_PER_PROCESS)
    results: list[Any] = [None] * count
    # A daemonic process (a data loader's worker, for one) is not allowed to have children.
    if wanted <= 1 or multiprocessing.current_process().daemon or not _main_can_be_imported():
        # One BLAS thread here as there: the order of a sum, so its last bit, may depend on the number of threads.
        with threadpool_limits(1):
            for index in range(count):
                results[index] = task(index)
                if progress is not None:
                    progress(index + 1, count)
        return results
    # Spawned, not forked: a fork of a process in which torch has started its threads can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(wanted, mp_context=context, initializer=_receive, initargs=(task,)) as pool:
        futures = {pool.submit(_run, index): index for index in range(count)}
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                results[futures[future]] = future.result()
                if progress is not None:
                    progress(done, count)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return results
