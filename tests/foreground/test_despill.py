"""Despill: a screen's colour goes, luminance and skin stay."""

from __future__ import annotations

import numpy as np
import pytest

from vfxmatte.foreground.despill import despilled
from vfxmatte.types import FloatImage

LUMINANCE = np.array((0.2126, 0.7152, 0.0722))
GREEN, BLUE, WALL = (0.05, 0.6, 0.1), (0.03, 0.08, 0.7), (0.4, 0.36, 0.3)
SKIN = ((0.8, 0.5, 0.37), (0.25, 0.14, 0.09), (0.45, 0.27, 0.2))


def picture(colour: object, shape: tuple[int, int] = (24, 24)) -> FloatImage:
    return np.broadcast_to(np.array(colour, np.float32), (*shape, 3)).copy()


def corrected(
    colour: object, screen: object, *, alpha: float = 1.0, amount: float = 1.0
) -> FloatImage:
    """The colour of a pixel in front of a screen that fills the left half."""
    cover = np.zeros((24, 24), np.float32)
    cover[:, 12:] = alpha
    return despilled(picture(colour), picture(screen), cover, amount)[12, 20]


@pytest.mark.parametrize(("screen", "channel"), [(GREEN, 1), (BLUE, 2)])
def test_grey_with_a_screens_cast_becomes_grey(screen: object, channel: int) -> None:
    cast = 0.3 + 0.2 * np.array(screen)
    found = corrected(cast, screen)
    assert np.ptp(found) < 0.25 * np.ptp(cast)
    assert found[channel] < cast[channel]


@pytest.mark.parametrize("screen", [GREEN, BLUE, WALL, (0.6, 0.3, 0.1)])
@pytest.mark.parametrize("colour", [(0.3, 0.5, 0.2), (4.0, 6.0, 1.0), (-0.1, 0.2, 0.3)])
def test_luminance_stays(screen: object, colour: object) -> None:
    found = corrected(colour, screen, alpha=0.5)
    np.testing.assert_allclose(found @ LUMINANCE, np.array(colour) @ LUMINANCE, rtol=1e-4)


@pytest.mark.parametrize("screen", [GREEN, BLUE, (0.6, 0.35, 0.2)])
@pytest.mark.parametrize("skin", SKIN)
def test_skin_stays(screen: object, skin: object) -> None:
    np.testing.assert_allclose(corrected(skin, screen, alpha=0.5), skin, rtol=0.02)


def test_half_the_amount_is_half_the_change() -> None:
    cast = np.array((0.3, 0.45, 0.3), np.float32)
    half, whole = (corrected(cast, GREEN, amount=amount) for amount in (0.5, 1.0))
    np.testing.assert_allclose(half, (cast + whole) / 2, atol=1e-5)
    np.testing.assert_array_equal(corrected(cast, GREEN, amount=0.0), cast)


def test_before_no_screen_only_soft_edges_change() -> None:
    """A lawn with a wall behind: no uniform screen."""
    ground = picture(WALL)
    ground[::2] = GREEN
    cast, cover = picture((0.3, 0.5, 0.3)), np.zeros((24, 24), np.float32)
    cover[:, 12:18], cover[:, 18:] = 0.3, 1.0
    found = despilled(cast, ground, cover, 1.0)
    np.testing.assert_array_equal(found[:, 18:], cast[:, 18:])
    assert (found[:, 14, 1] < cast[:, 14, 1]).all()
