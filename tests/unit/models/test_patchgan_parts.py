# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The parts of Patch-GAN, each by itself."""

import pytest
import timm
import torch
from torch.nn import functional

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.models.components.corruption import (
    CORRUPTIONS,
    apply_corruptions,
    corrupt,
    draw_regions,
    pick,
    shift_intensity,
    smooth_noise,
)
from anomalib_patchgan.models.components.perception import PERCEIVED, Perception
from anomalib_patchgan.models.components.variation import move, relight
from anomalib_patchgan.models.patchgan.components.discriminator import PatchDiscriminator
from anomalib_patchgan.models.patchgan.components.masks import complementary_masks, random_masks, to_pixels
from anomalib_patchgan.models.patchgan.components.novelty import NoveltyDistribution, covariance, whitening
from anomalib_patchgan.models.patchgan.components.ranker import RANKINGS, PatchRanker
from anomalib_patchgan.models.patchgan.components.reconstructor import MaskedReconstructor
from anomalib_patchgan.models.patchgan.loss import discriminator_loss, pairwise_ranking_loss
from anomalib_patchgan.models.patchgan.torch_model import PatchGanModel


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def small_model(size: int = 32, **changes: object) -> PatchGanModel:
    arguments = {
        "image_size": (size, size),
        "channels": 1,
        "patch_size": 8,
        "mask_count": 2,
        "width": 8,
        "ranker_width": 8,
        "discriminator_width": 16,
        "judgement": "patch",
        "novelty": True,
        "perceptual": False,
        "context": True,
        "mirrored": True,
        "ranking": "learned",
    }
    return PatchGanModel(**(arguments | changes)).eval()


@pytest.mark.parametrize(("rows", "columns", "count"), [(2, 2, 4), (4, 5, 2), (7, 3, 3), (1, 9, 5)])
def test_complementary_masks_hide_every_cell_exactly_once(rows: int, columns: int, count: int) -> None:
    assert torch.equal(complementary_masks(rows, columns, count).sum(dim=0), torch.ones(1, rows, columns))


@pytest.mark.parametrize(
    ("rows", "columns", "count"), [(4, 4, 8), (4, 4, 16), (1, 4, 4), (3, 3, 8), (2, 8, 16), (2, 3, 5), (16, 16, 2)]
)
def test_no_complementary_mask_hides_nothing_and_what_it_hides_lies_apart(rows: int, columns: int, count: int) -> None:
    masks = complementary_masks(rows, columns, count).squeeze(1)
    assert (masks.sum(dim=(1, 2)) > 0).all()
    assert (masks[:, 1:] * masks[:, :-1]).sum() == 0
    assert (masks[:, :, 1:] * masks[:, :, :-1]).sum() == 0


def test_random_masks_hide_the_declared_share_and_differ_between_images() -> None:
    masks = random_masks(16, 8, 8, 0.25, torch.device("cpu"))
    assert masks.flatten(1).sum(dim=1).tolist() == [16.0] * 16
    assert len({tuple(mask.flatten().tolist()) for mask in masks}) > 1


def test_reconstruction_of_a_hidden_cell_does_not_depend_on_its_content() -> None:
    network = MaskedReconstructor(1, 8)
    mask = to_pixels(random_masks(1, 4, 4, 0.25, torch.device("cpu")), 8)
    image = torch.rand(1, 1, 32, 32)
    other = torch.where(mask > 0, torch.rand_like(image), image)
    assert torch.equal(network(image, mask), network(other, mask))


def test_every_pixel_is_reconstructed_while_hidden() -> None:
    model = small_model()
    torch.nn.init.normal_(model.reconstructor.network.leave.weight)
    image = torch.rand(1, 1, 32, 32, requires_grad=True)
    # The pixel's own input must not reach its reconstruction.
    model.reconstruct(image)[0, 0, 13, 21].backward()
    assert image.grad is not None
    assert image.grad[0, 0, 13, 21] == 0
    assert image.grad.abs().sum() > 0


