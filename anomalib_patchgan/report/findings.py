# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What a store shows: every number of the report, computed from the stored scores alone."""

import contextlib
import math
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomalib_patchgan import evaluation
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.report.score_cache import ScoreCache
from anomalib_patchgan.report.scores import (
    AreaScore,
    DeclaredPixelScore,
    PixelScore,
    SeedScore,
    TestData,
    ThresholdScore,
    score_run,
)
from anomalib_patchgan.store import DataRecord, Run, Store
from anomalib_patchgan.store.maps import at_map_size

SIGNIFICANCE = 0.05
"""A difference counts where its adjusted p-value is below."""
TRAINING_STAGE = "fit"
"""Name of the training among a run's timings."""

_SAMPLE_COLUMNS = ("sample_id", "subject_id", "label", "lesion_fraction")
# What a damaged or foreign file raises in the libraries that read it.
UNREADABLE = (InputError, OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Failure:
    """A job without a usable result.

    Attributes:
        job: Its entry in the plan.
        status: ``failed``, ``skipped``, ``not run``, ``unreadable``, or ``not usable`` where a job has finished with
            scores that cannot be ranked.
        sentence: What happened.
        traceback: Full traceback, where there is one.
    """

    job: dict[str, Any]
    status: str
    sentence: str
    traceback: str | None = None


@dataclass(frozen=True)
class Area:
    """A ranking over seeds.

    Attributes:
        value: Mean over seeds.
        draws: [draws] mean over seeds in every draw of subjects.
        interval: 95 % interval of the mean over subjects.
        deviation: Standard deviation over seeds; None with fewer than two.
    """

    value: float
    draws: NDArray[np.float64]
    interval: evaluation.Interval | None
    deviation: float | None

    @classmethod
    def over_seeds(cls, scores: Sequence[AreaScore]) -> "Area":
        """Average what each seed reached."""
        values = [score.value for score in scores]
        draws = np.mean([score.draws for score in scores], axis=0)
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return cls(float(np.mean(values)), draws, evaluation.percentile_interval(draws), deviation)


@dataclass
class ModelResult:
    """One row of a result table: one model on one data set, the mean over its seeds.

    Attributes:
        model: Row name.
        role: ``method``, ``comparator``, ``trivial`` or ``control``.
        note: What a reader has to know about the row.
        planned: Number of seeds in the plan.
        runs: Finished runs, without maps.
        seeds: Scores of the seeds that could be scored.
        flags: What is suspicious, in plain words.
    """

    model: str
    role: str
    note: str
    planned: int = 0
    runs: list[Run] = field(default_factory=list)
    seeds: list[SeedScore] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)

    def mean(self, value: Callable[[SeedScore], float | None]) -> float | None:
        """Mean of a value over the seeds that have it, or None when none has."""
        known = [one for one in map(value, self.seeds) if one is not None]
        return float(np.mean(known)) if known else None

    def pixel_mean(self, value: Callable[[PixelScore], float | None]) -> float | None:
        """Mean over seeds of what the maps reached."""
        return self.mean(lambda seed: value(seed.pixel) if seed.pixel else None)

    def declared_pixel_mean(self, value: Callable[[DeclaredPixelScore], float | None]) -> float | None:
        """Mean over seeds of what the declared pixel threshold did."""
        return self.pixel_mean(lambda pixel: value(pixel.declared) if pixel.declared else None)

    def threshold_mean(self, position: int, value: Callable[[ThresholdScore], float]) -> float | None:
        """Mean over seeds of what the threshold at a position among the targets did."""
        return self.mean(lambda seed: value(seed.thresholds[position]) if seed.thresholds else None)

    def area(self, value: Callable[[SeedScore], AreaScore | None]) -> "Area | None":
        """A ranking, mean over the seeds that have it, with its interval and its spread; None when none has."""
        known = [one for one in map(value, self.seeds) if one is not None]
        return Area.over_seeds(known) if known else None

    @property
    def pixel_area(self) -> "Area | None":
        """Average precision over pixels."""
        return self.area(lambda seed: seed.pixel.average_precision if seed.pixel else None)

    @property
    def subject_area(self) -> "Area | None":
        """AUROC over subjects."""
        return self.area(lambda seed: seed.subject)

    def definition_area(self, name: str) -> "Area | None":
        """Image AUROC of the score that a definition reads from the map."""
        return self.area(lambda seed: seed.definitions.get(name))

    @property
    def auroc(self) -> float | None:
        """Image AUROC, mean over seeds."""
        return self.mean(lambda seed: seed.auroc)

    @property
    def image_area(self) -> "Area | None":
        """Image AUROC with its interval and its spread."""
        return self.area(lambda seed: seed.image)

    @property
    def interval(self) -> evaluation.Interval | None:
        """95 % interval of the image AUROC over subjects."""
        return self.image_area.interval if self.image_area else None

    @property
    def training_seconds(self) -> float | None:
        """Mean training time, where it was recorded."""
        known = [run.timings[TRAINING_STAGE] for run in self.runs if TRAINING_STAGE in run.timings]
        return float(np.mean(known)) if known else None

    @property
    def parameters(self) -> int | None:
        """Number of parameters of the network."""
        return next((run.parameters for run in self.runs if run.parameters is not None), None)

    @property
    def roc(self) -> NDArray[np.float64]:
        """True-positive rates at :data:`ROC_GRID`, mean over seeds."""
        return np.mean([seed.roc for seed in self.seeds], axis=0)


