# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The verdict in words: who is ahead, by how much, and what cannot be told apart."""

from collections.abc import Sequence

from anomalib_patchgan import evaluation
from anomalib_patchgan.report.findings import Comparison, DataResult, Findings

VERDICTS = ("ahead", "behind", "not separable")
HOW_TO_READ = (
    "One point is 0.01 of image AUROC.",
    f"Intervals are 95 % percentile intervals over {evaluation.DRAWS:,} draws of whole test subjects, the same draws "
    "for every model and every seed; within a draw the statistic is the mean over seeds. The standard deviation "
    "over seeds stands apart.",
    "A difference counts as ahead or behind when its p-value, Holm-adjusted over every comparison in this report, of "
    "images as of pixels, is below 0.05; the intervals of the differences are not adjusted. The p-value is that of "
    "Student's t, with the standard deviation over the draws as the standard error.",
    "A lead over a rival that is below chance, the whole interval of its image AUROC being under 0.5, shows nothing: "
    "reversed, that score would be a detector.",
    "A control, such as an untrained copy, shows what the method owes to one of its parts; it is no rival.",
    "Average precision, of images as of pixels, is read against the prevalence: a score without information reaches "
    "the prevalence.",
    "A threshold is declared on normal calibration images alone, by subject: every calibration subject weighs alike, "
    "and a normal image of a new subject is above it with a chance of at most the target. With one image a subject it "
    "is the k-th smallest of n scores, k = (n + 1)(1 − target), rounded up. With too few subjects the target is not "
    "attainable; the labels then follow the same rule with images taken as unrelated, or the largest score. The rate "
    "that came out on the test set stands beside the target.",
    f"The pixel threshold is the smallest value that at most {100.0 * evaluation.FALSE_POSITIVE_AREA:g} % of the "
    "pixels of the calibration images exceed.",
)


def points(value: float) -> str:
    """A share as percentage points with one decimal, for instance ``-3.1``, with a true minus sign."""
    # Adding 0.0 turns the negative zero that rounding leaves into a plain one.
    return f"{round(100.0 * value, 1) + 0.0:.1f}".replace("-", "−")


def signed_points(value: float) -> str:
    """A difference in percentage points, with a plus sign where it is positive."""
    return f"{'+' if value > 0.0 else ''}{points(value)}"


def bracketed_points(interval: evaluation.Interval | None) -> str:
    """An interval of a difference in percentage points in brackets, or nothing."""
    return "" if interval is None else f"[{points(interval.low)}, {points(interval.high)}]"


def verdict_headline(data: DataResult, method: str) -> str:
    """One sentence on one data set that says plainly whether the method wins, loses or neither.

    Controls, such as an untrained copy of the method, are no rivals and are not counted here.
    """
    if not any(row.model == method and row.seeds for row in data.results):
        return f"No verdict: {method} has no usable result on this data set."
    rivals = [one for one in data.comparisons if one.role != "control"]
    if not rivals:
        return f"No verdict: {method} has no rival with a usable result on this data set."
    ahead = [one for one in rivals if one.verdict == "ahead"]
    behind = [one for one in rivals if one.verdict == "behind"]
    if behind:
        losing = f"{method} loses here: it is behind {_listed(behind, -1.0)}"
        rest = f", and ahead of {len(ahead)} of {len(rivals)} rivals{_inverted(ahead)}"
        return f"{losing}{rest if len(rivals) > 1 else ''}."
    if len(ahead) == len(rivals):
        others = f"all {len(rivals)} rivals" if len(rivals) > 1 else "its only rival"
        return f"{method} is ahead of {others}{_inverted(ahead)}."
    if ahead:
        others = "others" if len(rivals) - len(ahead) > 1 else "other"
        return (
            f"{method} is ahead of {len(ahead)} of {len(rivals)} rivals{_inverted(ahead)} and not separable from the "
            f"{others}; none is ahead of it."
        )
    others = f"any of its {len(rivals)} rivals" if len(rivals) > 1 else "its only rival"
    return f"{method} is not separable from {others}."


