# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Jobs on a Ray cluster: Ray places them by cores and GPUs, and brings their runs home."""

import logging
import os
import platform
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anomalib_patchgan.benchmark.attempt import Attempt, failed_run
from anomalib_patchgan.benchmark.datasets import record_key
from anomalib_patchgan.benchmark.fingerprint import job_source_digest, package_versions
from anomalib_patchgan.benchmark.plan import Job
from anomalib_patchgan.benchmark.progress import ProgressDisplay
from anomalib_patchgan.benchmark.suite import DataEntry
from anomalib_patchgan.errors import InputError, sentence
from anomalib_patchgan.store import Run

# How often a job is started whose worker or node is lost.
_ATTEMPTS = 4
# When no job has ended for so long, it is looked whether each still has a node that can hold it.
_LOOK_SECONDS = 600
# What the console script sets for itself, workers need too.
_ENVIRONMENT = ("OMP_WAIT_POLICY", "HF_HUB_OFFLINE", "TQDM_DISABLE")


@dataclass(frozen=True)
class Origin:
    """Where the plan was made.

    Attributes:
        folder: The working directory.
        versions: Versions of the packages that an outcome depends on.
        source: Digest of the source files that it depends on.
    """

    folder: str
    versions: dict[str, str | None]
    source: str


class RayRunner:
    """Runs jobs on a Ray cluster.

    A job takes as many CPUs as the plan gives it threads, and as many GPUs as its trainer asks for devices of
    ``accelerator: gpu``. One whose worker or node is lost starts again elsewhere; one that runs out of memory does not,
    and one that no node can hold any more fails after ten minutes or more in which a node may come back.

    Args:
        ray_address: Address of the cluster, such as ``auto`` or ``ray://head:10001``; when not given, that in the
            environment variable RAY_ADDRESS, or a cluster that is started on this machine.
    """

    def __init__(self, ray_address: str | None = None) -> None:
        self._address = ray_address

    def run(self, attempt: Attempt, jobs: Sequence[Job], display: ProgressDisplay) -> Generator[Run]:
        """Run jobs, see :class:`~anomalib_patchgan.benchmark.runners.protocol.Runner`.

        Raises:
            InputError: Ray is not installed, the cluster cannot be reached, or no node of it can hold a job.
        """
        ray = _import_ray()
        with _handler_of_kill_kept():
            _connect(ray, self._address)
        try:
            _check_fit(jobs, _living_nodes(ray))
            yield from _run_all(ray, attempt, jobs, display)
        finally:
            ray.shutdown()


def resources(job: Job) -> dict[str, float]:
    """What a job needs, as Ray names it."""
    on_gpu = job.trainer.get("accelerator") in {"gpu", "cuda"}
    devices = job.trainer.get("devices", 1)
    # Ray shows a worker only the devices that it gives it, so any other way of asking for some is one.
    gpus = devices if isinstance(devices, int) and devices > 0 else 1
    return {"CPU": job.threads, "GPU": gpus if on_gpu else 0}


def _run_all(ray: Any, attempt: Attempt, jobs: Sequence[Job], display: ProgressDisplay) -> Generator[Run]:
    lost = (
        ray.exceptions.NodeDiedError,
        ray.exceptions.WorkerCrashedError,
        ray.exceptions.LocalRayletDiedError,
        ray.exceptions.ObjectLostError,
    )
    running: dict[Any, tuple[Job, int]] = {_submit(ray, attempt, job): (job, 1) for job in jobs}
    stranded: set[Any] = set()
    try:
        while running:
            ended, _ = ray.wait(list(running), num_returns=1, timeout=_LOOK_SECONDS)
            if not ended:
                nodes = _living_nodes(ray)
                before, stranded = stranded, {one for one, (job, _) in running.items() if not _fits(job, nodes)}
                for reference in before & stranded:
                    job, _ = running.pop(reference)
                    ray.cancel(reference, force=True)
                    needed = _in_words(resources(job))
                    yield failed_run(job, f"No node of the cluster is left that has the {needed} of the job.", None)
                continue
            (reference,), stranded = ended, set()
            job, attempts = running.pop(reference)
            try:
                yield ray.get(reference)
            except lost as error:
                if attempts < _ATTEMPTS:
                    display.say(f"{job.title}: its worker is lost ({type(error).__name__}), it starts again")
                    running[_submit(ray, attempt, job)] = (job, attempts + 1)
                    continue
                message = f"The job's worker was lost {attempts} times ({type(error).__name__})."
                yield failed_run(job, message, str(error))
            except ray.exceptions.RayError as error:
                message = f"Ray could not run the job ({type(error).__name__})."
                yield failed_run(job, message, str(error))
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def _submit(ray: Any, attempt: Attempt, job: Job) -> Any:
    needed = resources(job)
    # Ray would start a job again for ever that runs out of memory, so it is told to start none again.
    remote = ray.remote(num_cpus=needed["CPU"], num_gpus=needed["GPU"], max_retries=0)(_attempt_on_worker)
    return remote.remote(attempt, job, Origin(str(Path.cwd()), package_versions(), _source(job)))


