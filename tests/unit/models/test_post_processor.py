# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The label that a model gives, in PyTorch or exported, is the label of the report."""

from types import SimpleNamespace

import numpy as np
import openvino as ov
import pandas as pd
import pytest
import torch
from anomalib.data import ImageBatch, InferenceBatch
from torch.utils.data import TensorDataset

from anomalib_patchgan.benchmark.recorder import _Batches
from anomalib_patchgan.deploy.core import compile_in_float32
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.evaluation import conformal_threshold
from anomalib_patchgan.models.components.post_processor import CalibratedPostProcessor
from anomalib_patchgan.report.scores import run_threshold
from anomalib_patchgan.store import Run


def batch(scores: torch.Tensor, maps: torch.Tensor | None = None, labels: torch.Tensor | None = None) -> ImageBatch:
    return ImageBatch(
        image=torch.zeros(len(scores), 3, 8, 8),
        gt_label=torch.zeros(len(scores), dtype=torch.bool) if labels is None else labels,
        pred_score=scores,
        anomaly_map=maps,
    )


def calibrate(scores: torch.Tensor, subjects: list[str] | None, **options) -> CalibratedPostProcessor:
    processor = CalibratedPostProcessor()
    samples = None if subjects is None else pd.DataFrame({"subject_id": subjects})
    trainer = SimpleNamespace(world_size=1, val_dataloaders=SimpleNamespace(dataset=SimpleNamespace(samples=samples)))
    processor.on_validation_epoch_start(trainer, None)
    for first in range(0, len(scores), 16):
        part = {name: value[first : first + 16] for name, value in options.items()}
        processor.on_validation_batch_end(trainer, None, batch(scores[first : first + 16], **part))
    processor.on_validation_epoch_end(trainer, None)
    return processor


class HalfOfAll:
    """What stands for a model on the second of two processes: it knows what the first one sends."""

    device = torch.device("cpu")

    def __init__(self, sent: list[torch.Tensor]) -> None:
        self.sent = sent

    def all_gather(self, own: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.sent.pop(0), own])


def test_several_processes_calibrate_on_all_samples_and_on_their_own_subjects():
    draw = torch.Generator().manual_seed(0)
    subjects = [f"subject {index // 5}" for index in range(125)]
    scores = torch.randn(125, generator=draw) + torch.randn(25, generator=draw).repeat_interleave(5)
    maps, labels = torch.rand(125, 1, 8, 8, generator=draw), torch.arange(125) % 7 == 0
    alone = calibrate(scores, subjects, maps=maps, labels=labels)
    processor = CalibratedPostProcessor()
    dataset = TensorDataset(scores)
    dataset.samples = pd.DataFrame({"subject_id": subjects})
    trainer = SimpleNamespace(world_size=2, val_dataloaders=SimpleNamespace(dataset=dataset))
    # The odd samples, and the first once more, since there is one fewer of them.
    first, second = torch.arange(0, 125, 2), torch.cat([torch.arange(1, 125, 2), torch.zeros(1, dtype=torch.long)])
    processor.on_validation_batch_end(trainer, None, batch(scores[second], maps[second], labels[second]))
    sent = [labels[first] == 0, scores[first], maps[first].flatten(1)]
    processor.on_validation_epoch_end(trainer, HalfOfAll(sent))
    for name, value in alone.state_dict().items():
        assert torch.equal(processor.state_dict()[name], value), name


def neighbours(threshold: float, others: int = 500) -> torch.Tensor:
    """Scores around a threshold, with the single-precision numbers next to it."""
    value = np.float32(threshold)
    close = [value, np.nextafter(value, np.float32(np.inf)), np.nextafter(value, np.float32(-np.inf))]
    far = np.random.default_rng(0).normal(threshold, 1.0, others).astype(np.float32)
    return torch.from_numpy(np.concatenate([np.array(close, dtype=np.float32), far]))


