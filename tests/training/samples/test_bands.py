"""Trimaps: soft pixels unknown, both sides eroded on their own, within the limits."""

from __future__ import annotations

import pytest
import torch

from training.samples.bands import dilation_radius, draw_trimap


def edge(side=128, soft=0):
    """Alpha 1 on the left and 0 on the right, with `soft` columns of 0.5 between."""
    alpha = torch.zeros((1, 1, side, side))
    alpha[..., : side // 2] = 1
    alpha[..., side // 2 : side // 2 + soft] = 0.5
    return alpha


def draw(alpha, band_px, seed=0, wobble=0.0, erode_foreground=True):
    rng = torch.Generator().manual_seed(seed)
    return draw_trimap(alpha, band_px, wobble=wobble, erode_foreground=erode_foreground, rng=rng)


def widths(trimap, soft=0):
    """Unknown columns on the foreground's and on the background's side, in each row."""
    half = trimap.shape[-1] // 2
    unknown = trimap == 0.5
    return unknown[..., :half].sum(-1), unknown[..., half + soft :].sum(-1)


def test_only_three_values():
    assert set(draw(edge(soft=6), (1, 20), wobble=0.5).unique().tolist()) == {0.0, 0.5, 1.0}


@pytest.mark.parametrize("erode_foreground", [True, False])
def test_soft_pixels_are_always_unknown(erode_foreground):
    generator = torch.Generator().manual_seed(1)
    alpha = torch.rand((4, 1, 64, 64), generator=generator)
    alpha = (alpha * 3 - 1).clamp(0, 1)
    for seed in range(5):
        trimap = draw(alpha, (0, 8), seed, 0.5, erode_foreground)
        soft = (alpha >= 0.01) & (alpha <= 0.99)
        assert (trimap[soft] == 0.5).all()
        assert (alpha[trimap == 1] > 0.99).all()
        assert (alpha[trimap == 0] <= 0.01).all()


def test_a_band_of_nothing_leaves_only_the_soft_pixels():
    alpha = edge(soft=5)
    assert torch.equal(draw(alpha, (0, 0)) == 0.5, alpha == 0.5)


def test_both_sides_are_eroded_by_radii_of_their_own():
    pairs = [widths(draw(edge(), (1, 40), seed)) for seed in range(12)]
    inner = [int(i.float().mean()) for i, _ in pairs]
    outer = [int(o.float().mean()) for _, o in pairs]
    assert min(inner) >= 1 and min(outer) >= 1
    assert len(set(inner)) > 3 and len(set(outer)) > 3
    assert sum(i != o for i, o in zip(inner, outer, strict=True)) > 6


def test_dilation_only_when_asked():
    inner, outer = widths(draw(edge(), (10, 10), erode_foreground=False))
    assert (inner == 0).all()
    assert (outer >= 9).all()


@pytest.mark.parametrize("px", [1, 2, 4, 6, 10, 14, 20, 28, 38, 50])
def test_a_band_is_as_wide_as_asked(px):
    inner, outer = widths(draw(edge(), (px, px)))
    for width in (inner, outer):
        assert ((width - px).abs() <= (0 if px <= 4 else 1)).all()


def test_bands_stay_within_their_limits_however_they_wobble():
    for seed in range(6):
        for width in widths(draw(edge(), (4, 20), seed, wobble=1.0)):
            assert width.min() >= 4 and width.max() <= 21


def test_wobble_makes_the_band_uneven():
    even = widths(draw(edge(), (2, 40), 5))[1]
    uneven = widths(draw(edge(), (2, 40), 5, wobble=1.0))[1]
    assert len(even.unique()) == 1
    assert len(uneven.unique()) > 1


def test_the_radius_grows_with_the_distance_and_ends_at_the_limit():
    mask = torch.zeros((1, 1, 96, 96))
    mask[..., :8] = 1
    radius = dilation_radius(mask, 14)[0, 0, 48]
    assert (radius[:8] == 0).all()
    assert (radius[8:].diff().nan_to_num(0) >= 0).all()
    assert torch.isinf(radius[8 + 16 :]).all()
    for column in range(8, 8 + 12):
        assert column - 7 <= radius[column] + 1  # reached no earlier than a pixel too soon


def test_a_dilated_point_is_nearly_round():
    mask = torch.zeros((1, 1, 96, 96))
    mask[..., 48, 48] = 1
    reached = dilation_radius(mask, 20)[0, 0] <= 20
    y, x = reached.nonzero().float().sub(48).unbind(1)
    assert torch.hypot(y, x).max() <= 20 * 1.3
    assert reached.sum() >= 0.75 * 3.14159 * 20**2
