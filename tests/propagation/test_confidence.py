"""Missed pixels, area, and the frame where a further keyframe helps most."""

import numpy as np
import pytest

from vfxmatte.propagation.confidence import (
    WEAK,
    TrimapStats,
    area_ratio,
    doubtful_px,
    matte_confidence,
    missed_share,
    suggest_keyframe,
    trimap_stats,
)
from vfxmatte.types import Trimap


def test_missed_counts_soft_pixels_called_certain():
    alpha = np.array([[0.0, 0.01, 0.1, 0.5, 0.9, 0.97, 0.99, 1.0]], np.float32)
    labels = np.array([[0, 0, 0, 128, 128, 255, 255, 255]], np.uint8)
    assert missed_share(labels, alpha) == pytest.approx(2 / 4)
    assert missed_share(labels, np.zeros_like(alpha)) == 0


def test_a_matte_is_weak_where_it_is_twice_as_soft_as_a_painted_one_usually_is():
    alpha = np.zeros((40, 50), np.float32)
    alpha[:10], alpha[10:12] = 1, 0.5  # 50 of softness
    assert doubtful_px(alpha, 0) == doubtful_px(1 - alpha, 0) == 50
    assert matte_confidence(50, painted_px=50 / 0.24) == pytest.approx(WEAK)
    assert matte_confidence(50, painted_px=50 / 0.12) == pytest.approx(0.8)
    assert matte_confidence(doubtful_px(np.round(alpha), 0), painted_px=1) == 1
    jumped = doubtful_px(np.round(alpha), jumped_px=50)
    assert matte_confidence(jumped, painted_px=100 / 0.24) == pytest.approx(WEAK)


def test_area_is_relative_to_the_reference():
    labels = np.array([[0, 128, 128, 128, 255]], np.uint8)
    reference = np.array([[0, 0, 128, 128, 255]], np.uint8)
    certain = np.zeros_like(labels)
    assert area_ratio(labels, reference) == pytest.approx(1.5)
    assert area_ratio(certain, certain) == 1
    assert area_ratio(labels, certain) == float("inf")


def stat(number, confidence, distance):
    return TrimapStats(
        number=number, confidence=confidence, unknown_share=0.1, keyframe_distance=distance
    )


def test_stats_of_a_frame():
    labels = np.array([[0, 128], [128, 128]], np.uint8)
    trimap = Trimap(number=7, labels=labels, is_keyframe=False, confidence=0.5)
    found = trimap_stats(trimap, [1, 10])
    assert found == TrimapStats(number=7, confidence=0.5, unknown_share=0.75, keyframe_distance=3)


def test_the_next_keyframe_goes_into_the_worst_stretch():
    good = [stat(1, 1, 0)] + [stat(n, 0.95, 1) for n in range(2, 9)] + [stat(9, 1, 0)]
    bad = [stat(n, c, 1) for n, c in ((10, 0.9), (11, 0.6), (12, 0.2), (13, 0.6), (14, 0.9))]
    assert suggest_keyframe([*good, *bad, stat(15, 1, 0)]) == 12
    assert suggest_keyframe(reversed([*good, *bad])) == 12


def test_equal_trust_asks_for_the_middle_of_the_longest_stretch():
    stats = [stat(n, 1.0, 0 if n in (1, 5, 15) else 1) for n in range(1, 16)]
    assert suggest_keyframe(stats) == 10


def test_nothing_to_suggest_where_every_frame_is_a_keyframe():
    assert suggest_keyframe([stat(1, 1, 0), stat(2, 1, 0)]) is None
    assert suggest_keyframe([]) is None