@dataclass(frozen=True)
class Comparison:
    """The method against one other model, on the same subjects and by one measure.

    Attributes:
        model: The other model.
        role: Its role.
        difference: Method minus the other.
        adjusted_p: Holm-adjusted over every comparison in the report.
        inverted: Of images: whether the other scores normal ones higher, the whole interval of its AUROC being below
            chance, so that a lead over it shows nothing.
    """

    model: str
    role: str
    difference: evaluation.Difference
    adjusted_p: float
    inverted: bool

    @property
    def verdict(self) -> str:
        """``ahead``, ``behind`` or ``not separable``: the sign counts only when the adjusted p-value is below 0.05."""
        if self.adjusted_p >= SIGNIFICANCE:
            return "not separable"
        return "ahead" if self.difference.value > 0.0 else "behind"


@dataclass
class DataResult:
    """Everything known about one data set.

    Attributes:
        name: Its name in the suite.
        record: Test samples and card, without images; None when no job could store it.
        results: One for each model, best image AUROC first, those without a result last.
        comparisons: The method against every other model that has a result, by image AUROC.
        pixel_comparisons: The same by average precision over pixels, where both give maps.
        prevalence: Share of abnormal test samples.
        pixel_prevalence: Share of lesion pixels, where masks could be read.
        subjects: Number of test subjects.
    """

    name: str
    record: DataRecord | None = None
    results: list[ModelResult] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    pixel_comparisons: list[Comparison] = field(default_factory=list)
    prevalence: float | None = None
    pixel_prevalence: float | None = None
    subjects: int = 0

    @property
    def no_pixels(self) -> str:
        """What stands for the pixel metrics of a model that was scored and has none."""
        return "no map" if self.card.get("has_masks", True) else "no masks"

    @property
    def card(self) -> dict[str, Any]:
        """What the data set says about itself; empty when it is not known."""
        return self.record.card if self.record else {}


@dataclass
class Findings:
    """Everything that the report prints."""

    plan: dict[str, Any]
    data: list[DataResult]
    failures: list[Failure]

    @property
    def method(self) -> str:
        """Row name of the method under test."""
        return str(self.plan.get("method") or "the method")

    @property
    def runs(self) -> list[Run]:
        """Every finished run, in the order of the plan."""
        return [run for data in self.data for result in data.results for run in result.runs]

    @property
    def phantom(self) -> bool:
        """Whether any data set is synthetic."""
        return any(data.card.get("phantom") for data in self.data)


def with_method(plan: dict[str, Any], method: str) -> dict[str, Any]:
    """A plan in which another row is the one that all others are compared with.

    The two rows change roles, so that a control that is chosen leaves a control behind. The plan's own method stays
    known as ``planned_method``.

    Raises:
        InputError: When no job of the plan has that row.
    """
    roles = {job["model"]: job.get("role", "") for job in plan["jobs"]}
    planned = str(plan.get("method"))
    if method not in roles:
        raise InputError(f"--method: found {method!r}, expected a row of the plan: {', '.join(map(repr, roles))}.")
    if method == planned:
        return plan
    swapped = {method: "method", planned: roles[method]}
    jobs = [job | {"role": swapped.get(job["model"], job.get("role", ""))} for job in plan["jobs"]]
    return plan | {"method": method, "planned_method": planned, "jobs": jobs}


