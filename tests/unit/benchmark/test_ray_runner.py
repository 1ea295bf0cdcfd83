# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A real Ray cluster of two nodes on this machine, with jobs that need no model."""

import os
import signal
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pretended_jobs
import pytest
import ray
from pretended_jobs import Listener, make_job, pretend
from ray.cluster_utils import Cluster

from anomalib_patchgan.benchmark.datasets import record_key
from anomalib_patchgan.benchmark.runners import InProcessRunner, RayRunner, on_ray
from anomalib_patchgan.benchmark.runners.on_ray import resources
from anomalib_patchgan.benchmark.suite import DataEntry
from anomalib_patchgan.errors import InputError


def two_nodes(tries):
    """Ray gives a node half a minute to start, which a busy machine may not keep."""
    cluster = Cluster()
    try:
        cluster.add_node(num_cpus=1, include_dashboard=False)
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
    except Exception:
        cluster.shutdown()
        if tries == 1:
            raise
        return two_nodes(tries - 1)
    return cluster


@pytest.fixture(scope="module")
def cluster():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = two_nodes(tries=3)
    # The workers do not know where tests lie.
    here = (pretended_jobs, sys.modules[__name__])
    for module in here:
        ray.cloudpickle.register_pickle_by_value(module)
    yield cluster
    for module in here:
        ray.cloudpickle.unregister_pickle_by_value(module)
    cluster.shutdown()


def pretend_and_sign(job, track):
    """Leave the name of the node on which the job runs."""
    (Path(job.model_arguments["signed"]) / ray.get_runtime_context().get_node_id()).touch()
    return pretend(job, track)


def kill_when_busy(cluster, node, folder):
    """Kill a node as soon as a job is running on it."""
    deadline = time.monotonic() + 120
    while not (folder / node.node_id).exists():
        assert time.monotonic() < deadline, "no job was started on the node"
        time.sleep(0.05)
    cluster.remove_node(node, allow_graceful=False)


def jobs_on(folder, **arguments):
    """Jobs whose data lie in a folder."""
    folder.mkdir(exist_ok=True)
    data = {"root": str(folder)}
    key = record_key("brain", DataEntry(class_path="package.Data", init_args=data))
    return [replace(make_job(number, **arguments), data_arguments=data, data_key=key) for number in range(6)]


@pytest.mark.slow
def test_jobs_end_as_in_one_process_when_a_node_is_killed_among_them(cluster, tmp_path, monkeypatch):
    # The cluster was started elsewhere, so the workers have to find what is relative to here.
    monkeypatch.chdir(tmp_path)
    signed = tmp_path / "signed"
    signed.mkdir()
    jobs = jobs_on(Path("data"), seconds=2.0, signed=str(signed))
    here = {run.key: run for run in InProcessRunner().run(pretend, jobs_on(Path("data")), Listener())}
    (node,) = cluster.worker_nodes
    killer = threading.Thread(target=kill_when_busy, args=(cluster, node, signed))
    killer.start()
    listener = Listener()
    there = {run.key: run for run in RayRunner(cluster.address).run(pretend_and_sign, jobs, listener)}
    killer.join()
    assert there.keys() == here.keys()
    for key, run in here.items():
        assert there[key].status == "finished"
        assert there[key].scores["raw_score"].tolist() == run.scores["raw_score"].tolist()
        assert there[key].maps.tobytes() == run.maps.tobytes()
    assert any("its worker is lost" in line for line in listener.said)


@pytest.mark.slow
def test_worker_that_dies_at_every_start_is_a_failed_run_and_so_is_one_with_other_data(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(on_ray, "_ATTEMPTS", 2)
    dying, elsewhere = jobs_on(tmp_path)[:2]
    dying = replace(dying, model_arguments={"signal": "SIGKILL"})
    elsewhere = replace(elsewhere, data_arguments={"root": str(tmp_path / "absent")})
    runs = {run.seed: run for run in RayRunner(cluster.address).run(pretend, [dying, elsewhere], Listener())}
    assert [run.status for run in runs.values()] == ["failed", "failed"]
    assert runs[0].error == "The job's worker was lost 2 times (WorkerCrashedError)."
    assert "has other data at" in runs[1].error


@pytest.mark.slow
def test_job_that_no_node_can_hold_is_a_sentence(cluster, tmp_path):
    job = replace(jobs_on(tmp_path)[0], trainer={"max_epochs": 1, "accelerator": "gpu"})
    with pytest.raises(InputError, match="Model 0 on brain, seed 0 needs 1 CPUs and 1 GPUs on one node; those of"):
        next(RayRunner(cluster.address).run(pretend, [job], Listener()))


@pytest.mark.slow
def test_job_whose_only_node_is_lost_fails_and_the_others_end(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(on_ray, "_LOOK_SECONDS", 1)
    node = cluster.add_node(num_cpus=1, num_gpus=1)
    cluster.wait_for_nodes()
    signed = tmp_path / "signed"
    signed.mkdir()
    needy, other = jobs_on(tmp_path / "data", signed=str(signed))[:2]
    needy = replace(needy, trainer={"accelerator": "gpu"}, model_arguments=needy.model_arguments | {"seconds": 600.0})
    killer = threading.Thread(target=kill_when_busy, args=(cluster, node, signed))
    killer.start()
    runs = {run.seed: run for run in RayRunner(cluster.address).run(pretend_and_sign, [needy, other], Listener())}
    killer.join()
    assert runs[1].status == "finished"
    assert runs[0].error == "No node of the cluster is left that has the 1 CPUs and 1 GPUs of the job."


@pytest.mark.slow
def test_kill_is_handled_while_jobs_run_there_as_it_was_before(cluster, tmp_path):
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with closing(RayRunner(cluster.address).run(pretend, jobs_on(tmp_path)[:2], Listener())) as runs:
            next(runs)
            assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
            # To Python alone the handler could still be that, below a native one.
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_cluster_that_does_not_answer_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="--ray-address is 'nowhere', where no Ray cluster answers"):
        next(RayRunner("nowhere").run(pretend, jobs_on(tmp_path), Listener()))


@pytest.mark.parametrize(
    ("trainer", "gpus"),
    [
        ({}, 0),
        ({"accelerator": "cpu", "devices": 2}, 0),
        ({"accelerator": "gpu"}, 1),
        ({"accelerator": "cuda", "devices": 2}, 2),
        ({"accelerator": "gpu", "devices": "auto"}, 1),
    ],
)
def test_resources_of_a_job_are_its_threads_and_devices(trainer, gpus):
    assert resources(replace(make_job(0), trainer=trainer, threads=3)) == {"CPU": 3, "GPU": gpus}
