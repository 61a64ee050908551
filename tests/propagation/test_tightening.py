"""A merged trimap is corrected by its picture, as far as the painted keyframes bear it out."""

import cv2
import numpy as np
import pytest

from vfxmatte.propagation.confidence import area_ratio, missed_share
from vfxmatte.propagation.shot_trimaps import PropagationSettings, propagate
from vfxmatte.propagation.tightening import Tightener, TighteningSettings
from vfxmatte.propagation.two_directions import MergeSettings, merge
from vfxmatte.trimaps import from_matte
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, Trimap

SHAPE = (120, 200)
BAND = 4.0
SETTINGS = TighteningSettings()
SKIN, GRASS = (190, 120, 90), (60, 110, 70)


def alpha_of(wide=30.0, high=34.0, across=100.0):
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    ratio = np.hypot((rows - 60) / high, (columns - across) / wide)
    return np.clip((1 - ratio) * min(wide, high) / 3 + 0.5, 0, 1).astype(np.float32)


def texture(colour, seed):
    noise = np.random.default_rng(seed).normal(0, 60, (*SHAPE, 3)).astype(np.float32)
    return np.float32(colour) + cv2.GaussianBlur(noise, (0, 0), 2)


def picture_of(alpha, skin=SKIN):
    mixed = alpha[..., None] * texture(skin, 1) + (1 - alpha[..., None]) * texture(GRASS, 2)
    return np.clip(mixed, 0, 255).astype(np.uint8)


def painted(alpha):
    return from_matte(alpha, erode_px=BAND, dilate_px=BAND)


def keys(skin=SKIN):
    alphas = {1001: alpha_of(across=90), 1009: alpha_of(across=110)}
    return {number: (painted(alpha), picture_of(alpha, skin)) for number, alpha in alphas.items()}


TIGHTENER = Tightener(keys(), SETTINGS)
TRUTH = alpha_of()
SIDES = painted(alpha_of(wide=22)), painted(alpha_of(wide=40))
MERGED = merge(*SIDES, 0.5, MergeSettings())[0]


def test_a_wide_band_becomes_narrow_and_misses_nothing():
    result = TIGHTENER.corrected(picture_of(TRUTH), *SIDES, MERGED)
    assert area_ratio(MERGED, painted(TRUTH)) > 2.5
    assert area_ratio(result, painted(TRUTH)) < 1.6
    assert missed_share(result, TRUTH) < 0.005
    assert (result[TRUTH == 1] != BACKGROUND).all() and (result[TRUTH == 0] != FOREGROUND).all()


def test_what_both_directions_call_unknown_stays_unknown():
    both = (SIDES[0] == UNKNOWN) & (SIDES[1] == UNKNOWN)
    assert both.any()
    result = TIGHTENER.corrected(picture_of(TRUTH), *SIDES, MERGED)
    assert (result[both] == UNKNOWN).all()


def test_full_agreement_is_left_alone():
    labels = painted(TRUTH)
    assert TIGHTENER.corrected(picture_of(TRUTH), labels, labels, labels) is labels


def test_the_arguments_are_not_altered_and_the_result_is_always_the_same():
    before = MERGED.copy()
    first = TIGHTENER.corrected(picture_of(TRUTH), *SIDES, MERGED)
    second = Tightener(keys(), SETTINGS).corrected(picture_of(TRUTH), *SIDES, MERGED)
    assert (first == second).all() and (before == MERGED).all()


def test_colours_that_cannot_tell_are_not_believed():
    """Foreground of the background's own colour: the practice fails, so the edge is not missed."""
    blind = Tightener(keys(GRASS), SETTINGS)
    result = blind.corrected(picture_of(TRUTH, GRASS), *SIDES, MERGED)
    assert missed_share(result, TRUTH) < 0.01


def test_an_edge_that_no_keyframe_has_is_doubted():
    alpha = np.maximum(TRUTH, alpha_of(wide=5, high=20, across=142))
    labels, other = painted(TRUTH), painted(alpha_of(wide=31))
    merged, _ = merge(labels, other, 0.5, MergeSettings())
    result = TIGHTENER.corrected(picture_of(alpha), labels, other, merged)
    assert missed_share(merged, alpha) > 0.15
    assert missed_share(result, alpha) < 0.03


def test_false_alarms_on_a_keyframe_forbid_doubt():
    never = Tightener(keys(), TighteningSettings(doubt=0.05, false_alarms=0.0))
    labels, other = painted(TRUTH), painted(alpha_of(wide=31))
    merged, _ = merge(labels, other, 0.5, MergeSettings())
    result = never.corrected(picture_of(TRUTH), labels, other, merged)
    assert (result[merged != UNKNOWN] == merged[merged != UNKNOWN]).all()


@pytest.mark.parametrize("label", [BACKGROUND, UNKNOWN, FOREGROUND])
def test_keyframes_of_one_label_change_nothing(label):
    flat = np.full(SHAPE, label, np.uint8)
    one = Tightener({n: (flat, picture_of(TRUTH)) for n in (1, 5)}, SETTINGS)
    assert (one.corrected(picture_of(TRUTH), *SIDES, MERGED) == MERGED).all()


def swelling(index):
    return alpha_of(wide=24 + 2.5 * index, high=36 - 1.5 * index)


def test_propagation_takes_the_picture_into_account():
    """A shape that is another one at the end: narrower with the picture than by motion alone."""
    numbers = range(1001, 1008)
    ends = {
        n: Trimap(number=n, labels=painted(swelling(n - 1001)), is_keyframe=True)
        for n in (1001, 1007)
    }

    def read(asked):
        return ((n, picture_of(swelling(n - 1001))) for n in asked)

    areas, missed = {}, {}
    for tighten in (False, True):
        settings = PropagationSettings(tighten=tighten)
        middle = list(propagate(ends, numbers, read, settings))[3].labels
        truth = swelling(3)
        areas[tighten] = area_ratio(middle, painted(truth))
        missed[tighten] = missed_share(middle, truth)
    assert areas[True] < areas[False] - 0.1
    assert missed[True] < 0.01
