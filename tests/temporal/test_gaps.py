"""A gap of a frame or two closes where the frames around it agree; nothing is taken away."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import pytest

from vfxmatte.temporal.gaps import filled
from vfxmatte.temporal.moment import (
    Moment,
    Neighbour,
    flows_between,
    foreground_motion,
    picture_of,
)
from vfxmatte.types import FloatImage

HEIGHT, WIDTH, STEP = 120, 160, 3
NOW = 0
GAP = (60, 80)  # on this frame, (row, column); it moves with the subject


def solid(frame: int) -> FloatImage:
    """A disc that moves to the right."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    distance = np.hypot(rows - 60, columns - 80 - STEP * frame)
    return np.clip((40 - distance) / 4, 0, 1).astype(np.float32)


def shown(frame: int) -> FloatImage:
    noise = np.random.default_rng(5).random((HEIGHT, 2 * WIDTH, 3), np.float32)
    texture = cv2.GaussianBlur(noise, (0, 0), 2) * 2 - 0.5
    ground, disc = (
        texture[:, :WIDTH] * (0.3, 0.6, 0.9),
        np.roll(texture[:, WIDTH:], STEP * frame, 1),
    )
    alpha = solid(frame)[..., None]
    return np.clip(alpha * disc + (1 - alpha) * ground, 0, 1).astype(np.float32)


def gap(frame: int) -> FloatImage:
    """How much of alpha is missing."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    distance = np.hypot(rows - GAP[0], columns - GAP[1] - STEP * frame)
    return (0.7 * np.exp(-np.square(distance / 8))).astype(np.float32)


def moments(gaps: Mapping[int, float]) -> dict[int, Moment]:
    """Frames -2 to 2, with gaps of these strengths."""
    return {
        frame: Moment(
            alpha=solid(frame) * (1 - gaps.get(frame, 0) * gap(frame)),
            picture=picture_of(shown(frame)),
        )
        for frame in range(-2, 3)
    }


def closed(around: Mapping[int, Moment], unknown: np.ndarray | None = None) -> FloatImage:
    """Frame `NOW` with its gaps closed by all the others."""
    neighbours = [one for one in (chain(around, -1), chain(around, 1)) if one is not None]
    now = around[NOW]
    motions = [foreground_motion(now.alpha, one.flows) for one in neighbours]
    where = np.ones((HEIGHT, WIDTH), bool) if unknown is None else unknown
    return filled(now, neighbours, motions, where)


def chain(around: Mapping[int, Moment], step: int, frame: int = NOW) -> Neighbour | None:
    if frame + step not in around:
        return None
    flows = flows_between(around[frame].picture, around[frame + step].picture)
    beyond = chain(around, step, frame + step)
    return Neighbour(moment=around[frame + step], flows=flows, beyond=beyond)


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
