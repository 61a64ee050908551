"""Labels from painted values and mattes, their place on a canvas, growing and shrinking."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vfxmatte.errors import TrimapError
from vfxmatte.trimaps import (
    band_px,
    box_around,
    dilate,
    distance_to,
    from_matte,
    grow,
    labels_from_image,
    labels_from_values,
    oddity,
    place,
    resized,
    shrink,
)
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, Window


def disc(shape=(80, 100), centre=(40, 50), radius=20.0, soft=0.0):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    away = radius - np.hypot(rows - centre[0], columns - centre[1])
    alpha = np.clip(away / soft + 0.5, 0, 1) if soft else away > 0
    return alpha.astype(np.float32)


def test_values_near_the_three_paints_are_forgiven():
    values = np.array([[0.0, 0.04, 0.06, 0.5, 0.94, 0.96, 1.0, 1.2, -0.1]], np.float32)
    expected = [[0, 0, 128, 128, 128, 255, 255, 255, 0]]
    assert labels_from_values(values).tolist() == expected


def test_an_anti_aliased_edge_from_black_to_white_becomes_unknown():
    labels = labels_from_values(np.array([[0, 0, 0.3, 1, 1]], np.float32))
    assert labels.tolist() == [[0, 0, 128, 255, 255]]


def test_nan_is_refused():
    with pytest.raises(TrimapError, match="NaN"):
        labels_from_values(np.array([[np.nan]], np.float32))


PAINTED = np.array([[0.0, 0.5, 1.0]], np.float32)
EXPECTED = [[BACKGROUND, UNKNOWN, FOREGROUND]]


@pytest.mark.parametrize(
    ("planes", "names"),
    [
        ([PAINTED], None),
        ([PAINTED] * 3, None),
        ([PAINTED] * 3, ["R", "G", "B"]),
        ([PAINTED] * 3 + [np.ones_like(PAINTED)], ["R", "G", "B", "A"]),
        ([np.ones_like(PAINTED)] * 3 + [PAINTED], ["R", "G", "B", "A"]),
        ([PAINTED, np.ones_like(PAINTED), np.ones_like(PAINTED)], ["trimap.A", "Z", "id"]),
        ([PAINTED], ["A"]),
        ([PAINTED], ["mask"]),
    ],
)
def test_the_plane_that_holds_the_trimap_is_found(planes, names):
    if names == ["trimap.A", "Z", "id"]:  # an unknown plane that varies goes before an alpha
        planes = [planes[1], planes[0], planes[2]]
    assert labels_from_image(np.dstack(planes), names).tolist() == EXPECTED


def test_a_two_dimensional_picture_is_grey():
    assert labels_from_image(PAINTED).tolist() == EXPECTED


def test_names_that_do_not_fit_are_refused():
    with pytest.raises(TrimapError, match="2 channels"):
        labels_from_image(np.dstack([PAINTED, PAINTED]), ["R"])


DISPLAY = Window.of_size(4, 3)
CANVAS = Window(x_min=-1, y_min=-2, x_max=5, y_max=2)


def test_a_display_window_trimap_is_extended_by_its_edge():
    labels = np.full((3, 4), BACKGROUND, np.uint8)
    labels[:, 2:] = UNKNOWN
    labels[:, 3] = FOREGROUND
    placed = place(labels, None, canvas=CANVAS, display_window=DISPLAY)
    assert placed.shape == CANVAS.shape
    assert placed.tolist() == [[0, 0, 0, 128, 255, 255, 255]] * 5


def test_the_window_of_the_file_decides():
    labels = np.full((3, 4), UNKNOWN, np.uint8)
    labels[0, 0] = FOREGROUND
    window = Window(x_min=1, y_min=0, x_max=4, y_max=2)
    placed = place(labels, window, canvas=CANVAS, display_window=DISPLAY, data_window=window)
    assert (placed == FOREGROUND).sum() == 9  # the corner pixel fills its corner of the canvas
    assert placed[2, 2] == FOREGROUND and placed[2, 3] == UNKNOWN


def test_a_trimap_larger_than_the_canvas_is_cut():
    labels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    canvas = Window.of_size(2, 2)
    placed = place(labels, None, canvas=canvas, display_window=Window.of_size(3, 2))
    assert placed.tolist() == [[0, 1], [3, 4]]


def test_another_size_is_refused_by_name():
    with pytest.raises(TrimapError, match=r"5x3.*4x3"):
        place(np.zeros((3, 5), np.uint8), None, canvas=DISPLAY, display_window=DISPLAY)


def test_distance_is_euclidean_and_infinite_from_nothing():
    mask = np.zeros((9, 9), bool)
    assert np.isinf(distance_to(mask)).all()
    mask[4, 4] = True
    assert distance_to(mask)[4, 8] == pytest.approx(4, abs=0.05)
    assert distance_to(mask)[1, 0] == pytest.approx(5, abs=0.15)
    assert dilate(mask, 1).sum() == 5


def test_from_matte_lays_its_band_where_asked():
    alpha = disc()
    labels = from_matte(alpha, erode_px=3, dilate_px=6)
    row = labels[40]
    edge = int(np.flatnonzero(alpha[40])[-1])  # the last solid pixel
    assert row[edge - 3] == FOREGROUND and row[edge - 2] == UNKNOWN
    assert row[edge + 6] == UNKNOWN and row[edge + 7] == BACKGROUND


def test_soft_pixels_are_always_unknown():
    alpha = disc(soft=10)
    labels = from_matte(alpha, erode_px=0, dilate_px=0)
    assert (labels[(alpha > 0.02) & (alpha < 0.98)] == UNKNOWN).all()
    assert {0, 128, 255} == set(np.unique(labels).tolist())


@pytest.mark.parametrize(("value", "label"), [(1.0, FOREGROUND), (0.0, BACKGROUND)])
def test_the_edge_of_the_frame_is_no_edge_of_the_object(value, label):
    alpha = np.full((12, 16), value, np.float32)
    assert (from_matte(alpha, erode_px=4, dilate_px=4) == label).all()
    alpha[:, 8:] = 1.0
    labels = from_matte(alpha, erode_px=2, dilate_px=2)
    assert (labels[0] == labels[6]).all() and labels[0, 15] == FOREGROUND


def test_negative_sizes_are_refused():
    with pytest.raises(ValueError, match="negative"):
        from_matte(np.zeros((2, 2), np.float32), erode_px=-1, dilate_px=0)


def test_grow_and_shrink_undo_each_other_on_a_wide_band():
    labels = from_matte(disc(radius=25), erode_px=6, dilate_px=6)
    grown = grow(labels, 3)
    assert (grown == UNKNOWN).sum() > (labels == UNKNOWN).sum()
    changed = np.mean(shrink(grown, 3) != labels)
    assert changed < 0.01


def test_shrink_leaves_the_middle_of_a_narrow_band():
    labels = from_matte(disc(), erode_px=1, dilate_px=1)
    left = shrink(labels, 5)
    assert (left == UNKNOWN).any()
    assert (left[labels != UNKNOWN] == labels[labels != UNKNOWN]).all()


@given(radius=st.integers(0, 6), growth=st.integers(0, 5))
@settings(max_examples=15, deadline=None)
def test_growing_never_takes_unknown_away(radius, growth):
    labels = from_matte(disc((40, 44), (20, 20), 10), erode_px=radius, dilate_px=radius)
    grown = grow(labels, growth)
    assert (grown[labels == UNKNOWN] == UNKNOWN).all()
    assert (grown[grown != UNKNOWN] == labels[grown != UNKNOWN]).all()


@pytest.mark.parametrize("radius", [3, 6, 10])
def test_the_painted_band_is_measured(radius):
    labels = from_matte(disc((120, 140), (60, 70), 30), erode_px=radius, dilate_px=radius)
    assert band_px(labels) == pytest.approx(radius, abs=1.5)


def test_no_band_and_nothing_else():
    assert band_px(np.zeros((4, 4), np.uint8)) == 0
    assert band_px(np.full((4, 4), UNKNOWN, np.uint8)) == 0


def test_resizing_there_and_back_keeps_the_shape():
    labels = from_matte(disc((120, 160), (60, 80), 35), erode_px=6, dilate_px=6)
    small = resized(labels, (60, 80))
    back = resized(small, (120, 160))
    assert set(np.unique(small).tolist()) == {0, 128, 255}
    assert np.mean(back != labels) < 0.03
    assert (back == UNKNOWN).sum() >= 0.97 * (labels == UNKNOWN).sum()


def test_a_thin_band_survives_a_smaller_size():
    labels = np.zeros((64, 64), np.uint8)
    labels[:, 32:] = FOREGROUND
    labels[:, 31] = UNKNOWN
    assert (resized(labels, (16, 16))[:, 7] == UNKNOWN).all()


def test_same_size_is_a_copy_and_may_grow():
    labels = from_matte(disc(), erode_px=2, dilate_px=2)
    same = resized(labels, labels.shape)
    assert same is not labels and (same == labels).all()
    assert (resized(labels, labels.shape, growth_px=2) == grow(labels, 2)).all()


SPECKLES = st.tuples(
    st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0.002, 0.98)
)


def speckles(height, width, seed, share):
    return np.random.default_rng(seed).random((height, width)) < share


@settings(max_examples=60, deadline=None)
@given(what=SPECKLES, radius_px=st.sampled_from((0.5, 1, 1.4, 2, 3.3, 8, 8.5, 17)))
def test_dilation_is_what_the_distance_says(what, radius_px):
    mask = speckles(*what)
    assert (dilate(mask, radius_px) == (distance_to(mask) <= radius_px)).all()


@settings(max_examples=60, deadline=None)
@given(what=SPECKLES, larger=st.sampled_from(((2, 2), (4, 4), (1.3, 1.7), (3, 1))))
def test_enlarged_edges_are_where_the_signed_distances_change_sign(what, larger):
    mask = speckles(*what)
    labels = np.where(mask, FOREGROUND, BACKGROUND).astype(np.uint8)
    shape = tuple(
        int(np.ceil(side * factor)) for side, factor in zip(mask.shape, larger, strict=True)
    )
    if shape == mask.shape:
        return
    signed = np.clip(distance_to(~mask) - distance_to(mask), -1e4, 1e4)
    signed = cv2.resize(signed, shape[::-1])
    enlarged = resized(labels, shape)
    assert ((enlarged == FOREGROUND) == (signed > 0)).all()
    assert ((enlarged == BACKGROUND) == (signed < 0)).all()


@settings(max_examples=40, deadline=None)
@given(what=SPECKLES, margin_px=st.integers(0, 5))
def test_a_box_holds_the_mask_and_no_smaller_one_does(what, margin_px):
    mask = speckles(*what)
    if not mask.any():
        return
    alone = np.zeros_like(mask)
    alone[box_around(mask, 0)] = mask[box_around(mask, 0)]
    assert (alone == mask).all()
    tight = mask[box_around(mask, 0)]
    assert tight[0].any() and tight[-1].any() and tight[:, 0].any() and tight[:, -1].any()
    wide = mask[box_around(mask, margin_px)].shape
    assert all(t <= w <= t + 2 * margin_px for t, w in zip(tight.shape, wide, strict=True))


@pytest.mark.parametrize(
    ("painted", "said"),
    [
        ((BACKGROUND, UNKNOWN, FOREGROUND), ""),
        ((FOREGROUND,), "all of it is foreground"),
        ((BACKGROUND,), "all of it is background"),
        ((BACKGROUND, FOREGROUND), "nothing is unknown: the trimap itself is the matte"),
        ((UNKNOWN, FOREGROUND), "nothing is marked as background"),
    ],
)
def test_what_is_odd_about_a_painted_trimap_is_said(painted, said):
    assert oddity(np.array([painted] * 2, np.uint8)) == said
