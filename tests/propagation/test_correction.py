"""Certain labels are doubted where the picture contradicts them, and unexplained islands go."""

import cv2
import numpy as np
import pytest

from vfxmatte.propagation.contradiction import Contradictions, ContradictionSettings
from vfxmatte.propagation.islands import without_islands
from vfxmatte.propagation.keyframe_look import UNSEEN, KeyframeLook, Look
from vfxmatte.propagation.one_direction import Step
from vfxmatte.propagation.shot_trimaps import PropagationSettings, propagate
from vfxmatte.trimaps import from_matte
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, Trimap

SHAPE = (160, 240)
NUMBERS = range(1001, 1012)


def texture(colour, seed, blur=2.0):
    noise = np.random.default_rng(seed).normal(0, 40, (*SHAPE, 3)).astype(np.float32)
    return np.clip(np.float32(colour) + cv2.GaussianBlur(noise, (0, 0), blur), 0, 255)


SKIN, WALL = texture((190, 120, 90), 1), texture((90, 110, 150), 2)


def picture_of(alpha):
    return (alpha[..., None] * SKIN + (1 - alpha[..., None]) * WALL).astype(np.uint8)


def body(*, gap=False, arm=None):
    alpha = np.zeros(SHAPE, np.float32)
    alpha[30:150, 80:160] = 1
    if gap:
        alpha[70:120, 96:112] = 0
    if arm is not None:
        alpha[60:74, 160:arm] = 1
    return cv2.GaussianBlur(alpha, (0, 0), 1.0)


def painted(alpha):
    return from_matte(alpha, erode_px=4, dilate_px=4)


def middle(alpha_of, **settings):
    """The carried labels of the middle frame, between keyframes on the first and the last."""
    keys = {
        number: Trimap(number=number, labels=painted(alpha_of(number)), is_keyframe=True)
        for number in (NUMBERS[0], NUMBERS[-1])
    }

    def read(numbers):
        return ((number, picture_of(alpha_of(number))) for number in numbers)

    carried = propagate(keys, NUMBERS, read, PropagationSettings(**settings), requested={1006})
    return next(iter(carried)).labels


def blink(number):
    """A gap between arm and body that is open in the middle of the segment alone."""
    return body(gap=1004 <= number <= 1008)


def swing(number):
    """An arm that is stretched out in the middle of the segment alone."""
    return body(arm=210 if 1004 <= number <= 1008 else None)


NO_DOUBT = ContradictionSettings(most_difference=0.0, least_difference=1.0)


def test_a_background_that_opens_between_keyframes_is_not_certain_foreground():
    gap = blink(1006) < 0.02
    gap[:, :90] = gap[:, 120:] = False
    assert (middle(blink)[gap] != FOREGROUND).mean() > 0.9
    assert (middle(blink, contradiction=NO_DOUBT)[gap] == FOREGROUND).mean() > 0.25


def test_an_arm_that_no_keyframe_has_is_not_certain_background():
    arm = swing(1006) > 0.98
    arm[:, :164] = False
    assert (middle(swing)[arm] != BACKGROUND).mean() > 0.9
    assert (middle(swing, contradiction=NO_DOUBT)[arm] == BACKGROUND).mean() > 0.5


def test_a_still_shot_is_left_as_it_was_painted():
    assert (middle(lambda _: body()) == painted(body())).all()


def look(foreground=0, background=0):
    half = SHAPE[0] // 2, SHAPE[1] // 2
    planes = [np.full(half, value, np.uint8) for value in (foreground, background, 0)]
    return Look.of_planes(np.stack(planes))


LABELS = painted(body())


def test_usual_differences_are_not_doubted_and_far_ones_do_not_count():
    settings = ContradictionSettings()
    usual = Contradictions(LABELS, look(20, 20), settings)
    assert not usual.doubtful(look(20, 20), LABELS).any()
    strange = look(20, 20)
    strange.background[40:50, 5:15] = 90  # far from everything
    strange.background[40:50, 83:95] = 90  # beside the body
    doubts = usual.doubtful(strange, LABELS)
    assert doubts[90, 178] and not doubts[:, :40].any()


def test_motion_that_is_not_understood_doubts_nothing():
    lost = Contradictions(LABELS, look(200, 200), ContradictionSettings())
    assert not lost.doubtful(look(254, 254), LABELS).any()
    unseen = Contradictions(LABELS, look(UNSEEN, UNSEEN), ContradictionSettings())
    assert not unseen.doubtful(look(254, 254), LABELS).any()


@pytest.mark.parametrize("moved", [0.0, 6.0])
def test_a_keyframe_sees_its_own_picture_and_what_differs_from_it(moved):
    alpha = body()
    seen = KeyframeLook(painted(alpha), picture_of(alpha), np.full(SHAPE, 3.0, np.float32))
    away = np.zeros((SHAPE[0] // 2, SHAPE[1] // 2, 2), np.float32)
    away[..., 0] = -moved / 2
    step = Step(labels=painted(alpha), away=away, behind=away, confidence=1.0)
    picture = np.roll(picture_of(alpha), int(moved), axis=1)
    picture[60:80, 110:130] = (10, 250, 10)
    found = seen.look(picture, step)
    inside = found.foreground[25:70, 50:75]
    assert found.foreground[35, 60] > 60 and np.median(inside) <= 2
    assert found.background[35, 60] == UNSEEN and np.median(found.background[:, 90:]) <= 2
    assert (found.depth == 3).all()
    if moved:
        assert (found.background[:, 0] == UNSEEN).all()  # from beyond the picture's edge


def island(where, labels):
    marked = labels.copy()
    marked[where] = UNKNOWN
    return marked


LAMP = (slice(10, 20), slice(10, 20))


def test_an_island_that_only_one_direction_has_goes_where_the_background_is_seen():
    labels = island(LAMP, LABELS)
    behind = np.ones(SHAPE, bool)
    assert (without_islands(labels, labels, LABELS, behind) == LABELS).all()


def test_an_island_stays_if_both_keyframes_have_it_or_the_picture_is_another():
    labels, nowhere = island(LAMP, LABELS), np.zeros(SHAPE, bool)
    assert (without_islands(labels, labels, labels, ~nowhere) == labels).all()
    assert (without_islands(labels, labels, LABELS, nowhere) == labels).all()


def test_the_band_and_a_shot_without_foreground_are_no_islands():
    behind = np.ones(SHAPE, bool)
    assert (without_islands(LABELS, LABELS, LABELS, behind) == LABELS).all()
    smoke = island(LAMP, np.zeros(SHAPE, np.uint8))
    assert (without_islands(smoke, smoke, np.zeros_like(smoke), behind) == smoke).all()


def test_a_difference_is_that_from_each_pixels_label():
    labels = np.array([[BACKGROUND] * 4, [FOREGROUND] * 4, [UNKNOWN] * 4, [UNKNOWN] * 4], np.uint8)
    planes = [np.array([[5, 5], [9, 9]], np.uint8), np.array([[7, 7], [UNSEEN, UNSEEN]], np.uint8)]
    seen = Look(foreground=planes[0], background=planes[1], depth=planes[0])
    assert seen.difference(labels).tolist() == [[7] * 4, [5] * 4, [9] * 4, [9] * 4]
