# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What each trivial comparator measures."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from anomalib.data import ImageBatch
from sklearn.neighbors import NearestNeighbors

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.models import NearestNeighbours, SlicePosition
from anomalib_patchgan.models.foreground_area.torch_model import ForegroundAreaModel
from anomalib_patchgan.models.gaussian_atlas.torch_model import LEAST_DEVIATION, GaussianAtlasModel
from anomalib_patchgan.models.maximum_intensity.torch_model import MaximumIntensityModel
from anomalib_patchgan.models.mean_intensity.torch_model import RIDGE, MeanIntensityModel
from anomalib_patchgan.models.nearest_neighbours.torch_model import NearestNeighboursModel
from anomalib_patchgan.models.random_score.torch_model import RandomScoreModel


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def in_batches(images: torch.Tensor, model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([model.condense(batch) for batch in images.split(4)])


def test_a_random_score_belongs_to_the_image_and_not_to_its_batch() -> None:
    model, images = RandomScoreModel(), torch.rand(9, 3, 16, 16)
    alone = torch.cat([model(image[None]).pred_score for image in images])
    assert torch.equal(model(images).pred_score, alone)


def test_random_scores_are_spread_evenly_and_know_nothing_of_brightness() -> None:
    level = torch.rand(400, 1, 1, 1)
    images = (level + 0.02 * torch.rand(400, 3, 16, 16)).clamp(0, 1)
    scores = RandomScoreModel()(images).pred_score
    assert torch.histc(scores, 4, 0, 1).min() > 70
    assert torch.corrcoef(torch.stack([scores, level.flatten()]))[0, 1].abs() < 0.15


def test_another_seed_gives_other_random_scores_and_the_same_one_the_same() -> None:
    images = torch.rand(5, 3, 16, 16)

    def scores(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return RandomScoreModel()(images).pred_score

    assert torch.equal(scores(1), scores(1))
    assert not torch.isclose(scores(1), scores(2)).any()


def test_images_that_differ_in_one_grey_level_of_one_pixel_get_unrelated_random_scores() -> None:
    images = torch.full((64, 3, 16, 16), 128 / 255)
    images[torch.arange(64), 0, torch.arange(64) // 16, torch.arange(64) % 16] += 1 / 255
    assert RandomScoreModel()(images).pred_score.std() > 0.2


def test_the_brightest_spot_outranks_a_brighter_pixel() -> None:
    images = torch.zeros(2, 3, 32, 32)
    images[0, :, 10:15, 20:25] = 0.5
    images[1, :, 16, 8] = 1.0
    output = MaximumIntensityModel(5)(images)
    assert output.pred_score.tolist() == pytest.approx([0.5, 1 / 25])
    assert output.anomaly_map.shape == (2, 1, 32, 32)
    assert output.anomaly_map[0, 0, 12, 22] == pytest.approx(0.5)


def test_a_spot_of_an_even_side_is_refused() -> None:
    with pytest.raises(InputError, match="spot_size: found 4"):
        MaximumIntensityModel(4)


def test_foreground_area_counts_what_is_bright_in_any_channel() -> None:
    images = torch.zeros(2, 3, 8, 8)
    images[0, 1, :2] = 0.5
    images[1] = 0.01
    assert ForegroundAreaModel()(images).pred_score.tolist() == [0.25, 0.0]


def test_the_atlas_is_the_mean_and_deviation_of_every_pixel_whatever_the_batches() -> None:
    images, model = torch.rand(10, 3, 8, 8), GaussianAtlasModel(8)
    model.fit(in_batches(images, model))
    assert np.allclose(model.mean, images.numpy().mean(axis=0), atol=1e-6)
    assert np.allclose(model.deviation, images.numpy().std(axis=0) + LEAST_DEVIATION, atol=1e-6)


def test_the_atlas_finds_a_value_strange_where_normals_never_have_it() -> None:
    images, model = 0.5 * torch.ones(20, 3, 16, 16), GaussianAtlasModel(16)
    images[:, :, :, 8:] = torch.rand(20, 1, 16, 8)
    model.fit(in_batches(images, model))
    spots = images[:2].clone()
    spots[0, :, 4, 2] = spots[1, :, 4, 13] = 0.8
    output = model(spots)
    assert output.anomaly_map[0, 0, 4, 2] > 10 * output.anomaly_map[1, 0, 4, 13]
    assert output.pred_score.shape == (2,)


def test_the_distance_to_the_nearest_neighbours_is_that_of_scikit_learn() -> None:
    train, test, model = torch.rand(11, 3, 8, 8), torch.rand(6, 3, 8, 8), NearestNeighboursModel(3)
    model.fit(in_batches(train, model))
    reference = NearestNeighbors(n_neighbors=3).fit(train.flatten(1).numpy())
    expected = reference.kneighbors(test.flatten(1).numpy())[0].mean(axis=1)
    assert np.allclose(model(test).pred_score, expected, rtol=1e-4)


def test_what_is_fitted_and_scored_is_so_in_32_bits_whatever_the_precision_of_the_trainer() -> None:
    images = ImageBatch(image=torch.rand(40, 1, 32, 32).expand(-1, 3, -1, -1))
    scores = []
    for mixed in (False, True):
        model = NearestNeighbours(evaluator=False, visualizer=False)
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            model.training_step(images)
            model.fit()
            scores.append(model.validation_step(images).pred_score)
    assert torch.equal(*scores)


def test_more_neighbours_than_images_are_refused_in_a_sentence() -> None:
    model = NearestNeighboursModel(5)
    with pytest.raises(InputError, match="found 5, expected at most the 4 images"):
        model.fit(model.condense(torch.rand(4, 3, 8, 8)))


def test_mean_intensity_fits_means_and_covariances_whatever_the_batches() -> None:
    images, model = torch.rand(10, 3, 6, 6) * torch.rand(10, 3, 1, 1), MeanIntensityModel()
    model.fit(in_batches(images, model))
    means = images.mean(dim=(2, 3)).numpy()
    pixels = images.permute(1, 0, 2, 3).flatten(1).numpy()
    ridge = RIDGE * np.eye(3)
    assert np.allclose(model.image_mean, means.mean(axis=0), atol=1e-6)
    assert np.allclose(model.image_precision, np.linalg.inv(np.cov(means.T) + ridge), rtol=1e-3)
    assert np.allclose(model.pixel_precision, np.linalg.inv(np.cov(pixels, bias=True) + ridge), rtol=1e-3)


def positioned(**tables: pd.DataFrame) -> SlicePosition:
    model = SlicePosition(evaluator=False, visualizer=False)
    groups = {name: SimpleNamespace(samples=table) for name, table in tables.items()}
    model._trainer = SimpleNamespace(datamodule=SimpleNamespace(**groups))
    return model


def batch_of(*paths: str) -> ImageBatch:
    return ImageBatch(image=torch.rand(len(paths), 3, 8, 8), image_path=list(paths))


def test_slice_position_scores_the_distance_to_the_training_slices_and_no_pixel() -> None:
    train = pd.DataFrame({"image_path": ["a", "b"], "slice_index": [40, 60]})
    test = pd.DataFrame({"image_path": ["c", "d", "e"], "slice_index": [50, 70, 20]})
    model = positioned(train_data=train, test_data=test)
    model.training_step(batch_of("a", "b"))
    model.fit()
    assert model.test_step(batch_of("c", "d", "e"), 0).pred_score.tolist() == [0.0, 20.0, 30.0]


def test_slice_position_names_a_datamodule_that_knows_no_slices() -> None:
    model = positioned(train_data=pd.DataFrame({"image_path": ["a"]}))
    with pytest.raises(InputError, match="found no slice index of a, expected a datamodule of anomalib_patchgan"):
        model.training_step(batch_of("a"))