def collect(store: Store, method: str | None = None) -> Findings:
    """Read the store and compute every number.

    Args:
        store: The store.
        method: Row that all others are compared with; by default the plan's method.

    Raises:
        InputError: When the folder holds no plan, or the plan no such row.
    """
    plan = store.load_plan() if method is None else with_method(store.load_plan(), method)
    jobs: list[dict[str, Any]] = plan["jobs"]
    failures: list[Failure] = []
    names = list(dict.fromkeys([*(plan.get("data") or {}), *(str(job["data"]) for job in jobs)]))
    data = [_collect_data(store, name, [job for job in jobs if job["data"] == name], failures) for name in names]
    findings = Findings(plan, data, failures)
    _compare(findings)
    return findings


def _collect_data(store: Store, name: str, jobs: Sequence[dict[str, Any]], failures: list[Failure]) -> DataResult:
    """Read the jobs of one data set, keeping the maps of one job in memory at a time."""
    result = DataResult(name)
    rows: dict[str, ModelResult] = {}
    test: TestData | None = None
    for job in jobs:
        row = rows.setdefault(job["model"], ModelResult(job["model"], job.get("role", ""), job.get("note") or ""))
        row.planned += 1
        try:
            status = store.run_status(job["key"])
            if job.get("skip") and status != "finished":
                failures.append(Failure(job, "skipped", job["skip"]))
                continue
            if status is None:
                failures.append(Failure(job, "not run", "The job is in the plan but has left nothing in the store."))
                continue
            run = store.load_run(job["key"])
            run.role = row.role
            if status != "finished" or run.scores is None:
                failures.append(Failure(job, "failed", run.error or "No sentence was recorded.", run.traceback))
                continue
            if test is None:
                test = _read_test_data(store, run.data_key)
            unusable = _score(store, row, run, test)
        except UNREADABLE as error:
            failures.append(Failure(job, "unreadable", f"{type(error).__name__}: {error}"))
            continue
        if unusable is not None:
            failures.append(Failure(job, "not usable", f"The job has finished, but {unusable}."))
        row.runs.append(run)
    planned_key = next((job["data_key"] for job in jobs if job.get("data_key")), None)
    if test is None and planned_key is not None:
        # Where no job has finished, the plan still names the data record, and its card is worth showing.
        with contextlib.suppress(*UNREADABLE):
            test = _read_test_data(store, planned_key)
    if test is not None:
        result.record = test.record
        result.prevalence = evaluation.prevalence(test.record.samples["label"])
        result.subjects = int(test.record.samples["subject_id"].nunique())
        result.pixel_prevalence = float(test.masks.mean()) if test.has_masks else None
    for row in rows.values():
        _flag(row, result.subjects)
    result.results = sorted(rows.values(), key=lambda row: -math.inf if row.auroc is None else row.auroc, reverse=True)
    return result


def _read_test_data(store: Store, key: str) -> TestData:
    record = store.load_data(key)
    missing = [column for column in _SAMPLE_COLUMNS if column not in record.samples]
    if missing:
        raise InputError(f"data {key}: found no column {', '.join(missing)}, expected {', '.join(_SAMPLE_COLUMNS)}.")
    masks, record.images, record.masks = record.masks, None, None
    if masks is None:
        raise InputError(f"data {key}: found no masks, expected one for each test sample.")
    draws = evaluation.draw_subjects(record.samples["subject_id"].astype(str).tolist())
    return TestData(record, at_map_size(masks), draws)


def _score(store: Store, row: ModelResult, run: Run, test: TestData) -> str | None:
    """Add the scores of one finished run to its row, or a flag that says why it has none, which is returned."""
    samples = test.record.samples
    if run.data_key != test.record.key:
        raise InputError(f"run {run.key}: found the data_key {run.data_key}, expected {test.record.key}.")
    if run.scores is None or run.scores["sample_id"].tolist() != samples["sample_id"].tolist():
        raise InputError(f"run {run.key}: found other test samples than its data record lists, expected the same ones.")
    _check_artefacts(run, samples["sample_id"].tolist())
    unusable = _unusable(samples["label"].to_numpy(), run.scores["raw_score"].to_numpy(dtype=np.float64))
    if unusable is None:
        row.seeds.append(_seed_score(store, run, test))
    flags = row.seeds[-1].flags if unusable is None else (unusable,)
    row.flags += [f"seed {run.seed}: {flag}" for flag in flags]
    return unusable


