"""A cut inside a plate ends a segment; flashes, pans, fades and frames on twos do not."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from tests.conftest import write_rgb
from vfxmatte.cli import commands
from vfxmatte.propagation.clean_plate import CleanPlateSettings
from vfxmatte.propagation.confidence import missed_share
from vfxmatte.propagation.cuts import find_breaks
from vfxmatte.propagation.shot_trimaps import PropagationSettings, carry
from vfxmatte.trimaps import from_matte
from vfxmatte.types import BACKGROUND, UNKNOWN, Trimap

SHAPE = (90, 160)


def scene(seed, shift=0.0, brighter=1.0):
    noise = np.random.default_rng(seed).random((SHAPE[0], 3 * SHAPE[1], 3)).astype(np.float32)
    wide = cv2.GaussianBlur(noise, (0, 0), 8)
    wide = (wide - wide.min()) / (wide.max() - wide.min()) * 200 * brighter
    start = SHAPE[1] + round(shift)
    return np.clip(wide[:, start : start + SHAPE[1]], 0, 255).astype(np.uint8)


def cuts_of(pictures):
    return find_breaks(iter(enumerate(pictures, 1001))).cuts


def test_a_cut_is_found_where_it_is():
    assert cuts_of([scene(1, i) for i in range(6)] + [scene(2, i) for i in range(6)]) == [1007]
    three = [scene(1)] * 4 + [scene(2)] * 4 + [scene(3)] * 4
    assert cuts_of(three) == [1005, 1009]
    unreadable = [scene(1)] * 4 + [None] + [scene(2)] * 4
    assert cuts_of(unreadable) == [1006]


@pytest.mark.parametrize("before", [1, 2, 7, 8])
def test_a_cut_beside_the_first_or_the_last_frame_is_found(before):
    pictures = [scene(1, i) if i < before else scene(2, i) for i in range(9)]
    assert cuts_of(pictures) == [1001 + before]


def on_canvas(picture, border):
    """What a smaller data window shows of a picture: black beyond it."""
    result = np.zeros_like(picture)
    inside = slice(border, SHAPE[0] - border), slice(border, SHAPE[1] - border)
    result[inside] = picture[inside]
    return result


@pytest.mark.parametrize("borders", [[0] * 6 + [9] * 6, [0, 18, 9] * 4, [0] * 5 + [9] + [0] * 6])
def test_another_data_window_is_neither_a_cut_nor_a_flash(borders):
    pictures = [on_canvas(scene(1, i), border) for i, border in enumerate(borders)]
    found = find_breaks(iter(enumerate(pictures)))
    assert (found.cuts, found.flashes) == ([], [])
    cut = [on_canvas(scene(1 if i < 6 else 2), border) for i, border in enumerate(borders)]
    assert cuts_of(cut) == [1007]


@pytest.mark.parametrize(
    "pictures",
    [
        [scene(1, 6 * i) for i in range(12)],
        [scene(1, 4 * (i // 2)) for i in range(12)],
        [scene(1, brighter=1 - 0.08 * i) for i in range(12)],
        [
            scene(1, i) if i not in (5, 6) else np.full((*SHAPE, 3), 250, np.uint8)
            for i in range(12)
        ],
        [scene(1)] * 2,
        [scene(1)],
        [],
    ],
    ids=["pan", "twos", "fade", "flash", "two frames", "one frame", "nothing"],
)
def test_what_is_no_cut(pictures):
    assert cuts_of(pictures) == []


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_flash_is_found(length):
    white = np.full((*SHAPE, 3), 250, np.uint8)
    lit = range(5, 5 + length)
    pictures = [white if i in lit else scene(1, i) for i in range(12)]
    found = find_breaks(iter(enumerate(pictures)))
    assert found.flashes == list(lit) and found.cuts == []
    shown = dict(find_breaks([]).passing(iter(enumerate(pictures))))
    assert {number for number, picture in shown.items() if picture is None} == set(lit)


def test_a_pan_and_twos_are_no_flashes():
    for pictures in (
        [scene(1, 6 * i) for i in range(12)],
        [scene(1, 4 * (i // 2)) for i in range(12)],
    ):
        assert find_breaks(iter(enumerate(pictures))).flashes == []


NUMBERS = range(1001, 1013)


def alpha_at(across):
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    distance = np.hypot(rows - 45, columns - across)
    return np.clip((22 - distance) / 3 + 0.5, 0, 1).astype(np.float32)


def painted(alpha):
    return from_matte(alpha, erode_px=3, dilate_px=3)


def carried(alpha_of, picture_of, keys, wanted=None, **settings):
    keyframes = {n: Trimap(number=n, labels=painted(alpha_of(n)), is_keyframe=True) for n in keys}

    def read(numbers):
        return ((number, picture_of(number)) for number in numbers)

    result = carry(keyframes, NUMBERS, read, PropagationSettings(**settings), requested=wanted)
    return {trimap.number: trimap for trimap in result}


def over(alpha, ground, colour=(200, 120, 60)):
    texture = 0.3 * scene(9).astype(np.float32)
    mixed = alpha[..., None] * (np.float32(colour) + texture - 30)
    return np.clip(mixed + (1 - alpha[..., None]) * ground, 0, 255).astype(np.uint8)


def before_cut(number):
    return number < 1007


def two_shots(number):
    """A disc on the left; behind the cut, on the right."""
    return alpha_at(40 + number - 1001 if before_cut(number) else 120 - (number - 1007))


def two_pictures(number):
    return over(two_shots(number), scene(1 if before_cut(number) else 2))


def test_nothing_is_carried_across_a_cut():
    trimaps = carried(two_shots, two_pictures, (1001, 1012))
    for number, trimap in trimaps.items():
        assert missed_share(trimap.labels, two_shots(number)) < 0.02, number
        assert (trimap.labels == UNKNOWN).mean() < 2 * (painted(two_shots(1001)) == 128).mean()
    assert {n for n, t in trimaps.items() if t.cut == 1007} == set(range(1002, 1012))
    assert (trimaps[1006].labels[:, 100:] == BACKGROUND).all()


def test_frames_are_the_same_in_a_chunk():
    whole = carried(two_shots, two_pictures, (1001, 1012))
    for number in (1005, 1008):
        chunk = carried(two_shots, two_pictures, (1001, 1012), wanted={number})
        assert (chunk[number].labels == whole[number].labels).all()
        assert chunk[number].confidence == whole[number].confidence


@pytest.mark.parametrize("key", [1001, 1012])
def test_behind_a_cut_without_a_keyframe_nothing_is_trusted(key):
    trimaps = carried(two_shots, two_pictures, (key,))
    behind = {n for n in NUMBERS if before_cut(n) != before_cut(key)}
    assert {n for n, trimap in trimaps.items() if trimap.confidence == 0} == behind
    assert len(trimaps) == len(NUMBERS)


def steady(number):
    return alpha_at(60 + 3 * (number - 1001))


def on_twos(number):
    return steady(1001 + 2 * ((number - 1001) // 2))


def flashing(number):
    picture = over(steady(number), scene(1))
    return (
        picture
        if number not in (1006, 1007)
        else np.clip(picture * 0.3 + 180, 0, 255).astype(np.uint8)
    )


@pytest.mark.parametrize(
    ("alpha_of", "picture_of"),
    [(on_twos, lambda n: over(on_twos(n), scene(1))), (steady, flashing)],
    ids=["on twos", "a flash"],
)
def test_twos_and_flashes_do_no_harm(alpha_of, picture_of):
    trimaps = carried(alpha_of, picture_of, (1001, 1012))
    still = CleanPlateSettings(still_px=0)  # a flash shows no plate
    plain = carried(steady, lambda n: over(steady(n), scene(1)), (1001, 1012), clean_plate=still)
    flashes = {1006, 1007} if picture_of is flashing else set()
    assert {number for number, trimap in trimaps.items() if trimap.is_flash} == flashes
    for number, trimap in trimaps.items():
        assert trimap.cut is None
        assert missed_share(trimap.labels, alpha_of(number)) < 0.02
        wider = 3 if number in (1006, 1007) else 1.5  # a flash itself is bridged
        limit = wider * (plain[number].labels == UNKNOWN).mean() + 0.02
        assert (trimap.labels == UNKNOWN).mean() < limit


def test_a_run_says_where_the_cut_is(tiny_shot: Path) -> None:
    for number in (1003, 1004, 1005):
        rng = np.random.default_rng(number // 1000)
        pixels = cv2.GaussianBlur(rng.random((48, 64, 3)).astype(np.float32), (0, 0), 5)
        pixels = (pixels - pixels.min()) / np.ptp(pixels)
        write_rgb(tiny_shot / "plate" / f"plate.{number}.exr", pixels)
    command = ["run", str(tiny_shot), "--engine", "trimap", "--json"]
    events = [
        json.loads(line) for line in CliRunner().invoke(commands, command).stdout.splitlines()
    ]
    notes = [event["text"] for event in events if event["event"] == "note"]
    assert sum("a cut in the plate before frame 1003" in note for note in notes) == 1
    again = CliRunner().invoke(commands, command).stdout
    assert "a cut in the plate before frame 1003" in again