@pytest.fixture(params=[(25, 4), (8, 5), (2, 3)], ids=["conformal", "pooled", "largest"])
def calibration(request) -> tuple[torch.Tensor, list[str]]:
    subjects, per_subject = request.param
    # The median is further from the threshold than zero is, so that the calibrated scores next to it round to one half.
    scores = torch.randn(subjects * per_subject, generator=torch.Generator().manual_seed(subjects)) * 3.0 - 2.0
    return scores, [f"subject {index // per_subject}" for index in range(len(scores))]


def report_labels(scores: torch.Tensor, subjects: list[str], tested: torch.Tensor) -> np.ndarray:
    fields = dict.fromkeys(
        ("key", "model", "role", "note", "model_class", "data", "data_key", "protocol", "status"), ""
    )
    table = pd.DataFrame({"subject_id": subjects, "raw_score": scores.double().numpy()})
    run = Run(**fields, model_arguments={}, seed=0, threads=1, calibration=table)
    return tested.double().numpy() > run_threshold(run)


def test_recorded_label_is_that_of_the_report_to_the_last_bit(calibration):
    processor = calibrate(*calibration)
    tested = neighbours(float(processor.image_threshold))
    recorded = _Batches()
    recorded.add_labels(batch(tested, torch.zeros(len(tested), 1, 8, 8)), processor)
    np.testing.assert_array_equal(recorded.labels[0].numpy(), report_labels(*calibration, tested))


def test_exported_label_is_that_of_the_report_for_any_batch_size(calibration):
    processor = calibrate(*calibration)
    tested = neighbours(float(processor.image_threshold))

    class Exported(torch.nn.Module):
        def forward(self, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            result = processor(InferenceBatch(pred_score=scores, anomaly_map=scores.reshape(-1, 1, 1, 1)))
            return result.pred_score, result.pred_label

    with torch.no_grad():
        model = ov.convert_model(Exported().eval(), example_input=tested[:2], input=ov.PartialShape([-1]))
    compiled = compile_in_float32(model)
    expected = report_labels(*calibration, tested)
    for count in (1, 7, len(tested)):
        scores, labels = compiled(tested[:count].numpy()).values()
        np.testing.assert_array_equal(labels, expected[:count])
        np.testing.assert_array_equal(scores > 0.5, expected[:count])


def test_threshold_weighs_subjects_and_not_images_where_subjects_are_known():
    scores = torch.cat([torch.arange(39.0), 1000.0 + torch.arange(100.0)])
    subjects = [str(min(index, 39)) for index in range(len(scores))]
    assert calibrate(scores, subjects).image_threshold == 38.0
    assert calibrate(scores, None).image_threshold == conformal_threshold(scores.numpy(), 0.05)


def test_abnormal_validation_images_are_left_out_with_their_subjects():
    scores = torch.cat([torch.full((5,), 99.0), torch.arange(40.0)])
    labels = torch.tensor([True] * 5 + [False] * 40)
    subjects = [str(index) for index in range(45)]
    expected = conformal_threshold(np.arange(40.0), 0.05)
    assert calibrate(scores, subjects, labels=labels).image_threshold == expected


def test_pixel_threshold_leaves_the_declared_area_of_the_normal_maps():
    maps = torch.randn(30, 1, 64, 64, generator=torch.Generator().manual_seed(3))
    processor = calibrate(maps.amax(dim=(1, 2, 3)), None, maps=maps)
    assert float((maps > processor.pixel_threshold).float().mean()) == pytest.approx(0.01, abs=1e-5)


def test_pixel_threshold_of_large_maps_is_read_from_every_column():
    # Only every eighth column is bright: a step that divides the width would see all of it or none.
    maps = torch.zeros(4, 1, 256, 256)
    maps[..., ::8] = torch.rand(4, 1, 256, 32, generator=torch.Generator().manual_seed(4)) + 1.0
    processor = calibrate(maps.amax(dim=(1, 2, 3)), None, maps=maps)
    assert float((maps > processor.pixel_threshold).float().mean()) == pytest.approx(0.01, abs=2e-3)


def test_scores_that_are_not_finite_are_a_sentence():
    with pytest.raises(InputError, match="found 1 of 3 values not finite"):
        calibrate(torch.tensor([0.1, float("nan"), 0.2]), None)
