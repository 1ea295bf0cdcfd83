# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What one run reached: every number of one model, one data set and one seed, from its stored scores and maps."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from anomalib_patchgan import evaluation
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.store import DataRecord, Run

TARGETS = (evaluation.FALSE_POSITIVE_RATE, 0.01)
"""False-positive rates that thresholds are declared for; the first is that of the labels."""
SPECIFICITY = 0.95
ROC_GRID = np.linspace(0.0, 1.0, 201)
"""False-positive rates at which the seeds' ROC curves are averaged."""


@dataclass(frozen=True)
class TestData:
    """A data record as the scores need it: its images are dropped, its masks stand apart to be dropped later.

    Attributes:
        record: Samples and card.
        masks: [N, H, W], true where there is lesion, at the resolution of the maps.
        draws: Draws over the test subjects.
    """

    record: DataRecord
    masks: NDArray[np.bool_]
    draws: evaluation.SubjectDraws

    @cached_property
    def regions(self) -> evaluation.Regions:
        """The lesions in the masks; found when they are first asked for, since kept scores need none."""
        return evaluation.find_regions(self.masks)

    @property
    def has_masks(self) -> bool:
        """Whether lesions were outlined; else the masks are empty and say nothing."""
        return bool(self.record.card.get("has_masks", True))

    @property
    def subject_ids(self) -> list[str]:
        """[N] the subject of each sample."""
        return self.record.samples["subject_id"].astype(str).tolist()


@dataclass(frozen=True)
class ThresholdScore:
    """What a declared threshold did on the test set.

    Attributes:
        declared: The threshold, its target and its rule.
        false_positive_rate: Share of normal test samples above it.
        subject_false_positive_rate: The same, each subject weighing alike; what the conformal rule bounds.
        sensitivity: Share of abnormal test samples above it.
        f1: F1 score.
    """

    declared: evaluation.DeclaredThreshold
    false_positive_rate: float
    subject_false_positive_rate: float
    sensitivity: float
    f1: float


@dataclass(frozen=True)
class AreaScore:
    """A ranking and its draws.

    Attributes:
        value: AUROC or average precision.
        draws: [draws] the same in every draw of subjects.
    """

    value: float
    draws: NDArray[np.float64]


@dataclass(frozen=True)
class PixelScore:
    """What the maps reached.

    Attributes:
        average_precision: Over all pixels of all images.
        auroc: The same.
        aupro: Area under the per-region overlap, where defined.
        aupimo: Area under the per-image overlap, mean over lesion images, where defined.
        ceiling_dice: Dice at the best threshold, an oracle.
        declared: What the declared pixel threshold did; None where the run has none.
    """

    average_precision: AreaScore
    auroc: float
    aupro: float | None
    aupimo: float | None
    ceiling_dice: float
    declared: "DeclaredPixelScore | None"


@dataclass(frozen=True)
class DeclaredPixelScore:
    """What the declared pixel threshold did.

    Attributes:
        dice: Over all pixels of all images.
        image_dice: Mean over lesion images of their own Dice.
        normal_area: Share of the pixels of normal images above the threshold, where there are such images.
        lesions: Lesions found and false alarms.
    """

    dice: float
    image_dice: float
    normal_area: float | None
    lesions: evaluation.LesionCounts


@dataclass(frozen=True)
class ArtefactScore:
    """Image AUROC under an artefact.

    Attributes:
        artefact: Its name.
        severity: Its strength.
        auroc: Image AUROC.
        draws: [draws] the same in every draw of subjects, at the highest severity alone; else None.
    """

    artefact: str
    severity: int
    auroc: float
    draws: NDArray[np.float64] | None


