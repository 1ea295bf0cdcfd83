# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import ndimage
from torch.utils.data import DataLoader
from torchvision.transforms.v2 import Resize
from torchvision.tv_tensors import Image

from anomalib_patchgan.data.artefacts import ARTEFACTS, SEVERITIES, describe
from anomalib_patchgan.data.artefacts.dataset import ArtefactDataset
from anomalib_patchgan.data.artefacts.transforms import apply_artefact
from anomalib_patchgan.data.dataset import MedicalDataset

SIDE = 48
KINDS = list(ARTEFACTS)
INTENSITY_KINDS = [kind for kind in KINDS if kind != "rotation"]


def smooth(noise: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(noise, (0, 2, 2)) * 4


def brain(seed: int = 0, channels: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """A grey disc with texture on an empty background, with a bright lesion."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    head = np.hypot(rows, columns) < 18
    lesion = np.hypot(rows - 6, columns + 4) < 4
    texture = 0.4 + 0.15 * smooth(np.random.default_rng(seed).standard_normal((channels, SIDE, SIDE)))
    image = np.where(head, texture + 0.25 * lesion, 0.0).astype(np.float32)
    return torch.from_numpy(image).expand(3, -1, -1).contiguous(), torch.from_numpy(lesion)


def skin() -> tuple[torch.Tensor, torch.Tensor]:
    """Coloured texture that fills the image, without a black pixel."""
    draw = 0.5 + 0.4 * smooth(np.random.default_rng(1).uniform(-0.5, 0.5, (3, SIDE, SIDE))).astype(np.float32)
    return torch.from_numpy(draw), torch.zeros(SIDE, SIDE, dtype=torch.bool)


def under(kind: str, severity: int = 5, sample_id: str = "a", scan: bool = True) -> torch.Tensor:
    image, lesion = brain() if scan else skin()
    return apply_artefact(image, lesion, kind, severity, sample_id, scan)[0]


@pytest.mark.parametrize("scan", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_an_image_keeps_its_shape_type_and_range(kind, scan):
    result = under(kind, scan=scan)
    assert result.shape == (3, SIDE, SIDE)
    assert result.dtype is torch.float32
    assert 0.0 <= result.min() <= result.max() <= 1.0


@pytest.mark.parametrize("scan", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_higher_severity_changes_images_more(kind, scan):
    image = (brain() if scan else skin())[0]
    # Of several samples, since what moved further may look alike again in one.
    changes = [
        float(np.mean([(under(kind, severity, name, scan) - image).abs().mean() for name in "abc"]))
        for severity in SEVERITIES
    ]
    assert changes[0] > 0
    assert changes == sorted(changes)


def test_more_movement_in_the_scanner_disturbs_every_image_more():
    image = brain()[0]
    for name in "abcdefgh":
        changes = [float((under("motion", severity, name) - image).square().mean()) for severity in SEVERITIES]
        assert changes == sorted(set(changes)), name


@pytest.mark.parametrize("severity", SEVERITIES)
def test_blur_has_the_declared_standard_deviation_however_few_pixels_that_is(severity):
    point = torch.zeros(3, 33, 33)
    point[:, 16, 16] = 1.0
    spread = apply_artefact(point, torch.zeros(33, 33, dtype=torch.bool), "blur", severity, "a", False)[0][0].double()
    distance = torch.arange(33) - 16.0
    variance = float((spread.sum(0) * distance.square()).sum() / spread.sum())
    assert variance**0.5 == pytest.approx(ARTEFACTS["blur"].strength(severity)["std"] / 100 * 33, rel=1e-3)


@pytest.mark.parametrize("kind", ["bias_field", "noise"])
def test_the_direction_of_a_change_is_the_same_at_every_severity(kind):
    image = brain()[0]
    seen = image > 0
    changes = [(under(kind, severity) - image)[seen].numpy() for severity in (1, 3)]
    assert np.corrcoef(*changes)[0, 1] > 0.9


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "blur"])
def test_samples_differ_in_what_is_random(kind):
    results = [under(kind, sample_id=name) for name in "abcdef"]
    assert any(not torch.equal(results[0], other) for other in results[1:])


@pytest.mark.parametrize("kind", KINDS)
def test_an_artefact_neither_reads_nor_moves_the_global_generators(kind):
    results = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        results.append(under(kind))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*results)


@pytest.mark.parametrize("kind", INTENSITY_KINDS)
def test_the_empty_background_of_a_scan_stays_empty(kind):
    image = brain()[0]
    assert not under(kind)[image == 0].any()


@pytest.mark.parametrize("kind", INTENSITY_KINDS)
def test_only_rotation_moves_the_lesion_mask(kind):
    image, lesion = brain()
    assert torch.equal(apply_artefact(image, lesion, kind, 5, "a", True)[1], lesion)


def test_rotation_turns_the_mask_with_the_lesion():
    image, lesion = brain()
    turned, mask = apply_artefact(image, lesion, "rotation", 5, "a", True)
    assert not torch.equal(mask, lesion)
    assert abs(int(mask.sum()) - int(lesion.sum())) <= 5
    assert turned[0][mask].mean() > 0.55
    assert turned[0][lesion & ~mask].mean() < 0.55


def test_rotation_is_about_the_centre_by_the_declared_angle():
    image, lesion = brain()
    _, mask = apply_artefact(image, lesion, "rotation", 5, "a", True)
    before, after = ((part.nonzero().double().mean(0) - (SIDE - 1) / 2).numpy() for part in (lesion, mask))
    angle = np.degrees(np.arctan2(*after) - np.arctan2(*before))
    assert abs(abs(angle) - 20.0) < 2.0
    assert np.hypot(*after) == pytest.approx(np.hypot(*before), abs=0.5)


@pytest.mark.parametrize("kind", ["rotation", "motion"])
def test_no_black_corners_come_into_a_photograph(kind):
    assert under(kind, scan=False).min() >= skin()[0].min() - 1e-6


def test_copies_of_one_channel_stay_copies_under_noise():
    result = under("noise")
    assert torch.equal(result[0], result[1])


def test_channels_that_differ_get_noise_of_their_own():
    image, lesion = brain(channels=3)
    change = (apply_artefact(image, lesion, "noise", 1, "a", True)[0] - image)[:, image[0] > 0].numpy()
    assert abs(np.corrcoef(change)[0, 1]) < 0.2


def test_noise_of_a_scan_is_rician_and_that_of_a_photograph_is_not():
    dark, lesion = torch.full((3, SIDE, SIDE), 0.02), torch.zeros(SIDE, SIDE, dtype=torch.bool)
    scan, photograph = (apply_artefact(dark, lesion, "noise", 5, "a", kind)[0] for kind in (True, False))
    # Rayleigh-like: the mean is near std * sqrt(pi / 2), and hardly a value is zero.
    assert scan.mean() == pytest.approx(0.1 * np.sqrt(np.pi / 2), rel=0.05)
    assert (scan == 0).float().mean() < 0.01
    assert (photograph == 0).float().mean() > 0.3


def test_the_bias_field_has_the_declared_ratio_where_there_is_tissue():
    image = brain()[0]
    field = (under("bias_field", 1) / image)[image > 0]
    assert float(field.max() / field.min()) == pytest.approx(1.2, rel=1e-3)


def test_motion_of_a_scan_leaves_the_image_where_it_was():
    result, image = (part[0].numpy() for part in (under("motion"), brain()[0]))
    spectrum = np.fft.fft2(result) * np.conj(np.fft.fft2(image))
    shift = np.unravel_index(np.argmax(np.fft.ifft2(spectrum / np.abs(spectrum)).real), image.shape)
    assert tuple(map(int, shift)) == (0, 0)


def test_a_scan_without_background_and_an_empty_image_are_handled():
    lesion = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    for image in (torch.zeros(3, SIDE, SIDE), torch.full((3, SIDE, SIDE), 0.5)):
        for kind in KINDS:
            assert torch.isfinite(apply_artefact(image, lesion, kind, 5, "a", True)[0]).all()


def test_images_need_not_be_square():
    image, lesion = brain()
    for kind in KINDS:
        result, mask = apply_artefact(image[:, :32], lesion[:32], kind, 5, "a", True)
        assert result.shape == (3, 32, SIDE)
        assert mask.shape == (32, SIDE)


def test_describing_the_artefacts_gives_their_levels_at_the_severities_asked_for():
    (noise,) = describe(["noise"], [1, 5])
    assert noise["parameters"] == [{"name": "std", "unit": "% of the full scale", "levels": [1.5, 10.0]}]


def test_every_strength_grows_with_the_severity():
    for artefact in ARTEFACTS.values():
        for parameter in artefact.parameters:
            assert list(parameter.levels) == sorted(set(parameter.levels)), artefact.name


def test_the_table_needs_neither_torch_nor_torchio():
    code = "import sys; import anomalib_patchgan.data.artefacts; print({'torch', 'torchio'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


class BrainReader:
    fingerprint = "brain"

    def read(self, sample):
        image, lesion = brain(sample["top"])
        return image[:1].numpy(), lesion.numpy() & bool(sample["label_index"])


@pytest.fixture
def dataset(tmp_path) -> MedicalDataset:
    rows = [
        {
            "sample_id": f"sample{number}",
            "slice_index": number,
            "top": number,
            "label_index": number % 2,
            "image_path": str(tmp_path / f"{number}.png"),
            "mask_path": "",
        }
        for number in (3, 0, 2, 1)
    ]
    return MedicalDataset(pd.DataFrame(rows), BrainReader(), (SIDE, SIDE), write_previews=False)


def test_the_wrapped_data_set_keeps_order_labels_and_table(dataset):
    wrapped = ArtefactDataset(dataset, "rotation", 3)
    pd.testing.assert_frame_equal(wrapped.samples, dataset.samples)
    assert [int(wrapped[index].gt_label) for index in range(4)] == [1, 0, 0, 1]
    assert [wrapped[index].image_path for index in range(4)] == dataset.samples["image_path"].tolist()


@pytest.mark.parametrize("kind", ["noise", "rotation"])
def test_a_collection_without_masks_stays_one(dataset, kind, monkeypatch):
    masked = ArtefactDataset(dataset, kind, 3)[0]
    monkeypatch.setattr(BrainReader, "read", lambda _, sample: (brain(sample["top"])[0][:1].numpy(), None))
    wrapped = ArtefactDataset(dataset, kind, 3)
    assert wrapped[0].gt_mask is None
    assert torch.equal(wrapped[0].image, masked.image)
    assert wrapped.collate_fn([wrapped[0], wrapped[1]]).gt_mask is None


@pytest.mark.parametrize("kind", ["noise", "rotation"])
def test_an_artefact_comes_before_the_resizing_of_a_model(dataset, kind):
    plain = ArtefactDataset(dataset, kind, 4)
    resize = Resize((2 * SIDE, 2 * SIDE))
    dataset.augmentations = resize
    item = ArtefactDataset(dataset, kind, 4)[0]
    dataset.augmentations = None
    assert torch.equal(item.image, resize(Image(plain[0].image)))
    assert item.gt_mask.shape == (2 * SIDE, 2 * SIDE)


def test_the_lesion_is_read_at_the_size_of_the_data_set_as_the_artefact_leaves_it(dataset):
    for kind in ("rotation", "noise"):
        wrapped = ArtefactDataset(dataset, kind, 5)
        expected = wrapped[0].gt_mask.bool()
        dataset.augmentations = Resize((2 * SIDE, 2 * SIDE))
        assert torch.equal(wrapped.lesion(0), expected)
        dataset.augmentations = None
        assert torch.equal(expected, dataset[0].gt_mask.bool()) == (kind == "noise")


@pytest.mark.parametrize("kind", ["noise", "motion"])
def test_a_sample_gets_the_same_artefact_under_any_workers_order_and_batch(dataset, kind):
    wrapped = ArtefactDataset(dataset, kind, 4)
    alone = [wrapped[index].image for index in (3, 2, 1, 0)][::-1]
    for workers, size in ((0, 3), (2, 1)):
        loader = DataLoader(wrapped, batch_size=size, num_workers=workers, collate_fn=wrapped.collate_fn)
        assert torch.equal(torch.cat([batch.image for batch in loader]), torch.stack(alone))
