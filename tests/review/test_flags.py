"""Frames are flagged for what is wrong with them, and only those."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.review.moving_matte import (
    COUNT,
    FIRST,
    half,
    moving_matte,
    review_of,
    with_hole,
    without_matte,
)
from vfxmatte.review.exact import exact_figures
from vfxmatte.review.figures import CHECKS
from vfxmatte.review.flags import FrameReview
from vfxmatte.review.measures import measured

Alpha = NDArray[np.float32]


def blurred(alpha: Alpha) -> Alpha:
    return cv2.GaussianBlur(alpha, (0, 0), 8.0)


def with_island(alpha: Alpha) -> Alpha:
    return cv2.circle(alpha.copy(), (20, 100), 7, 1.0, -1)


def grown(alpha: Alpha) -> Alpha:
    return cv2.dilate(alpha, np.ones((9, 9), np.uint8))


def shrunk(alpha: Alpha) -> Alpha:
    return cv2.erode(alpha, np.ones((9, 9), np.uint8))


def flagged(frames: dict[int, FrameReview]) -> list[int]:
    return [number for number, frame in frames.items() if frame.rank]


def test_a_good_shot_has_no_flags() -> None:
    frames = review_of(moving_matte())
    assert flagged(frames) == []
    assert all(
        frame.values[name] is not None
        for frame in frames.values()
        for name in CHECKS
        if not (name == "flicker" and frame.number == FIRST)
    )
    assert max(frame.values["flicker"] or 0 for frame in frames.values()) < 0.05


@pytest.mark.parametrize("spoil", [blurred, with_hole, with_island, grown, shrunk, half])
@pytest.mark.parametrize("numbers", [(1001,), (1002,), (1010,), (1010, 1011, 1012), (1019, 1020)])
def test_spoiled_frames_are_flagged_and_no_others(
    spoil: Callable[[Alpha], Alpha], numbers: tuple[int, ...]
) -> None:
    frames = review_of(moving_matte(dict.fromkeys(numbers, spoil)))
    assert set(flagged(frames)) == set(numbers)


def test_the_worst_comes_first() -> None:
    frames = review_of(moving_matte({1005: with_island, 1012: half}))
    assert frames[1012].rank == 1 and frames[1005].rank == 2


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (with_hole, "holes"),
        (with_hole, "contradicted"),
        (with_island, "islands"),
        (with_island, "jump"),
        (grown, "leak"),
        (shrunk, "clip"),
        (blurred, "departs"),
    ],
)
def test_a_flag_says_what_is_wrong(spoil: Callable[[Alpha], Alpha], check: str) -> None:
    frame = review_of(moving_matte({1010: spoil}))[1010]
    assert check in [flag.check for flag in frame.flags]
    good = review_of(moving_matte())[1010]
    assert (frame.values[check] or 0) > 3 * (good.values[check] or 0)


def test_a_frame_without_a_matte_is_flagged_and_its_neighbours_are_not() -> None:
    frames = moving_matte()
    frames[9] = without_matte(frames[9])
    found = review_of(frames)
    assert flagged(found) == [1010] and found[1010].is_missing
    assert found[1010].flags[0].text == "no matte: none was written"
    assert found[1010].values["flicker"] is None and found[1011].values["flicker"] is None


def test_flicker_takes_the_motion_out() -> None:
    """The disc moves by 2 px a frame: standing still is what flickers."""
    still = moving_matte()[9].alpha
    assert still is not None
    found = [m.measures for m in measured(moving_matte({1011: lambda alpha: still}))]
    assert (found[10].flicker or 0) > 3 * (found[5].flicker or 0) > 0


def test_the_difference_is_a_picture_of_what_has_changed() -> None:
    found = list(measured(moving_matte({1010: with_hole})))
    assert found[0].difference is None
    difference = found[9].difference
    assert difference is not None and difference.dtype == np.uint8
    assert difference[60, 50 + 18] > 200 and difference[5, 5] == 0


def test_without_trimaps_a_shot_is_reviewed_too() -> None:
    frames = [replace(f, labels=None) for f in moving_matte({1010: grown})]
    assert flagged(review_of(frames)) == [1010]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_very_short_shots(count: int) -> None:
    assert len(review_of(moving_matte()[:count])) == count


def test_border_is_the_matte_at_the_edge_without_foreground() -> None:
    alpha, labels = np.zeros((40, 60), np.float32), np.zeros((40, 60), np.uint8)
    alpha[:10] = labels[:10] = 1
    labels[:10, :30] = 255
    labels[:10, 30:] = 128
    border = exact_figures(alpha, labels).border
    assert border == pytest.approx((60 - 30 - 3 + 9) / (2 * 60 + 2 * 38), abs=0.01)


def test_all_frames_are_measured_in_order() -> None:
    assert [m.frame.number for m in measured(iter(moving_matte()))] == list(
        range(FIRST, FIRST + COUNT)
    )
