"""A gap of a frame or two closes where the frames around it agree; nothing is taken away."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from tests.temporal.moving_disc import GAP, HEIGHT, NOW, WIDTH, chain, moments, solid
from vfxmatte.temporal.gaps import filled
from vfxmatte.temporal.moment import Moment, foreground_motion
from vfxmatte.types import FloatImage


def closed(around: Mapping[int, Moment], unknown: np.ndarray | None = None) -> FloatImage:
    """Frame `NOW` with its gaps closed by all the others."""
    neighbours = [one for one in (chain(around, -1), chain(around, 1)) if one is not None]
    now = around[NOW]
    motions = [foreground_motion(now.alpha, one.flows) for one in neighbours]
    where = np.ones((HEIGHT, WIDTH), bool) if unknown is None else unknown
    return filled(now, neighbours, motions, where)


@pytest.mark.parametrize("gaps", [{0: 1}, {0: 1, 1: 1}, {-1: 1, 0: 1}])
def test_gaps_of_one_and_two_frames_are_closed(gaps: dict[int, float]) -> None:
    around = moments(gaps)
    assert around[NOW].alpha[GAP] < 0.35
    result = closed(around)
    assert result[GAP] > 0.8
    assert (result >= around[NOW].alpha).all() and result.max() <= 1
    assert np.abs(result - solid(NOW)).max() < 0.2


@pytest.mark.parametrize("gaps", [{0: 1, 1: 1, 2: 1}, {-1: 1, 0: 1, 1: 1}])
def test_what_the_frames_around_do_not_agree_on_stays(gaps: dict[int, float]) -> None:
    around = moments(gaps)
    result = closed(around)
    assert result[GAP] == pytest.approx(around[NOW].alpha[GAP], abs=0.01)
    assert np.abs(result - around[NOW].alpha).max() < 0.1


def test_gaps_are_closed_in_the_unknown_region_alone() -> None:
    around = moments({0: 1})
    unknown = np.zeros((HEIGHT, WIDTH), bool)
    unknown[:, : GAP[1]] = True
    result = closed(around, unknown)
    assert np.array_equal(result[~unknown], around[NOW].alpha[~unknown])
    assert result[GAP[0], GAP[1] - 2] > 0.8


def test_nothing_is_taken_away_that_the_frames_around_do_not_have() -> None:
    around = moments({-2: 1, -1: 1, 1: 1, 2: 1})
    assert np.array_equal(closed(around), around[NOW].alpha)


def test_neighbours_that_show_something_else_say_nothing() -> None:
    around = moments({0: 1})
    for frame in (1, 2):
        other = Moment(alpha=around[frame].alpha, picture=np.full_like(around[frame].picture, 255))
        around[frame] = other
    assert np.array_equal(closed(around), around[NOW].alpha)


def test_two_neighbours_are_too_few() -> None:
    around = {frame: moment for frame, moment in moments({0: 1}).items() if abs(frame) < 2}
    assert np.array_equal(closed(around), around[NOW].alpha)
