# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Labels where subjects have several samples: of the model, of the store and of the report."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from tiny_benchmark import SIZE, TinyData, TinyReader

from anomalib_patchgan.cli import main
from anomalib_patchgan.data.base import Assembly
from anomalib_patchgan.evaluation import conformal_threshold
from anomalib_patchgan.report.scores import run_threshold
from anomalib_patchgan.store import Store

CALIBRATION_SUBJECTS, LOUD_SAMPLES = 24, 30


class StackReader(TinyReader):
    def read(self, sample: Any) -> tuple[np.ndarray, np.ndarray]:
        number = int(sample["subject_id"].removeprefix("subject"))
        draw = np.random.default_rng([number, int(sample["slice_index"]) + 1])
        lesion = np.zeros((SIZE, SIZE), dtype=bool)
        lesion[4:8, 4:8] = bool(sample["label_index"])
        # Subjects differ in brightness, and their own slices hardly do.
        level = np.random.default_rng(number).uniform(0.2, 0.6)
        return (draw.uniform(level, level + 0.1, (1, SIZE, SIZE)) + 2.0 * lesion).astype(np.float32), lesion


class StackData(TinyData):
    """Calibration subjects with two slices each, but for one with thirty."""

    def _assemble(self) -> Assembly:
        assembly = super()._assemble()
        others = assembly.samples[assembly.samples["group"] != "calibration"]
        subjects = [f"subject{100 + number}" for number in range(CALIBRATION_SUBJECTS)]
        sizes = [LOUD_SAMPLES, *[2] * (CALIBRATION_SUBJECTS - 1)]
        slices = [(subject, index) for subject, size in zip(subjects, sizes, strict=True) for index in range(size)]
        rows = [
            others.iloc[0].to_dict()
            | {"group": "calibration", "sample_id": f"{subject}_{index}", "subject_id": subject, "slice_index": index}
            for subject, index in slices
        ]
        assembly.subjects["calibration"] = subjects
        samples = pd.concat([others, pd.DataFrame(rows)], ignore_index=True)
        return Assembly(assembly.subjects, samples, assembly.excluded, StackReader())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stacks")
    (folder / "data").mkdir()
    arguments = {"root": str(folder / "data"), "cache_dir": str(folder / "cache")}
    suite = {
        "name": "stacks",
        "question": "Whose label is it?",
        "method": "Tiny",
        "seeds": [0],
        "store": str(folder / "store"),
        "report": str(folder / "report"),
        "data": {"stacks": {"class_path": "test_labels_of_stacks.StackData", "init_args": arguments}},
        "models": {"Tiny": {"class_path": "tiny_benchmark.TinyModel", "role": "method", "trainer": {"max_epochs": 2}}},
    }
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite))
    assert main(["benchmark", str(folder / "suite.yaml")]) == 0
    store = Store(folder / "store")
    return store.load_run(store.load_plan()["jobs"][0]["key"])


def test_model_with_anomalibs_own_post_processor_gets_the_threshold_by_subject(run):
    scores, subjects = run.calibration["raw_score"].to_numpy(), run.calibration["subject_id"].tolist()
    assert len(scores) == LOUD_SAMPLES + 2 * (CALIBRATION_SUBJECTS - 1)
    assert run.thresholds["image"] == conformal_threshold(scores, 0.05, subjects) == run_threshold(run)
    assert run.thresholds["image"] != conformal_threshold(scores, 0.05)


def test_stored_label_is_that_of_the_report(run):
    expected = run.scores["raw_score"] > run_threshold(run)
    assert expected.any()
    np.testing.assert_array_equal(run.scores["predicted_label"], expected)


def test_pixel_threshold_is_stored_beside_the_maps(run):
    assert 0.0 < run.thresholds["pixel"] < run.thresholds["image"]
