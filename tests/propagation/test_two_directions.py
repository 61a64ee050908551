"""Two followed trimaps become one: agreement keeps it, a gap widens it."""

import numpy as np
import pytest

from vfxmatte.propagation.two_directions import MergeSettings, Resemblance, merge
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN


def edge_at(column, width=80, band=3):
    labels = np.zeros((40, width), np.uint8)
    labels[:, column:] = FOREGROUND
    labels[:, column - band : column + band] = UNKNOWN
    return labels


PLAIN = MergeSettings(growth_px=0, growth_per_gap=0, corridor_slack_px=0.5)


def test_agreement_changes_nothing():
    labels, agreement = merge(edge_at(40), edge_at(40), 0.5, MergeSettings())
    assert (labels == edge_at(40)).all() and agreement == 1


def test_the_corridor_between_two_places_is_unknown():
    """A small patch that jumped: neither direction covers the way between its two places."""
    before, after = np.zeros((40, 80), np.uint8), np.zeros((40, 80), np.uint8)
    before[15:25, 10:20] = UNKNOWN
    after[15:25, 50:60] = UNKNOWN
    labels, agreement = merge(before, after, 0.5, PLAIN)
    assert (labels[15:25, 10:60] == UNKNOWN).all()
    assert (labels[:10] == BACKGROUND).all() and (labels[:, 65:] == BACKGROUND).all()
    assert agreement < 0.3


def test_opposed_certain_labels_are_unknown():
    labels, _ = merge(edge_at(30), edge_at(45), 0.5, PLAIN)
    assert (labels[:, 27:48] == UNKNOWN).all()
    assert (labels[:, :26] == BACKGROUND).all() and (labels[:, 50:] == FOREGROUND).all()


def test_growth_follows_the_gap_and_fades_towards_keyframes():
    growing = MergeSettings(growth_px=0, growth_per_gap=1)
    widths = [
        int((merge(edge_at(30), edge_at(40), share, growing)[0][20] == UNKNOWN).sum())
        for share in (0.0, 0.1, 0.5)
    ]
    assert widths[0] < widths[1] < widths[2]


def test_growth_is_bounded():
    settings = MergeSettings(most_growth_px=2)
    labels, _ = merge(edge_at(20), edge_at(60), 0.5, settings)
    assert (labels[:, :14] == BACKGROUND).all()


def test_one_direction_without_an_unknown_region():
    flat = np.zeros((40, 80), np.uint8)
    labels, agreement = merge(flat, edge_at(40), 0.5, MergeSettings())
    assert (labels[:, 37:] == UNKNOWN).all() and (labels[:, :25] == BACKGROUND).all()
    assert agreement == 0.5
    assert merge(flat, flat, 0.5, MergeSettings())[1] == 1


def with_arm(column):
    """A body with a steady edge at column 40, and an arm beyond at another place."""
    labels = np.full((200, 240), BACKGROUND, np.uint8)
    labels[:, 10:40] = FOREGROUND
    labels[:, 7:10] = labels[:, 40:44] = UNKNOWN
    labels[20:28, column - 6 : column + 6] = UNKNOWN
    labels[22:26, column - 4 : column + 4] = FOREGROUND
    return labels


def test_an_arm_that_swings_widens_nothing_elsewhere():
    """What both directions agree on stays: one swinging arm must not fatten the whole band."""
    before, after = with_arm(120), with_arm(220)
    labels, agreement = merge(before, after, 0.5, MergeSettings())
    assert agreement < 0.7
    assert (labels[100:] == before[100:]).all()
    assert (labels[20:28, 114:126] == UNKNOWN).all() and (labels[20:28, 214:226] == UNKNOWN).all()


def test_the_nearer_keyframe_weighs_more():
    """The edge is expected near the nearer keyframe's, and the other's place is not unknown."""
    before, after = edge_at(60, width=160), edge_at(90, width=160)
    near, half, far = (
        np.flatnonzero(merge(before, after, share, MergeSettings())[0][20] == UNKNOWN)
        for share in (0.1, 0.5, 0.9)
    )
    assert near[0] > half[0] - 1 and near[-1] < 85 and near[0] <= 57
    assert half[0] <= 57 and half[-1] >= 92
    assert far[0] > 62 and far[-1] >= 92
    assert len(near) < 0.75 * len(half)


