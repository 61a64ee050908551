"""Averages along the motion: less noise inside the unknown region, nothing outside, no mixing of
what does not belong together."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import tiny_alpha, tiny_plate
from vfxmatte.colour import encode_for_network
from vfxmatte.temporal.moment import (
    LONGEST_PX,
    Moment,
    Neighbour,
    flows_between,
    picture_of,
)
from vfxmatte.temporal.steadying import steadied
from vfxmatte.trimaps import from_matte
from vfxmatte.types import UNKNOWN, FloatImage, Mask

NOW = 2


def picture(index: int) -> np.ndarray:
    return picture_of(encode_for_network(tiny_plate(index)))


def unknown(index: int) -> Mask:
    return from_matte(tiny_alpha(index), erode_px=3, dilate_px=3) == UNKNOWN


def noisy(index: int, seed: int) -> FloatImage:
    """The disc's alpha with noise where it is unknown."""
    noise = np.random.default_rng(seed).normal(0, 0.08, tiny_alpha(index).shape)
    alpha = tiny_alpha(index) + np.where(unknown(index), noise, 0)
    return np.clip(alpha, 0, 1).astype(np.float32)


def moment(index: int, seed: int) -> Moment:
    return Moment(alpha=noisy(index, seed), picture=picture(index))


def neighbours(now: Moment, *others: Moment) -> list[Neighbour]:
    return [Neighbour(moment=one, flows=flows_between(now.picture, one.picture)) for one in others]


def error(alpha: FloatImage) -> float:
    return float(np.abs(alpha - tiny_alpha(NOW))[unknown(NOW)].mean())


def test_noise_becomes_less_on_both_sides_of_a_moving_edge() -> None:
    now, before, after = moment(NOW, 1), moment(NOW - 1, 2), moment(NOW + 1, 3)
    two = steadied(now, neighbours(now, before, after), unknown(NOW), strength=1)
    one = steadied(now, neighbours(now, after), unknown(NOW), strength=1)
    assert error(two) < 0.8 * error(now.alpha)
    assert error(two) < error(one) < 0.9 * error(now.alpha)


def test_nothing_changes_outside_of_the_unknown_region_or_without_neighbours() -> None:
    now, after = moment(NOW, 1), moment(NOW + 1, 3)
    result = steadied(now, neighbours(now, after), unknown(NOW), strength=1)
    known = ~unknown(NOW)
    assert np.array_equal(result[known], now.alpha[known])
    assert not np.array_equal(result, now.alpha)
    assert np.array_equal(steadied(now, [], unknown(NOW), strength=1), now.alpha)
    none = np.zeros_like(known)
    assert np.array_equal(steadied(now, neighbours(now, after), none, strength=1), now.alpha)


def test_strength_is_the_share_of_the_way() -> None:
    now, after = moment(NOW, 1), moment(NOW + 1, 3)
    whole = steadied(now, neighbours(now, after), unknown(NOW), strength=1)
    half = steadied(now, neighbours(now, after), unknown(NOW), strength=0.5)
    assert np.allclose(half, (whole + now.alpha) / 2, atol=1e-6)


@pytest.mark.parametrize("other", ["a cut", "a flash"])
def test_pictures_that_differ_do_not_count(other: str) -> None:
    now = moment(NOW, 1)
    shown = 255 - now.picture if other == "a cut" else np.full_like(now.picture, 255)
    unlike = Moment(alpha=1 - now.alpha, picture=shown)
    result = steadied(now, neighbours(now, unlike), unknown(NOW), strength=1)
    assert np.abs(result - now.alpha).max() < 0.05


def test_large_pictures_are_reduced_and_their_mattes_are_not() -> None:
    """The motion is estimated on small pictures, and followed at full size."""
    height, width = 60, LONGEST_PX * 2
    columns = np.arange(width, dtype=np.float32)
    alphas = [np.tile(np.clip((columns - 1500 - 8 * i) / 6, 0, 1), (height, 1)) for i in (0, 1)]
    texture = np.random.default_rng(2).random((height // 4, width // 4, 3)).astype(np.float32)
    ground = np.kron(texture, np.ones((4, 4, 1), np.float32)) * 0.2
    pictures = [
        np.clip(a[..., None] * (0.6 + np.roll(ground, 8 * i, axis=1)), 0, 1).astype(np.float32)
        for i, a in enumerate(alphas)
    ]
    first, second = (
        Moment(alpha=a.astype(np.float32), picture=picture_of(p))
        for a, p in zip(alphas, pictures, strict=True)
    )
    assert first.picture.shape == (30, LONGEST_PX, 3)
    soft = (first.alpha > 0) & (first.alpha < 1)
    result = steadied(first, neighbours(first, second), soft, strength=1)
    assert result.shape == (height, width)
    assert np.abs(result - first.alpha)[soft].mean() < 0.08
