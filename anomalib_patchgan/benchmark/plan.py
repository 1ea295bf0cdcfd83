# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The plan: a suite resolved to jobs, each with the key of everything that determines its outcome."""

from dataclasses import asdict, dataclass
from typing import Any

from anomalib_patchgan.benchmark.fingerprint import digest, job_source_digest, package_versions
from anomalib_patchgan.benchmark.suite import ArtefactsEntry, DataEntry, ModelEntry, Suite
from anomalib_patchgan.data.artefacts import describe

# They say where data lie, not what they are; the content has a fingerprint of its own.
_LOCATIONS = ("root", "normal_root", "cache_dir", "split_file")


@dataclass(frozen=True, kw_only=True)
class DataSummary:
    """What the plan has to know about a prepared data set.

    Attributes:
        key: Key of its record in the store.
        content: Digest of the files below its root.
        protocol: What one sample is.
        card_name: Name that the data set gives itself.
        split_sha256: Hash of the split by subject.
    """

    key: str
    content: str | None
    protocol: str
    card_name: str
    split_sha256: str


@dataclass(frozen=True, kw_only=True)
class Job:
    """One model on one data set with one seed.

    One that has a ``skip`` is not run, for the reason that it says.
    """

    key: str
    model: str
    role: str
    note: str
    model_class: str
    model_arguments: dict[str, Any]
    trainer: dict[str, Any]
    backends: list[str]
    data: str
    data_class: str
    data_arguments: dict[str, Any]
    data_key: str
    protocol: str
    seed: int
    threads: int
    artefacts: ArtefactsEntry | None = None
    skip: str = ""

    @property
    def title(self) -> str:
        """The job in words."""
        return f"{self.model} on {self.data}, seed {self.seed}"


def without_locations(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a datamodule without those that only say where the files are."""
    return {key: value for key, value in arguments.items() if key not in _LOCATIONS}


def make_jobs(suite: Suite, prepared: dict[str, DataSummary]) -> list[Job]:
    """Make the jobs of a suite, one data set after the other, every seed of a model in a row.

    Args:
        suite: The suite.
        prepared: By name, those data sets whose content is known; the others get no jobs.

    Returns:
        The jobs in the order in which they run.
    """
    return [
        _make_job(suite, data, suite.data[data], summary, model, row, seed)
        for data, summary in prepared.items()
        for model, row in suite.models.items()
        if row.runs_on(data)
        for seed in suite.seeds
    ]


def describe_plan(suite: Suite, jobs: list[Job], prepared: dict[str, DataSummary], command: str) -> dict[str, Any]:
    """The plan as the store keeps it."""
    return {
        "suite": suite.name,
        "question": suite.question,
        "method": suite.method,
        "jobs": [asdict(job) for job in jobs],
        "models": {name: asdict(row) for name, row in suite.models.items()},
        "data": {name: asdict(suite.data[name]) | asdict(summary) for name, summary in prepared.items()},
        "seeds": suite.seeds,
        "threads": suite.threads,
        "artefacts": _describe_artefacts(suite.artefacts),
        "versions": package_versions(),
        "command": command,
    }


def _describe_artefacts(entry: ArtefactsEntry | None) -> dict[str, Any] | None:
    return asdict(entry) | {"parameters": describe(entry.kinds, entry.severities)} if entry else None


def _make_job(
    suite: Suite, data: str, entry: DataEntry, summary: DataSummary, model: str, row: ModelEntry, seed: int
) -> Job:
    outcome = {
        # The names of the rows are stored with a run, so a renamed row is another run.
        "model": model,
        "data": data,
        "model_class": row.class_path,
        "model_arguments": row.arguments_for(data),
        "trainer": row.trainer_for(data),
        "backends": row.backends,
        "data_class": entry.class_path,
        "data_arguments": without_locations(entry.init_args),
        "content": summary.content,
        "split": summary.split_sha256,
        "seed": seed,
        "threads": suite.threads,
        "versions": package_versions(),
        "source": job_source_digest(),
    }
    if suite.artefacts is not None:
        # Only then, so that asking for none gives the keys it always gave.
        outcome["artefacts"] = asdict(suite.artefacts)
    return Job(
        key=digest(outcome),
        model=model,
        role=row.role,
        note=row.note,
        model_class=row.class_path,
        model_arguments=row.arguments_for(data),
        trainer=row.trainer_for(data),
        backends=row.backends,
        data=data,
        data_class=entry.class_path,
        data_arguments=entry.init_args,
        data_key=summary.key,
        protocol=summary.protocol,
        seed=seed,
        threads=suite.threads,
        artefacts=suite.artefacts,
        skip=row.skip,
    )