@dataclass(frozen=True)
class SeedScore:
    """What one seed of one model reached.

    Attributes:
        seed: The seed.
        image: Image AUROC.
        average_precision: Over images.
        sensitivity: At :data:`SPECIFICITY`.
        subject: AUROC over subjects; None where a class has too few subjects or every subject has one sample.
        thresholds: One for each of :data:`TARGETS`; empty without calibration scores.
        pixel: What its maps reached, where there are maps and masks.
        definitions: Image AUROC of the score that each definition reads from the map; empty where there are no maps.
        roc: True-positive rates at :data:`ROC_GRID`.
        artefacts: Under each artefact at each severity, ascending; empty where none was asked for.
        flags: What is suspicious, in plain words.
    """

    seed: int
    image: AreaScore
    average_precision: float
    sensitivity: float
    subject: AreaScore | None
    thresholds: tuple[ThresholdScore, ...]
    pixel: PixelScore | None
    definitions: dict[str, AreaScore]
    roc: NDArray[np.float64]
    artefacts: tuple[ArtefactScore, ...]
    flags: tuple[str, ...]

    @property
    def auroc(self) -> float:
        """Image AUROC."""
        return self.image.value

    @property
    def draws(self) -> NDArray[np.float64]:
        """[draws] image AUROC in every draw of subjects."""
        return self.image.draws

    @property
    def label_threshold(self) -> ThresholdScore | None:
        """What the threshold of the labels did."""
        return self.thresholds[0] if self.thresholds else None

    @property
    def pixel_average_precision(self) -> float | None:
        """Average precision over pixels, where there are maps and masks."""
        return self.pixel.average_precision.value if self.pixel else None


def run_thresholds(run: Run) -> tuple[evaluation.DeclaredThreshold, ...]:
    """The thresholds of a run for :data:`TARGETS`, from its calibration normals; empty where it has no usable ones."""
    if run.calibration is None or not len(run.calibration):
        return ()
    normals = run.calibration["raw_score"].to_numpy(dtype=np.float64)
    if not np.isfinite(normals).all():
        return ()
    subjects = run.calibration["subject_id"].astype(str).tolist()
    return tuple(evaluation.declared_threshold(normals, target, subjects) for target in TARGETS)


def run_threshold(run: Run) -> float | None:
    """The threshold of a run's labels, or None without usable calibration scores."""
    declared = run_thresholds(run)
    return declared[0].value if declared else None


def score_run(run: Run, test: TestData) -> SeedScore:
    """Compute every number of a run.

    Args:
        run: A finished run whose image scores are finite, with its maps if it has any.
        test: What it was tested on.

    Returns:
        The numbers, which depend on nothing but the two arguments.
    """
    labels = test.record.samples["label"].to_numpy()
    assert run.scores is not None  # noqa: S101 - a finished run has scores
    scores = run.scores["raw_score"].to_numpy(dtype=np.float64)
    false_positive_rate, true_positive_rate = evaluation.roc_curve(labels, scores)
    thresholds = tuple(_threshold_score(declared, labels, scores, test) for declared in run_thresholds(run))
    flags = evaluation.score_flags(scores)
    if thresholds:
        predicted = run.scores["predicted_label"].to_numpy()
        flags += evaluation.label_flags(predicted, scores, thresholds[0].declared.value)
    pixel: PixelScore | None = None
    definitions: dict[str, AreaScore] = {}
    if run.maps is not None:
        try:
            ranked = evaluation.rank_maps(run.maps)
            definitions = _definitions(ranked, labels, test)
            pixel = _pixel_score(ranked, run.thresholds.get("pixel"), labels, test) if test.has_masks else None
        except InputError as error:
            flags.append(f"no pixel metric, {error}")
    if pixel is not None:
        flags += evaluation.map_flags(pixel.auroc)
    return SeedScore(
        seed=run.seed,
        image=_auroc(labels, scores, test.draws),
        average_precision=evaluation.average_precision(labels, scores),
        sensitivity=evaluation.sensitivity_at_specificity(labels, scores, SPECIFICITY),
        subject=_subject_auroc(labels, scores, test),
        thresholds=thresholds,
        pixel=pixel,
        definitions=definitions,
        roc=np.interp(ROC_GRID, false_positive_rate, true_positive_rate),
        artefacts=tuple(_artefact_scores(run, labels, test.draws)),
        flags=tuple(flags),
    )