@pytest.mark.parametrize("patch_size", [8, 16])
def test_a_discriminator_logit_sees_its_own_patch_and_nothing_else(patch_size: int) -> None:
    network = PatchDiscriminator(3, 16, 8, patch_size)
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    network(image)[0][0, 0, 1, 0].backward()
    assert image.grad is not None
    seen = image.grad.abs().sum(dim=(0, 1)) > 0
    expected = torch.zeros(32, 32, dtype=torch.bool)
    expected[patch_size : 2 * patch_size, :patch_size] = True
    assert torch.equal(seen, expected)


def test_whitening_gives_unit_covariance() -> None:
    sample = torch.randn(4000, 3) @ torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 0.2]]) + 3
    white = (sample - sample.mean(dim=0)) @ whitening(covariance(sample - sample.mean(dim=0)))
    assert torch.allclose(torch.cov(white.T), torch.eye(3), atol=0.02)


def test_novelty_distribution_learns_a_mean_per_position_and_shrinks_it_with_few_images() -> None:
    position = torch.arange(4.0).view(1, 1, 2, 2)
    few, many = NoveltyDistribution(1, 2, 2), NoveltyDistribution(1, 2, 2)
    few.fit(position + 0.1 * torch.randn(2, 1, 2, 2))
    many.fit(position + 0.1 * torch.randn(2000, 1, 2, 2))
    assert torch.allclose(many.mean, position[0], atol=0.05)
    assert few.mean.std() < 0.2 * many.mean.std()


def test_moving_averages_come_to_whiten_what_they_follow() -> None:
    distribution = NoveltyDistribution(2, 4, 4)
    for _ in range(100):
        distribution.track(3 + 5 * torch.randn(16, 2, 4, 4))
    white = distribution.whiten_in_training(3 + 5 * torch.randn(500, 2, 4, 4))
    assert white.mean().abs() < 0.1
    assert white.std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("name", sorted(CORRUPTIONS))
def test_corruption_changes_the_image_only_within_reach_and_stays_finite(name: str) -> None:
    image = torch.rand(8, 3, 32, 32)
    regions = draw_regions(image, whole_share=0.0)
    result = CORRUPTIONS[name](image, regions)
    assert torch.isfinite(result).all()
    assert (result - image).abs().sum() > 0
    if name != "deformation":  # it pushes what lies beyond its region aside
        untouched = (regions.opacity == 0).expand_as(image)
        assert torch.equal(result[untouched], image[untouched])


def test_a_second_region_is_centred_within_the_first() -> None:
    image = torch.rand(64, 1, 64, 64)
    first = draw_regions(image, whole_share=0.0)
    second = draw_regions(image, whole_share=0.0, near=first)
    row, column = second.centre.long().T
    assert (first.opacity[torch.arange(64), 0, row, column] > 0).all()


def test_pixels_are_picked_as_often_as_they_weigh() -> None:
    weights = torch.zeros(40_000, 1, 2, 2)
    weights[:, 0, 0, 1], weights[:, 0, 1, 1] = 3.0, 1.0
    share = pick(weights).flatten().bincount(minlength=4) / 40_000
    assert torch.allclose(share, torch.tensor([0.0, 0.75, 0.0, 0.25]), atol=0.02)


def test_smooth_noise_is_the_bicubic_interpolation_of_its_cells_scaled_to_variance_one() -> None:
    torch.manual_seed(3)
    field = smooth_noise(4, 2, 20, 36, 5, torch.device("cpu"))
    torch.manual_seed(3)
    cells = torch.randn(4, 2, 5, 5)
    expected = functional.interpolate(cells, size=(20, 36), mode="bicubic", align_corners=False)
    expected = expected / expected.flatten(1).std(dim=1, correction=0).view(-1, 1, 1, 1)
    assert torch.allclose(field, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["intensity", "fill"])
def test_about_half_of_the_shifts_and_fills_have_no_texture_of_their_own(name: str) -> None:
    image = 0.5 + torch.zeros(200, 1, 32, 32)
    changed = CORRUPTIONS[name](image, draw_regions(image, whole_share=1.0))
    smooth = changed.flatten(1).std(dim=1) < 1e-6
    assert 0.35 < smooth.float().mean() < 0.65


