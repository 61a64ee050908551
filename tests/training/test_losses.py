"""Every loss against values worked out by hand, on the unknown region only."""

from __future__ import annotations

import math

import pytest
import torch

from training.losses import (
    LossWeights,
    alpha_loss,
    composition_loss,
    l1_loss,
    laplacian_loss,
    loss_terms,
    masked_mean,
    temporal_loss,
    total_loss,
)
from training.samples.compose import Batch


def plane(*rows):
    """(1, 1, H, W) from rows of numbers."""
    return torch.tensor(rows, dtype=torch.float32)[None, None]


def batch(alpha, trimap, foreground=1.0, background=0.0, moving_pairs=False):
    shape = (len(alpha), 3, *alpha.shape[-2:])
    colours = [torch.as_tensor(c).view(1, -1, 1, 1).expand(shape).float() for c in
               (foreground, background)]  # fmt: skip
    return Batch(
        image=torch.zeros(shape), trimap=trimap, alpha=alpha, foreground=colours[0],
        background=colours[1], moving_pairs=moving_pairs,
    )  # fmt: skip


TRUTH = plane([0.0, 0.5], [1.0, 0.25])
GUESS = plane([0.9, 0.75], [0.5, 0.25])
UNKNOWN = plane([0.0, 1.0], [1.0, 1.0])


def test_l1_is_the_mean_over_the_unknown_pixels():
    assert l1_loss(GUESS, TRUTH, UNKNOWN).item() == pytest.approx((0.25 + 0.5 + 0) / 3)


def test_the_alpha_loss_has_the_papers_epsilon():
    expected = sum(math.sqrt(d * d + 1e-12) for d in (0.25, 0.5, 0.0)) / 3
    assert alpha_loss(GUESS, TRUTH, UNKNOWN).item() == pytest.approx(expected, rel=1e-6)
    assert alpha_loss(TRUTH, TRUTH, UNKNOWN).item() == pytest.approx(1e-6, rel=1e-3)


def test_the_alpha_loss_has_a_gradient_where_it_is_right():
    guess = TRUTH.clone().requires_grad_()
    alpha_loss(guess, TRUTH, UNKNOWN).backward()
    assert torch.isfinite(guess.grad).all()


def test_composition_counts_an_error_by_what_it_shows():
    made = batch(TRUTH, UNKNOWN * 0.5, foreground=(0.8, 0.3, 0.5), background=(0.2, 0.5, 0.5))
    per_unit = (0.6 + 0.2 + 0.0) / 3  # the mean of |F - B| over the channels
    expected = (0.25 + 0.5 + 0.0) / 3 * per_unit
    assert composition_loss(GUESS, made).item() == pytest.approx(expected, abs=2e-6)


def test_composition_equals_the_difference_of_the_two_composites():
    generator = torch.Generator().manual_seed(3)
    f, b = (torch.rand((2, 3, 4, 4), generator=generator) for _ in "fb")
    truth, guess = (torch.rand((2, 1, 4, 4), generator=generator) for _ in "tg")
    half = torch.full_like(truth, 0.5)
    made = Batch(image=f, trimap=half, alpha=truth, foreground=f, background=b)
    composites = [a * f + (1 - a) * b for a in (guess, truth)]
    expected = (composites[0] - composites[1]).abs().mean()
    assert composition_loss(guess, made).item() == pytest.approx(expected.item(), abs=2e-6)


@pytest.mark.parametrize("loss", [l1_loss, alpha_loss, laplacian_loss])
def test_no_unknown_pixel_is_no_loss_and_no_nan(loss):
    side = torch.zeros((1, 1, 32, 32))
    guess = torch.ones_like(side).requires_grad_()
    value = loss(guess, side, torch.zeros_like(side))
    value.backward()
    assert value.item() == 0
    assert torch.equal(guess.grad, torch.zeros_like(side))