def _unusable(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> str | None:
    """Why the scores of a finished run cannot be ranked, or None where they can."""
    if not np.isfinite(scores).all():
        return evaluation.score_flags(scores)[0]
    abnormal = int(np.count_nonzero(labels == 1))
    if abnormal in (0, labels.size):
        return f"the test set has {labels.size - abnormal} normal and {abnormal} abnormal samples"
    return None


def _seed_score(store: Store, run: Run, test: TestData) -> SeedScore:
    """What a run reached, from the store's cache where it is there."""
    kept = ScoreCache(store.root)
    score = kept.load(run)
    if score is None:
        run.maps = store.load_run(run.key, with_maps=True).maps
        score = score_run(run, test)
        run.maps = None
        kept.save(run, score)
    return score


def _check_artefacts(run: Run, sample_ids: list[str]) -> None:
    """Check that a run scored every test sample in order under each artefact, so that scores and labels fit."""
    if run.artefacts is None:
        return
    for (artefact, severity), condition in run.artefacts.groupby(["artefact", "severity"], sort=False):
        if condition["sample_id"].tolist() != sample_ids:
            where = f"run {run.key}, {artefact} at severity {severity}"
            raise InputError(f"{where}: found other test samples than its data record lists, expected the same ones.")


def _flag(row: ModelResult, subjects: int) -> None:
    """Add what is suspicious about the row as a whole."""
    if row.auroc is None:
        row.flags.insert(0, "no usable result" if row.runs else "no finished job")
        return
    if subjects == 1:
        row.flags.append("one test subject: every draw is the same, so the intervals say nothing")
    row.flags += evaluation.ranking_flags(row.auroc, row.interval if subjects > 1 else None)
    if len(row.seeds) < row.planned:
        row.flags.append(f"{len(row.seeds)} of {row.planned} seeds only")
    if row.interval is not None and row.interval.draws < 0.95 * evaluation.DRAWS:
        row.flags.append(f"interval from {row.interval.draws} of {evaluation.DRAWS} draws: very few subjects")


def _compare(findings: Findings) -> None:
    """Compare the method with every other model; Holm's family is every comparison in the report."""
    pending: list[tuple[list[Comparison], ModelResult, evaluation.Difference, bool]] = []
    for data in findings.data:
        method = next((row for row in data.results if row.model == findings.method and row.seeds), None)
        if method is None:
            continue
        for other in data.results:
            if other is method:
                continue
            inverted = data.subjects > 1 and evaluation.is_inverted(other.interval)
            for comparisons, first, second, below_chance in (
                (data.comparisons, method.image_area, other.image_area, inverted),
                (data.pixel_comparisons, method.pixel_area, other.pixel_area, False),
            ):
                difference = _difference(first, second, data.subjects)
                if difference is not None:
                    pending.append((comparisons, other, difference, below_chance))
    adjusted = evaluation.holm([difference.p_value for _, _, difference, _ in pending])
    for (comparisons, other, difference, inverted), adjusted_p in zip(pending, adjusted, strict=True):
        comparisons.append(Comparison(other.model, other.role, difference, adjusted_p, inverted))


def _difference(first: Area | None, second: Area | None, subjects: int) -> evaluation.Difference | None:
    if first is None or second is None:
        return None
    return evaluation.paired_difference((first.value, first.draws), (second.value, second.draws), subjects)


def ranked_models(findings: Findings) -> tuple[list[str], evaluation.MeanRanks] | None:
    """Models ranked by image AUROC over all collections, or None with too few of them for that.

    Only models with a result on every data set can be ranked. Data sets read from one collection (one ``root``) show
    the same subjects and are no evidence of their own: they count as one, by the mean of their image AUROC.
    """
    by_model = [{row.model: row.auroc for row in data.results if row.auroc is not None} for data in findings.data]
    models = sorted(set.intersection(*(set(known) for known in by_model))) if by_model else []
    collections: dict[str, list[list[float]]] = {}
    for data, known in zip(findings.data, by_model, strict=True):
        root = data.record.data_arguments.get("root") if data.record else None
        collections.setdefault(str(root or data.name), []).append([known[model] for model in models])
    if len(collections) < evaluation.SMALLEST_NUMBER_OF_DATA_SETS or len(models) < 3:
        return None
    return models, evaluation.mean_ranks(np.array([np.mean(sets, axis=0) for sets in collections.values()]))
