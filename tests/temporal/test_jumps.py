"""A matte that jumps while the picture moves on is found, flicker and occlusion are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from tests.temporal.moving_disc import NOW, chain, moments, solid
from vfxmatte.temporal.jumps import jumped_px
from vfxmatte.temporal.moment import Moment


def jumped(around: Mapping[int, Moment]) -> float:
    neighbours = [one for one in (chain(around, -1), chain(around, 1)) if one is not None]
    return jumped_px(around[NOW], neighbours)


def test_a_matte_that_follows_the_motion_does_not_jump() -> None:
    assert jumped(moments({})) == 0


@pytest.mark.parametrize("lost", [-1, NOW, 1])
def test_a_subject_that_is_lost_or_found_is_a_jump_on_either_frame(lost: int) -> None:
    around = moments({})
    around[lost] = replace(around[lost], alpha=np.zeros_like(around[lost].alpha))
    area = float(solid(lost).sum())
    assert 0.3 * area < jumped(around) < 0.55 * area  # alpha's jumps count from .5 on


def test_flicker_and_small_gaps_are_no_jumps() -> None:
    around = moments({NOW: 0.3})
    around[1] = replace(around[1], alpha=around[1].alpha * np.float32(0.8))
    assert jumped(around) == 0


def test_what_shows_another_picture_says_nothing() -> None:
    around = moments({})
    for frame in (-1, 1):
        picture = np.full_like(around[frame].picture, 255)
        around[frame] = Moment(alpha=np.zeros_like(around[frame].alpha), picture=picture)
    assert jumped(around) == 0


def test_a_frame_without_neighbours_does_not_jump() -> None:
    assert jumped({NOW: moments({})[NOW]}) == 0