def test_one_unknown_pixel_is_that_pixels_error():
    unknown = plane([0.0, 0.0], [1.0, 0.0])
    assert l1_loss(GUESS, TRUTH, unknown).item() == pytest.approx(0.5)


def test_every_sample_counts_the_same_however_wide_its_band():
    values = torch.stack((torch.full((1, 2, 2), 0.4), torch.full((1, 2, 2), 0.2)))
    mask = torch.stack((UNKNOWN[0], plane([1.0, 0.0], [0.0, 0.0])[0]))
    assert masked_mean(values, mask).item() == pytest.approx(0.3)


def test_a_constant_error_everywhere_has_no_laplacian():
    truth = torch.zeros((1, 1, 32, 32))
    assert laplacian_loss(truth + 0.3, truth, torch.ones_like(truth)).item() == pytest.approx(
        0, abs=1e-7
    )


def test_a_checkerboard_error_is_in_the_finest_level_alone():
    row, column = torch.arange(32).view(-1, 1), torch.arange(32).view(1, -1)
    board = 0.2 * (1 - 2 * ((row + column) % 2).float())[None, None]
    value = laplacian_loss(board, torch.zeros_like(board), torch.ones_like(board))
    assert value.item() == pytest.approx(0.2 * 2**0 / 32, rel=1e-5)


def test_coarser_errors_weigh_more():
    row = torch.arange(32).view(-1, 1).expand(32, 32)
    stripes = [0.2 * (1 - 2 * (row // size % 2).float())[None, None] for size in (1, 8)]
    truth = torch.zeros_like(stripes[0])
    fine, coarse = (laplacian_loss(s, truth, torch.ones_like(truth)).item() for s in stripes)
    assert coarse > 4 * fine


def test_known_pixels_do_not_enter_the_laplacian():
    truth = torch.zeros((1, 1, 32, 32))
    unknown = torch.zeros_like(truth)
    unknown[..., :8, :8] = 1
    guess = truth.clone()
    guess[..., 16:, 16:] = 1
    assert laplacian_loss(guess, truth, unknown).item() == 0


def test_temporal_compares_changes_not_values():
    truth = torch.cat((plane([0.2, 0.5]), plane([0.4, 0.5])))
    offset = truth + 0.1
    unknown = torch.ones_like(truth)
    assert temporal_loss(offset, truth, unknown).item() == pytest.approx(0, abs=1e-7)
    flicker = truth + torch.tensor((0.1, -0.1)).view(2, 1, 1, 1)
    assert temporal_loss(flicker, truth, unknown).item() == pytest.approx(0.2, rel=1e-5)


def test_temporal_counts_where_either_frame_is_unknown():
    truth = torch.zeros((2, 1, 1, 2))
    guess = torch.tensor((0.0, 0.0, 0.6, 0.2)).view(2, 1, 1, 2)
    unknown = torch.tensor((1.0, 0.0, 0.0, 0.0)).view(2, 1, 1, 2)
    assert temporal_loss(guess, truth, unknown).item() == pytest.approx(0.6)


def test_a_weight_of_zero_leaves_a_loss_out():
    made = batch(TRUTH, UNKNOWN * 0.5)
    terms = loss_terms(GUESS, made, LossWeights.paper())
    assert set(terms) == {"alpha", "composition"}
    weighted = 0.5 * terms["alpha"] + 0.5 * terms["composition"]
    assert total_loss(terms, LossWeights.paper()).item() == pytest.approx(weighted.item())


def test_the_temporal_loss_needs_moving_pairs():
    truth = torch.zeros((2, 1, 1, 2))
    weights = LossWeights(composition=0, laplacian=0, temporal=1.0)
    still = batch(truth, truth + 0.5)
    moving = batch(truth, truth + 0.5, moving_pairs=True)
    assert set(loss_terms(truth, still, weights)) == {"l1"}
    assert set(loss_terms(truth, moving, weights)) == {"l1", "temporal"}