def test_corrupting_no_image_gives_no_image() -> None:
    result, changed = corrupt(torch.zeros(0, 3, 32, 32), whole_share=0.3)
    assert result.shape == (0, 3, 32, 32)
    assert changed.shape == (0, 1, 32, 32)


def test_only_a_mirrored_ranker_compares_the_two_sides_of_an_image() -> None:
    image, other = torch.rand(2, 1, 1, 256, 256).unbind()
    # The networks see half of a 128-pixel image around a place; the two sides here are farther apart.
    changed = torch.cat([image[..., :216], other[..., 216:]], dim=3)
    evidence = torch.zeros(1, 4, 32, 32)
    for mirrored in (True, False):
        ranker = PatchRanker(4, 1, 8, 8, mirrored)
        torch.nn.init.zeros_(ranker.network.whole.weight)
        before, after = (ranker(evidence, seen, torch.zeros_like(seen))[1][..., :40] for seen in (image, changed))
        assert torch.equal(before, after) != mirrored


def test_corruption_leaves_the_background_alone_and_grey_images_grey() -> None:
    image = torch.zeros(64, 1, 32, 32)
    image[:, :, 8:24, 8:24] = 0.3 + 0.4 * torch.rand(64, 1, 16, 16)
    result, changed = corrupt(image.expand(-1, 3, -1, -1), whole_share=0.3)
    assert torch.equal(result[:, 0], result[:, 1])
    assert 0 < changed.mean() < 1
    assert result.min() >= 0
    assert result.max() <= 1


def test_half_of_the_shifts_of_what_has_colour_change_its_tint_and_grey_has_none() -> None:
    grey = torch.full((400, 3, 8, 8), 0.5)
    coloured = grey * torch.tensor([1.2, 1.0, 0.8]).view(1, 3, 1, 1)
    opposite = []
    for image in (coloured, grey):
        moved = shift_intensity(image, draw_regions(image, whole_share=1.0)) - image
        moved = moved.mean(dim=(2, 3))
        opposite.append(float(((moved > 0).any(dim=1) & (moved < 0).any(dim=1)).float().mean()))
    # Three channels that move at random go the same way one time in four.
    assert 0.3 < opposite[0] < 0.45
    assert opposite[1] == 0


def test_more_whole_images_are_corrupted_where_more_are_asked_for() -> None:
    image = 0.2 + 0.6 * torch.rand(200, 3, 32, 32)
    few, many = (draw_regions(image, share).opacity.flatten(1).amin(dim=1) > 0 for share in (0.0, 0.9))
    assert few.float().mean() < 0.1
    assert many.float().mean() > 0.8


def test_a_whole_image_is_never_pasted_over_since_a_normal_one_would_stand_there(monkeypatch) -> None:
    image = 0.2 + 0.6 * torch.rand(40, 1, 32, 32)
    pasted = []
    monkeypatch.setitem(CORRUPTIONS, "paste", lambda chosen, _: pasted.append(len(chosen)) or chosen)
    apply_corruptions(image, draw_regions(image, whole_share=1.0))
    assert not pasted
    apply_corruptions(image, draw_regions(image, whole_share=0.0))
    assert pasted


def test_variation_keeps_the_background_and_the_range_and_stops_at_strength_zero() -> None:
    image = torch.zeros(32, 1, 64, 64)
    image[:, :, 16:48, 16:48] = torch.rand(32, 1, 32, 32)
    for vary in (move, relight):
        assert torch.equal(vary(image, 0.0), image)
        varied = vary(image, 1.0)
        assert not torch.equal(varied, image)
        assert (varied[:, :, :2] == 0).all()
        assert varied.min() >= 0
        assert varied.max() <= 1
    assert (relight(image, 1.0)[image == 0] == 0).all()


@pytest.mark.parametrize("judgement", ["image", "both"])
def test_an_image_level_logit_sees_the_whole_image(judgement: str) -> None:
    network = PatchDiscriminator(1, 16, 8, 8, judgement)
    image = torch.rand(1, 1, 32, 32, requires_grad=True)
    network(image)[0][0, 0, 1, 0].backward()
    assert image.grad is not None
    assert (image.grad.abs().sum(dim=(0, 1)) > 0).all()