def _artefact_scores(run: Run, labels: NDArray, draws: evaluation.SubjectDraws) -> Iterator[ArtefactScore]:
    if run.artefacts is None:
        return
    for artefact, conditions in run.artefacts.groupby("artefact", sort=False):
        worst = conditions["severity"].max()
        for severity, condition in conditions.groupby("severity"):
            scores = condition["raw_score"].to_numpy(dtype=np.float64)
            in_draws = evaluation.auroc_draws(labels, scores, draws) if severity == worst else None
            yield ArtefactScore(str(artefact), int(str(severity)), evaluation.auroc(labels, scores), in_draws)


def _auroc(labels: NDArray, scores: NDArray[np.float64], draws: evaluation.SubjectDraws) -> AreaScore:
    return AreaScore(evaluation.auroc(labels, scores), evaluation.auroc_draws(labels, scores, draws))


def _subject_auroc(labels: NDArray, scores: NDArray[np.float64], test: TestData) -> AreaScore | None:
    subject_labels, subject_scores, subjects = evaluation.by_subject(labels, scores, test.subject_ids)
    abnormal = int(subject_labels.sum())
    if len(subjects) == len(labels) or min(abnormal, len(subjects) - abnormal) < evaluation.SMALLEST_CLASS:
        return None
    once = evaluation.SubjectDraws(np.arange(len(subjects)), test.draws.counts)
    return _auroc(subject_labels, subject_scores, once)


def _threshold_score(
    declared: evaluation.DeclaredThreshold, labels: NDArray, scores: NDArray[np.float64], test: TestData
) -> ThresholdScore:
    value = declared.value
    return ThresholdScore(
        declared=declared,
        false_positive_rate=evaluation.false_positive_rate(labels, scores, value),
        subject_false_positive_rate=evaluation.subject_false_positive_rate(labels, scores, test.subject_ids, value),
        sensitivity=evaluation.sensitivity(labels, scores, value),
        f1=evaluation.f1_score(labels, scores, value),
    )


def _definitions(maps: evaluation.RankedMaps, labels: NDArray, test: TestData) -> dict[str, AreaScore]:
    scores = evaluation.definition_scores(maps)
    return {name: _auroc(labels, read, test.draws) for name, read in scores.items()}


def _pixel_score(ranked: evaluation.RankedMaps, threshold: float | None, labels: NDArray, test: TestData) -> PixelScore:
    counts = evaluation.count_pixels(ranked, test.masks)
    histograms = evaluation.subject_histograms(ranked, test.masks, test.draws.subject_of_sample)
    # By their labels: a thin lesion may be lost in a mask at the size of the maps.
    normal = labels == 0
    per_image = evaluation.aupimo(ranked, test.masks, normal=normal)
    return PixelScore(
        average_precision=AreaScore(
            counts.average_precision(), evaluation.average_precision_draws(*histograms, test.draws)
        ),
        auroc=counts.auroc(),
        aupro=evaluation.aupro(ranked, test.regions),
        aupimo=None if per_image is None else float(per_image.mean()),
        ceiling_dice=counts.best_dice(),
        declared=None if threshold is None else _declared_pixel_score(ranked, threshold, normal, test),
    )


def _declared_pixel_score(
    maps: evaluation.RankedMaps, threshold: float, normal: NDArray[np.bool_], test: TestData
) -> DeclaredPixelScore:
    called = evaluation.call_pixels(maps, threshold)
    return DeclaredPixelScore(
        dice=evaluation.dice(called, test.masks),
        image_dice=float(evaluation.image_dice(called, test.masks).mean()),
        normal_area=float(called[normal].mean()) if normal.any() else None,
        lesions=evaluation.count_lesions(called, test.regions),
    )
