# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The leak meter: by how much a split that ignores subjects inflates a result.

The test stays the same, image by image. What changes is where the training samples come from: subjects who are not in
the test, or, for a share of them, the test subjects themselves, as happens when samples are dealt to the groups without
regard to whose they are. So the difference is a paired one. Slices are exchanged for slices alike in position and area,
so that they differ in whose they are alone; with the test's subjects, more subjects are trained on.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from anomalib_patchgan import evaluation
from anomalib_patchgan.benchmark.attempt import interruptible
from anomalib_patchgan.benchmark.checks import check_classes
from anomalib_patchgan.benchmark.datasets import prepare_data, write_phantoms
from anomalib_patchgan.benchmark.plan import Job, make_jobs
from anomalib_patchgan.benchmark.progress import ProgressDisplay, Track
from anomalib_patchgan.benchmark.suite import Suite
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.evaluation import Difference, Interval
from anomalib_patchgan.store import Store


@dataclass(frozen=True, kw_only=True)
class Split:
    """A model's result under one kind of split.

    Attributes:
        auroc: Image AUROC, mean over seeds.
        interval: 95 % interval over test subjects.
    """

    auroc: float
    interval: Interval | None


@dataclass(frozen=True, kw_only=True)
class Leak:
    """What the meter found.

    Attributes:
        model: Name of the model's row.
        data: Name of the data set.
        protocol: What one sample is.
        seeds: Number of seeds.
        test_samples: Samples of the test, the same for both.
        train_samples: Training samples, as many for both.
        by_subject: Trained on other subjects than those of the test.
        by_sample: Trained on samples of test subjects too.
        inflation: ``by_sample`` minus ``by_subject``, paired.
    """

    model: str
    data: str
    protocol: str
    seeds: int
    test_samples: int
    train_samples: int
    by_subject: Split
    by_sample: Split
    inflation: Difference | None


def measure_leak(suite: Suite, model: str, data: str, display: ProgressDisplay) -> Leak:
    """Train and test one model of a suite with and without a leak.

    Args:
        suite: The suite; its seeds and threads are used, and its store for the test data.
        model: Name of the model's row.
        data: Name of the data set.
        display: Is told of each training.

    Raises:
        InputError: If a name is not in the suite, or the data cannot be used.
    """
    for name, offered, what in ((model, suite.models, "--model"), (data, suite.data, "--data")):
        if name not in offered:
            raise InputError(f"{what}: found {name!r}, expected one of {', '.join(offered)}.")
    if not suite.models[model].runs_on(data):
        raise InputError(
            f"--data: found {data!r}, expected one of those on which {model} runs: {suite.models[model].data}."
        )
    # The clean test alone says what a leak is worth.
    row = replace(suite.models[model], backends=[])
    one = replace(suite, data={data: suite.data[data]}, models={model: row}, artefacts=None)
    # A row that a suite skips is not checked there; here it is to run.
    check_classes(replace(one, models={model: replace(row, skip="")}))
    store = Store(one.store_folder)
    track = display.start(f"preparing {data}")
    with store.locked():
        write_phantoms(data, one.data[data], lambda done, total: track("writing phantoms", done, total))
        summary = prepare_data(
            data, one.data[data], store, lambda done, total: track("reading the test set", done, total)
        )
    display.end(f"preparing {data}")
    samples = store.load_data(summary.key, with_images=False).samples
    draws = evaluation.draw_subjects(samples["subject_id"].tolist())
    labels = samples["label"].to_numpy()
    jobs = make_jobs(one, {data: summary})
    if not jobs:
        raise InputError(f"--model: {model} has a budget in minutes; expected max_epochs or max_steps.")
    statistics = {}
    train_samples = 0
    for leak in (False, True):
        scores = []
        for job in jobs:
            title = f"{job.title}, split by {'sample' if leak else 'subject'}"
            raw_scores, train_samples = _train_and_test(job, display.start(title), leak)
            display.end(title)
            scores.append(raw_scores)
        statistics[leak] = (
            float(np.mean([evaluation.auroc(labels, seed) for seed in scores])),
            np.mean([evaluation.auroc_draws(labels, seed, draws) for seed in scores], axis=0),
        )
    return Leak(
        model=model,
        data=data,
        protocol=summary.protocol,
        seeds=len(jobs),
        test_samples=len(samples),
        train_samples=train_samples,
        by_subject=Split(auroc=statistics[False][0], interval=evaluation.percentile_interval(statistics[False][1])),
        by_sample=Split(auroc=statistics[True][0], interval=evaluation.percentile_interval(statistics[True][1])),
        inflation=evaluation.paired_difference(statistics[True], statistics[False], draws.subjects),
    )


def describe_leak(leak: Leak) -> str:
    """The finding as a Markdown table and a sentence."""
    lines = [
        f"{leak.model} on {leak.data}, protocol {leak.protocol}, {leak.seeds} seeds, {leak.test_samples} test samples, "
        f"{leak.train_samples} training samples",
        "",
        "| split | image AUROC | 95 % interval |",
        "| --- | ---: | ---: |",
        _row("by subject: no test subject is trained on", leak.by_subject),
        _row("by sample: test subjects are trained on too", leak.by_sample),
        "",
    ]
    if leak.inflation is None:
        return "\n".join([*lines, "No draw of subjects holds both labels, so the inflation has no interval."])
    low, high = leak.inflation.interval.low, leak.inflation.interval.high
    beyond = "beyond" if low > 0 or high < 0 else "not beyond"
    lines.append(
        f"Inflation by the leak: {100 * leak.inflation.value:+.1f} points, 95 % interval {100 * low:+.1f} to "
        f"{100 * high:+.1f}: {beyond} what the draw of test subjects explains."
    )
    return "\n".join(lines)


def _row(name: str, split: Split) -> str:
    interval = f"{split.interval.low:.3f} to {split.interval.high:.3f}" if split.interval else "none"
    return f"| {name} | {split.auroc:.3f} | {interval} |"


def _train_and_test(job: Job, track: Track, leak: bool) -> tuple[NDArray[np.float64], int]:
    from anomalib_patchgan.benchmark.job import run_job  # imports torch and anomalib

    with interruptible():
        run = run_job(job, track, leak=leak)
    if run.scores is None:
        raise RuntimeError(f"{job.title} gave no scores")
    return run.scores["raw_score"].to_numpy(dtype=np.float64), int(run.budget["train_samples"])