def test_without_masks_nothing_is_hidden_and_all_is_asked_for() -> None:
    model = small_model(mask_count=0)
    hidden, asked = model.draw_hidden(torch.rand(2, 1, 32, 32))
    assert hidden.sum() == 0
    assert asked.mean() == 1
    assert model.reconstruct(torch.rand(3, 1, 32, 32)).shape == (3, 1, 32, 32)


def test_without_context_a_patch_is_ranked_by_its_own_evidence_alone() -> None:
    ranker = small_model(context=False).ranker
    evidence = torch.rand(2, 37, 4, 4)
    evidence[1, :, 0, 0] = evidence[0, :, 0, 0]
    patches, pixels = ranker(evidence, torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 32))
    assert torch.equal(patches[0, 0, 0, 0], patches[1, 0, 0, 0])
    assert pixels.shape == (2, 1, 32, 32)


@pytest.mark.parametrize("patch_size", [8, 16])
def test_what_is_perceived_of_a_patch_is_grey_or_not_and_stays_as_it_was_trained_elsewhere(patch_size: int) -> None:
    perception = Perception(patch_size).train()
    grey = torch.rand(2, 1, 64, 96)
    perceived = perception(grey)
    assert perceived.shape == (2, PERCEIVED, 64 // patch_size, 96 // patch_size)
    assert torch.equal(perceived, perception(grey.expand(-1, 3, -1, -1)))
    assert torch.allclose(perceived[:1], perception(grey[:1]), atol=1e-4), "an image depends on its neighbours"
    assert not perceived.requires_grad


def test_no_stage_is_kept_that_is_not_read_and_those_give_what_the_whole_network_gives() -> None:
    image = torch.rand(2, 3, 32, 32)
    perception = Perception(8)
    whole = timm.create_model("efficientnet_lite0_wheel", pretrained=True, features_only=True).eval()
    finer, coarser = whole((255 * image - 127) / 128)[1:3]
    expected = torch.cat([functional.avg_pool2d(finer, 2), coarser], dim=1)
    assert torch.allclose(perception(image), expected, atol=1e-5)
    assert sum(p.numel() for p in perception.parameters()) < sum(p.numel() for p in whole.parameters()) / 20


def test_what_is_perceived_joins_the_evidence_and_its_novelty_is_fitted() -> None:
    model, plain = small_model(perceptual=True), small_model()
    model.fit_novelty([torch.rand(8, 1, 32, 32).expand(-1, 3, -1, -1)])
    image = torch.rand(2, 1, 32, 32)
    assert model.evidence_of(model.observe(image)).shape == (2, 7, 4, 4)
    assert plain.evidence_of(plain.observe(image)).shape == (2, 6, 4, 4)
    assert model.perceived_novelty.mean.abs().amax() > 0
    before = model(image).pred_score
    model.perceived_novelty.mean.add_(100.0)
    assert (model(image).pred_score > before).all()


def test_without_novelty_evidence_is_only_brought_to_scale() -> None:
    evidence = torch.rand(2, 6, 4, 4)
    plain, fitted = small_model(novelty=False), small_model()
    for model in (plain, fitted):
        model.evidence_novelty.fit(3 * torch.rand(50, 6, 4, 4))
    to_scale = plain.evidence_novelty.standardise(evidence)
    for fitted_or_not in (True, False):
        assert torch.equal(plain.compare(plain.evidence_novelty, evidence, fitted_or_not), to_scale)
    assert not torch.allclose(fitted.compare(fitted.evidence_novelty, evidence), to_scale)


def test_discriminator_loss_is_zero_beyond_the_margins_and_positive_within() -> None:
    high, low, all_patches = torch.full((2, 1, 2, 2), 2.0), torch.full((2, 1, 2, 2), -2.0), torch.ones(2, 1, 2, 2)
    assert discriminator_loss(high, low, all_patches, low, all_patches) == 0
    assert discriminator_loss(low, high, all_patches, high, all_patches) == pytest.approx(6.0)


def test_ranking_loss_falls_when_changed_patches_rank_first_and_is_zero_without_pairs() -> None:
    changed = torch.tensor([True, False, False])
    right, wrong = torch.tensor([3.0, 0.0, 0.0]), torch.tensor([-3.0, 0.0, 0.0])
    assert pairwise_ranking_loss(right, changed, ~changed) < pairwise_ranking_loss(wrong, changed, ~changed)
    assert pairwise_ranking_loss(right, torch.zeros(3, dtype=torch.bool), ~changed) == 0


def test_rankings_score_images_as_their_rule_says() -> None:
    scores, importance = torch.tensor([[1.0, 4.0, 2.0, 3.0]]), torch.tensor([[-60.0, 60.0, -60.0, 20.0]])
    shown = torch.tensor([[0.5, 2.0, 0.5, 1.0]])
    found = {name: float(rule(scores, importance, shown)) for name, rule in RANKINGS.items()}
    assert found["mean"] == pytest.approx(2.5)
    assert found["max"] == pytest.approx(4.0)
    assert found["top"] == pytest.approx(4.0)
    assert found["author2020"] == pytest.approx(1.1 * 4.0 + 3.0)
    assert found["learned"] == pytest.approx((60.0 * 2.0 + 20.0 * 1.0) / 4)
    assert found["whole"] == pytest.approx(-10.0)
    assert set(found) == {"mean", "max", "top", "author2020", "learned", "whole"}


def test_the_same_patch_ranks_differently_in_other_surroundings() -> None:
    ranker = small_model(size=64).ranker
    torch.nn.init.normal_(ranker.network.encode.second.weight)
    torch.nn.init.normal_(ranker.network.middle[2].second.weight)
    evidence, image = torch.zeros(2, 37, 8, 8), torch.rand(1, 1, 64, 64).repeat(2, 1, 1, 1)
    image[1, :, :, 48:] = 0.0
    importance, _ = ranker(evidence, image, torch.zeros_like(image))
    assert not torch.allclose(importance[0, 0, 3, 0], importance[1, 0, 3, 0])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"patch_size": 12}, "patch_size"),
        ({"patch_size": 4}, "patch_size"),
        ({"image_size": (36, 32)}, "image_size"),
        ({"channels": 2}, "channels"),
        ({"mask_count": 1}, "mask_count"),
        ({"mask_count": 17}, "mask_count"),  # of 16 patches
        ({"patch_size": 32}, "mask_count"),  # of one patch, which would be hidden whole
        ({"width": 0}, "width"),
        ({"ranker_width": 0}, "ranker_width"),
        ({"discriminator_width": -1}, "discriminator_width"),
        ({"ranking": "best"}, "ranking"),
        ({"judgement": "voxel"}, "judgement"),
    ],
)
def test_an_argument_out_of_range_is_named_in_one_sentence(change: dict[str, object], word: str) -> None:
    with pytest.raises(InputError, match=word):
        small_model(**change)


