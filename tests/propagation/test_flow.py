"""Optical flow finds a known shift; warping, consistency, spreading and inversion are exact."""

import cv2
import numpy as np
import pytest

from vfxmatte.propagation.flow import (
    consistency_error,
    dense_flow,
    flow_pair,
    grey,
    halved_shape,
    inverse,
    positions,
    spread,
    warp,
)


def texture(height=96, width=128, seed=0):
    noise = np.random.default_rng(seed).standard_normal((height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.clip(smooth * 300 + 128, 0, 255).astype(np.uint8)


def moved(picture, dx, dy):
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    size = (picture.shape[1], picture.shape[0])
    return cv2.warpAffine(picture, matrix, size, borderMode=cv2.BORDER_REFLECT_101)


INSIDE = (slice(20, -20), slice(20, -20))


@pytest.mark.parametrize("preset", ["fast", "medium"])
def test_a_shift_is_found_in_both_directions(preset):
    first = texture(192, 256)
    pair = flow_pair(first, moved(first, 6, -4), preset)
    assert pair.forward.shape == pair.backward.shape == (*halved_shape(first.shape), 2)
    assert np.abs(pair.forward[INSIDE] - (3, -2)).mean() < 0.3
    assert np.abs(pair.backward[INSIDE] - (-3, 2)).mean() < 0.3
    assert np.median(consistency_error(pair.forward, pair.backward)[INSIDE]) < 0.2
    assert pair.reversed().forward is pair.backward


def test_a_still_picture_does_not_move():
    first = texture()
    assert np.abs(dense_flow(first, first)).max() < 1e-3


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (33, 57), (5, 7), (31, 200)])
def test_odd_sizes_work(shape):
    picture = np.zeros(shape, np.uint8)
    flow = dense_flow(picture, picture)
    assert flow.shape == (*shape, 2) and np.isfinite(flow).all()
    half = flow_pair(picture, picture).forward
    assert half.shape == (*halved_shape(shape), 2) and np.isfinite(half).all()


def test_wrong_flow_shows_as_inconsistent():
    forward = np.zeros((20, 20, 2), np.float32)
    backward = np.zeros((20, 20, 2), np.float32)
    backward[5:10, 5:10] = (3, 4)
    error = consistency_error(forward, backward)
    assert error[7, 7] == pytest.approx(5) and error[15, 15] == 0


def test_warp_looks_up_along_the_flow_and_repeats_edges():
    field = positions((6, 8))
    flow = np.full((6, 8, 2), (1.5, 0), np.float32)
    looked_up = warp(field, flow)
    assert looked_up[2, 3, 0] == pytest.approx(4.5)
    assert looked_up[2, 7, 0] == pytest.approx(7)


def test_spread_keeps_what_has_weight_and_fills_the_rest():
    field = np.zeros((40, 50, 2), np.float32)
    weight = np.zeros((40, 50), np.float32)
    field[10:20, 10:20] = (2, -1)
    field[30:, 30:] = (50, 50)  # without weight: must leave no trace
    weight[10:20, 10:20] = 1
    filled = spread(field, weight)
    assert np.allclose(filled[15, 15], (2, -1), atol=1e-4)
    assert np.allclose(filled[35, 45], (2, -1), atol=0.05)


def test_spread_without_any_weight_is_zero():
    assert not spread(np.ones((9, 7, 2), np.float32), np.zeros((9, 7), np.float32)).any()


def test_inverse_leads_back():
    where = positions((40, 60))
    flow = np.dstack([3 + np.sin(where[..., 1] / 9), 2 * np.cos(where[..., 0] / 11)])
    flow = flow.astype(np.float32)
    back = inverse(flow)
    error = consistency_error(back, flow)
    assert error[6:-6, 8:-8].max() < 0.05


def test_grey_is_luma():
    red = np.zeros((1, 1, 3), np.uint8)
    red[..., 0] = 255
    assert grey(red)[0, 0] == 76
