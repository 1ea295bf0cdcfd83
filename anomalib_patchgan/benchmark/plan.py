# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The plan: a suite resolved to jobs, each with the key of everything that determines its outcome."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

from anomalib_patchgan.benchmark.budget import Speed, in_steps, without_minutes
from anomalib_patchgan.benchmark.fingerprint import (
    class_paths,
    digest,
    job_source_digest,
    other_source_digest,
    package_versions,
)
from anomalib_patchgan.benchmark.suite import ArtefactsEntry, LoggerEntry, ModelEntry, Suite
from anomalib_patchgan.data.artefacts import describe

NO_SPEEDS: Mapping[str, Speed] = MappingProxyType({})
"""For a suite without budgets in minutes."""

# They say where data lie, not what they are; the content has a fingerprint of its own.
_LOCATIONS = ("root", "normal_root", "cache_dir", "split_file")


@dataclass(frozen=True, kw_only=True)
class DataSummary:
    """What the plan has to know about a prepared data set.

    Attributes:
        key: Key of its record in the store.
        content: Digest of the folders and of the split file that it reads.
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
    loggers: dict[str, LoggerEntry] = field(default_factory=dict)
    skip: str = ""

    def identity(self) -> dict[str, Any]:
        """What a run says of its job, whatever came of it: fields of :class:`~anomalib_patchgan.store.Run`."""
        names = (
            "key",
            "model",
            "role",
            "note",
            "model_class",
            "model_arguments",
            "data",
            "data_key",
            "protocol",
            "seed",
        )
        return {name: getattr(self, name) for name in (*names, "threads")}

    @property
    def title(self) -> str:
        """The job in words."""
        return f"{self.model} on {self.data}, seed {self.seed}"


def without_locations(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a datamodule without those that only say where the files are."""
    return {key: value for key, value in arguments.items() if key not in _LOCATIONS}


def make_jobs(suite: Suite, prepared: dict[str, DataSummary], speeds: Mapping[str, Speed] = NO_SPEEDS) -> list[Job]:
    """Make the jobs of a suite, one data set after the other, every seed of a model in a row.

    Args:
        suite: The suite.
        prepared: By name, those data sets whose content is known; the others get no jobs.
        speeds: By key, how fast the rows train that have a budget in minutes; those of which it is not known get no
            jobs, unless they are skipped.

    Returns:
        The jobs in the order in which they run.
    """
    jobs = []
    for data, summary, model, row in _rows(suite, prepared):
        trainer = in_steps(suite.trainer_of(model, data), speeds.get(_speed_key(suite, data, summary, model)))
        if trainer is None and row.skip:
            trainer = suite.trainer_of(model, data)
        if trainer is not None:
            jobs += [_make_job(suite, data, summary, model, trainer, seed) for seed in suite.seeds_on(data)]
    return jobs


def unmeasured_jobs(suite: Suite, prepared: dict[str, DataSummary], speeds: Mapping[str, Speed]) -> dict[str, Job]:
    """Say of which rows it has to be known how fast they train before their jobs can be made.

    Returns:
        By the key of the speed, a job of each with the first of its seeds and without the budget in minutes.
    """
    missing = {}
    for data, summary, model, row in _rows(suite, prepared):
        key, trainer = _speed_key(suite, data, summary, model), suite.trainer_of(model, data)
        if not row.skip and in_steps(trainer, speeds.get(key)) is None:
            missing[key] = _make_job(suite, data, summary, model, without_minutes(trainer), suite.seeds_on(data)[0])
    return missing


def describe_plan(
    suite: Suite, jobs: list[Job], prepared: dict[str, DataSummary], speeds: Mapping[str, Speed], command: str
) -> dict[str, Any]:
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
        "speeds": {key: asdict(speed) for key, speed in speeds.items()},
        "artefacts": _describe_artefacts(suite.artefacts),
        "versions": package_versions(),
        "command": command,
    }


def _describe_artefacts(entry: ArtefactsEntry | None) -> dict[str, Any] | None:
    return asdict(entry) | {"parameters": describe(entry.kinds, entry.severities)} if entry else None


def _rows(suite: Suite, prepared: dict[str, DataSummary]) -> Iterator[tuple[str, DataSummary, str, ModelEntry]]:
    for data, summary in prepared.items():
        for model, row in suite.models.items():
            if row.runs_on(data):
                yield data, summary, model, row


def _determinants(suite: Suite, data: str, summary: DataSummary, model: str, trainer: dict[str, Any]) -> dict[str, Any]:
    """What the suite says of a row on a data set, as far as it decides the outcome."""
    row, entry = suite.models[model], suite.data[data]
    return {
        # The names of the rows are stored with a run, so a renamed row is another run.
        "model": model,
        "data": data,
        "model_class": row.class_path,
        "model_arguments": row.arguments_for(data),
        "trainer": trainer,
        "data_class": entry.class_path,
        "data_arguments": without_locations(entry.init_args),
        "content": summary.content,
        "split": summary.split_sha256,
        "threads": suite.threads,
    }


def _speed_key(suite: Suite, data: str, summary: DataSummary, model: str) -> str:
    # Neither versions nor sources, since a plan has to keep its steps when the software changes.
    return digest(_determinants(suite, data, summary, model, without_minutes(suite.trainer_of(model, data))))


def _make_job(suite: Suite, data: str, summary: DataSummary, model: str, trainer: dict[str, Any], seed: int) -> Job:
    row, entry = suite.models[model], suite.data[data]
    under_artefacts = suite.artefacts is not None
    outcome = _determinants(suite, data, summary, model, trainer) | {
        "backends": row.backends,
        "seed": seed,
        "versions": package_versions(),
        "source": job_source_digest(row.class_path, row.arguments_for(data), bool(row.backends), under_artefacts),
    }
    # These two only where there are some, so that other jobs keep the keys that they always had.
    if other := other_source_digest(class_paths(entry.class_path, entry.init_args)):
        outcome["other_data_source"] = other
    if suite.artefacts is not None:
        outcome["artefacts"] = asdict(suite.artefacts)
    return Job(
        key=digest(outcome),
        model=model,
        role=row.role,
        note=row.note,
        model_class=row.class_path,
        model_arguments=row.arguments_for(data),
        trainer=trainer,
        backends=row.backends,
        data=data,
        data_class=entry.class_path,
        data_arguments=entry.init_args,
        data_key=summary.key,
        protocol=summary.protocol,
        seed=seed,
        threads=suite.threads,
        artefacts=suite.artefacts,
        loggers=suite.loggers,
        skip=row.skip,
    )