def verdict_sentences(data: DataResult, method: str) -> list[str]:
    """What the headline leaves to say: whom the method is ahead of, what is not separable, and the controls."""
    rivals = [one for one in data.comparisons if one.role != "control"]
    ahead = [one for one in rivals if one.verdict == "ahead"]
    sentences = [f"{method} is ahead of {_listed(ahead, 1.0)}."] if ahead else []
    unclear = [one for one in rivals if one.verdict == "not separable"]
    if unclear:
        sentences.append(f"{method} is not separable from {_listed_differences(unclear)}.")
    sentences += [
        f"Against the control {one.model}: {one.verdict} ({_signed(one)})."
        for one in data.comparisons
        if one.role == "control"
    ]
    return sentences + _pixel_sentences(data, method)


def _pixel_sentences(data: DataResult, method: str) -> list[str]:
    """The same by average precision over pixels, in one sentence; none without a rival that gives maps."""
    rivals = [one for one in data.pixel_comparisons if one.role != "control"]
    if not rivals:
        return []
    parts = []
    for verdict, words in (("ahead", "ahead of"), ("behind", "behind"), ("not separable", "not separable from")):
        found = [one for one in rivals if one.verdict == verdict]
        if found:
            parts.append(f"{words} {_listed_differences(found)}")
    return [f"On pixels, by average precision, {method} is {'; '.join(parts)}."]


def overall_verdict(findings: Findings) -> str:
    """One sentence over all data sets, counted and not averaged."""
    compared = [one for data in findings.data for one in data.comparisons]
    if not compared:
        return f"There is no comparison yet: {findings.method} and a rival need a usable result on the same data set."
    rivals = [one for one in compared if one.role != "control"]
    counted = rivals or compared
    ahead, behind, unclear = ([one for one in counted if one.verdict == verdict] for verdict in VERDICTS)
    comparisons = "1 comparison" if len(counted) == 1 else f"{len(counted)} comparisons"
    over = f"Over {comparisons}" if rivals else f"No rival has a result. Over {comparisons} with controls"
    below_chance = _inverted(ahead, f"of a {'rival' if rivals else 'control'} below chance")
    return (
        f"{over}, {findings.method} is ahead in {len(ahead)}{below_chance}, "
        f"behind in {len(behind)} and not separable in {len(unclear)}."
    )


def chosen_method(findings: Findings) -> str:
    """That the row which all others are compared with is not the one that the suite named; empty where it is."""
    planned = findings.plan.get("planned_method")
    if planned is None:
        return ""
    return f"The suite's method is {planned}; {findings.method} was put in its place when this page was written."


def _inverted(comparisons: Sequence[Comparison], what: str = "below chance") -> str:
    """How many of the models have a score below chance, in brackets; nothing where none has."""
    count = sum(one.inverted for one in comparisons)
    return f" ({count} of them {what})" if count else ""


def _listed(comparisons: Sequence[Comparison], sign: float) -> str:
    """Name the models and by how much, the difference counted in the direction of the sentence.

    The unit and the kind of interval are said once.
    """
    parts: list[str] = []
    for one in comparisons:
        interval = one.difference.interval
        low, high = sorted((sign * interval.low, sign * interval.high))
        value = points(sign * one.difference.value)
        unit, kind = ("", "") if parts else (" points", "95 % interval ")
        named = f"{one.model}, below chance," if one.inverted else one.model
        parts.append(f"{named} by {value}{unit} ({kind}{points(low)} to {points(high)})")
    return _joined(parts)


def _listed_differences(comparisons: Sequence[Comparison]) -> str:
    first, *others = comparisons
    return _joined(
        [f"{first.model} ({_signed(first)})", *(f"{one.model} ({_signed(one, units=False)})" for one in others)]
    )


def _signed(one: Comparison, units: bool = True) -> str:
    interval = one.difference.interval
    unit, kind = (" points", "95 % interval ") if units else ("", "")
    chance = "below chance; " if one.inverted else ""
    value = f"{signed_points(one.difference.value)}{unit}"
    return f"{chance}{value}, {kind}{points(interval.low)} to {points(interval.high)}"


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