@pytest.mark.parametrize("size", [32, 40, 104, 512])
def test_scores_and_maps_have_the_input_size_at_any_multiple_of_the_patch(size: int) -> None:
    model = small_model(size)
    image = torch.rand(2, 3, size, size)
    with torch.no_grad():
        model.fit_novelty([image, torch.rand(2, 3, size, size)])
        output = model(image)
    assert output.pred_score.shape == (2,)
    assert output.anomaly_map.shape == (2, 1, size, size)
    assert torch.isfinite(output.anomaly_map).all()


def test_the_map_is_the_bilinear_interpolation_of_the_scores_weighted_by_the_importance_of_each_pixel() -> None:
    model = small_model(image_size=(24, 40))
    scores, pixels = 5 * torch.rand(3, 1, 3, 5), torch.randn(3, 1, 24, 40)
    expected = torch.sigmoid(pixels) * functional.interpolate(scores, size=(24, 40), mode="bilinear")
    torch.testing.assert_close(model.to_map(scores, pixels), expected)


def test_an_image_is_scored_alike_alone_and_in_a_batch() -> None:
    model = small_model()
    images = torch.rand(5, 3, 32, 32)
    with torch.no_grad():
        model.fit_novelty([images])
        together, alone = model(images).pred_score, torch.cat([model(image[None]).pred_score for image in images])
    assert torch.allclose(together, alone, rtol=1e-4, atol=1e-6)