def _attempt_on_worker(attempt: Attempt, job: Job, origin: Origin) -> Run:
    """Run a job on a worker whose packages and data are those that the job's key was made from."""
    try:
        # Paths of a suite are relative to where it was started.
        if Path(origin.folder).is_dir():
            os.chdir(origin.folder)
        _check_worker(job, origin)
    except (InputError, OSError) as error:
        return failed_run(job, str(error), None)
    return attempt(job, lambda *_: None)


def _check_worker(job: Job, origin: Origin) -> None:
    node = platform.node()
    here = package_versions()
    for name, version in origin.versions.items():
        if here.get(name) != version:
            raise InputError(
                f"The worker {node} has {name} {here.get(name)}; expected {version}, as where the plan is."
            )
    if _source(job) != origin.source:
        raise InputError(
            f"The worker {node} has another source of anomalib-patchgan, or of the model, than where the plan is."
        )
    if record_key(job.data, DataEntry(class_path=job.data_class, init_args=job.data_arguments)) != job.data_key:
        root = job.data_arguments["root"]
        raise InputError(f"The worker {node} has other data at {root}, or none; expected those of the plan.")


def _source(job: Job) -> str:
    return job_source_digest(job.model_class, job.model_arguments, bool(job.backends), job.artefacts is not None)


def _check_fit(jobs: Sequence[Job], nodes: Sequence[dict[str, float]]) -> None:
    for job in jobs:
        if not _fits(job, nodes):
            asked, offered = _in_words(resources(job)), "; ".join(map(_in_words, nodes))
            raise InputError(f"{job.title} needs {asked} on one node; those of the cluster have {offered}.")


def _fits(job: Job, nodes: Sequence[dict[str, float]]) -> bool:
    needed = resources(job)
    return any(all(node.get(name, 0) >= amount for name, amount in needed.items()) for node in nodes)


def _living_nodes(ray: Any) -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _in_words(amounts: dict[str, float]) -> str:
    return f"{amounts.get('CPU', 0):g} CPUs and {amounts.get('GPU', 0):g} GPUs"


def _connect(ray: Any, address: str | None) -> None:
    known = address or os.environ.get("RAY_ADDRESS")
    options = {"address": known} if known else {"address": "local", "include_dashboard": False}
    try:
        ray.init(
            **options,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}},
        )
    except Exception as error:
        # A node that starts too slowly is a bare Exception of Ray's.
        what = f"--ray-address is {known!r}, where no Ray cluster answers" if known else "Ray cannot start here"
        raise InputError(f"{what} ({type(error).__name__}: {sentence(error)}).") from error


@contextmanager
def _handler_of_kill_kept() -> Iterator[None]:
    """Keep what `kill` does here: Ray's own handler ends the process with a trace of its native code."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _import_ray() -> Any:
    # Nothing is sent anywhere unless the user asks for it.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Under `uv run`, Ray would send the working directory, with all data below it, to every node.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        import ray
    except ImportError as error:
        raise InputError("--runner ray needs Ray; `pip install 'anomalib-patchgan[ray]'` installs it.") from error
    return ray