def test_what_both_call_foreground_stays_where_they_nearly_agree():
    before, after = edge_at(40), edge_at(42)
    labels, _ = merge(before, after, 0.5, MergeSettings())
    assert (labels[:, 49:] == FOREGROUND).all() and (labels[:, :33] == BACKGROUND).all()


def resembling(before, after, steps=2, shape=(40, 80)):
    full = (np.full(shape, value, np.float32) for value in (before, after))
    return Resemblance(before=next(full), after=next(full), steps=steps)


NEAR = 0.15
"""A position beside the earlier keyframe."""


def test_a_nearer_keyframe_that_the_picture_resembles_is_believed():
    before, after = edge_at(30), edge_at(60)
    plain, agreement = merge(before, after, NEAR, MergeSettings())
    labels, same_agreement = merge(before, after, NEAR, MergeSettings(), resembling(0, 50))
    assert (labels == UNKNOWN).sum() < 0.7 * (plain == UNKNOWN).sum()
    assert (labels[plain != UNKNOWN] == plain[plain != UNKNOWN]).all()
    believed = (plain == UNKNOWN) & (labels != UNKNOWN)
    assert (labels[believed] == before[believed]).all()
    assert agreement == same_agreement


def test_the_later_keyframe_is_believed_as_the_earlier_one_is():
    before, after = edge_at(30), edge_at(60)
    labels, _ = merge(before, after, NEAR, MergeSettings(), resembling(0, 50))
    swapped, _ = merge(after, before, 1 - NEAR, MergeSettings(), resembling(50, 0))
    assert (labels == swapped).all()


def test_a_believed_keyframe_may_drift():
    before, after = edge_at(30), edge_at(60)
    wrong_by = 7  # px, for each frame from it
    settings = MergeSettings(drift_px=wrong_by)
    labels, _ = merge(before, after, NEAR, settings, resembling(0, 50, steps=2))
    plain, _ = merge(before, after, NEAR, settings)
    gained = np.flatnonzero((labels != plain)[20])
    assert gained.size and gained.min() > 33 + 2 * wrong_by - 2


@pytest.mark.parametrize(
    ("position", "seen"),
    [
        pytest.param(NEAR, (50, 50), id="neither resembles"),
        pytest.param(NEAR, (50, 0), id="only the farther one resembles"),
        pytest.param(0.5, (0, 50), id="half-way"),
    ],
)
def test_otherwise_no_keyframe_is_believed_more(position, seen):
    before, after = edge_at(30), edge_at(60)
    labels, _ = merge(before, after, position, MergeSettings(), resembling(*seen))
    assert (labels == merge(before, after, position, MergeSettings())[0]).all()


def test_around_what_differs_the_nearer_keyframe_is_not_believed():
    before, after, seen = edge_at(30), edge_at(60), resembling(0, 50)
    plain, _ = merge(before, after, NEAR, MergeSettings())
    labels, _ = merge(before, after, NEAR, MergeSettings(), seen)
    column = int(np.flatnonzero((labels != plain)[20])[0])
    seen.before[17:24, column - 3 : column + 4] = 30
    labels, _ = merge(before, after, NEAR, MergeSettings(), seen)
    assert labels[20, column] == UNKNOWN and labels[5, column] != UNKNOWN


def test_a_keyframe_far_away_is_not_believed():
    before, after = edge_at(20, width=160), edge_at(120, width=160)
    wide = (40, 160)
    settings = MergeSettings(believed_frames=4, drift_px=0)
    plain, _ = merge(before, after, NEAR, settings)
    gained = [
        int((merge(before, after, NEAR, settings, one)[0] != plain).sum())
        for one in (resembling(0, 50, steps=steps, shape=wide) for steps in (1, 3, 4))
    ]
    assert gained[0] > gained[1] > gained[2] == 0
