"""Metrics against values worked out by hand and against a plain, slow, independent version."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vfxmatte.review.metrics import (
    MatteErrors,
    dtssd,
    force_known,
    matte_errors,
    messddt,
    sequence_errors,
    ssda,
)


def _labels(height=6, width=8):
    labels = np.full((height, width), 128, np.uint8)
    labels[:, 0], labels[:, -1] = 255, 0
    return labels


def _random_case(seed, height=17, width=23):
    random = np.random.default_rng(seed)
    labels = random.choice(np.array([0, 128, 128, 255], np.uint8), (height, width))
    # Multiples of 1/20 land exactly on thresholds, where mistakes hide.
    truth = (random.integers(0, 21, (height, width)) / 20).astype(np.float32)
    prediction = (random.integers(0, 21, (height, width)) / 20).astype(np.float32)
    return prediction, truth, labels


def test_perfect_matte_has_no_error():
    _, truth, labels = _random_case(0)
    errors = matte_errors(force_known(truth, labels), force_known(truth, labels), labels)
    assert (errors.sad, errors.mse, errors.mad, errors.grad, errors.conn) == (0, 0, 0, 0, 0)
    assert errors.unknown_px == np.count_nonzero(labels == 128)


def test_sums_and_means_by_hand():
    labels = np.array([[255, 128, 128, 0]], np.uint8)
    truth = np.array([[1.0, 0.5, 0.25, 0.0]], np.float32)
    prediction = np.array([[0.0, 1.0, 0.0, 1.0]], np.float32)  # wrong where known: forgiven
    errors = matte_errors(prediction, truth, labels)
    assert errors.sad == pytest.approx(0.75 / 1000)
    assert errors.mad == pytest.approx(0.375)
    assert errors.mse == pytest.approx((0.25 + 0.0625) / 2)


def test_known_pixels_are_forced_and_values_clipped():
    labels = np.array([[255, 128, 128, 0]], np.uint8)
    forced = force_known(np.array([[0.3, 1.5, -0.5, 0.3]], np.float32), labels)
    assert forced.tolist() == [[1.0, 1.0, 0.0, 0.0]]


def test_connectivity_by_hand():
    # A solid block on the left, and one lonely pixel of .6 on the right that the truth lacks.
    labels = np.full((1, 6), 128, np.uint8)
    labels[0, :2] = 255
    truth = np.array([[1, 1, 0, 0, 0, 0]], np.float32)
    prediction = np.array([[1, 1, 0, 0, 0.6, 0]], np.float32)
    # Its level is 0 (never connected), so its connectedness is 1 - .6, the truth's is 1.
    assert matte_errors(prediction, truth, labels).conn == pytest.approx(0.6 / 1000)


def test_connectivity_forgives_small_differences():
    labels = np.full((1, 4), 128, np.uint8)
    truth = np.array([[1, 1, 1, 0]], np.float32)
    prediction = np.array([[1, 1, 0.9, 0.1]], np.float32)  # below theta = .15 everywhere
    assert matte_errors(prediction, truth, labels).conn == 0


def test_gradient_of_a_ramp_by_hand():
    # On a ramp the derivative of a Gaussian is the slope times Σ x·k(x)·k(y), whatever the place.
    ramp = np.tile(np.linspace(0, 1, 41, dtype=np.float32), (21, 1))
    labels = np.full((21, 41), 128, np.uint8)
    x = np.arange(-4, 5)
    gauss = np.exp(-(x**2) / (2 * 1.4**2))
    kernel = np.outer(gauss, x * gauss)
    response = (kernel / np.sqrt((kernel**2).sum()) * x).sum() / 40
    inner = 21 * (41 - 8) * response**2 / 1000
    error = matte_errors(np.full_like(ramp, 0.5), ramp, labels).grad
    assert inner < error < 21 * 41 * response**2 / 1000  # less where the border repeats


def _plain_convolution(image, kernel):
    half = kernel.shape[0] // 2
    padded = np.pad(image.astype(np.float64), half, mode="edge")
    out = np.zeros(image.shape)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            out[y, x] = (padded[y : y + 2 * half + 1, x : x + 2 * half + 1] * kernel).sum()
    return out


def _plain_gradient_error(prediction, truth, unknown):
    size, sigma = 4, 1.4
    kernel = np.zeros((9, 9))
    for i in range(9):
        for j in range(9):
            y, x = i - size, j - size
            gauss = math.exp(-(y * y) / (2 * sigma**2)) * math.exp(-(x * x) / (2 * sigma**2))
            kernel[i, j] = x * gauss
    kernel /= math.sqrt((kernel**2).sum())

    def magnitude(alpha):
        across, down = _plain_convolution(alpha, kernel), _plain_convolution(alpha, kernel.T)
        return np.sqrt(across**2 + down**2)

    return ((magnitude(prediction) - magnitude(truth))[unknown] ** 2).sum() / 1000


def _plain_largest(mask):
    seen, best = set(), set()
    for start in zip(*np.nonzero(mask), strict=True):
        if start in seen:
            continue
        found, queue = {start}, deque([start])
        while queue:
            y, x = queue.popleft()
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                inside = 0 <= near[0] < mask.shape[0] and 0 <= near[1] < mask.shape[1]
                if inside and mask[near] and near not in found:
                    found.add(near)
                    queue.append(near)
        seen |= found
        if len(found) > len(best):
            best = found
    return best


def _plain_connectivity_error(prediction, truth, unknown):
    sources = []
    for step in range(1, 11):
        t = np.float32(step / 10)
        sources.append(_plain_largest((prediction >= t) & (truth >= t)))
    total = 0.0
    for y, x in zip(*np.nonzero(unknown), strict=True):
        steps = 0
        while steps < 10 and (y, x) in sources[steps]:
            steps += 1
        values = []
        for alpha in (prediction, truth):
            above = alpha[y, x] - np.float32(steps / 10)
            values.append(1 - above if above >= np.float32(0.15) else 1.0)
        total += abs(values[0] - values[1])
    return total / 1000


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_the_plain_version(seed):
    prediction, truth, labels = _random_case(seed)
    prediction, truth = force_known(prediction, labels), force_known(truth, labels)
    unknown = labels == 128
    errors = matte_errors(prediction, truth, labels)
    total = sum(
        abs(float(p) - float(t)) for p, t in zip(prediction[unknown], truth[unknown], strict=True)
    )
    assert errors.sad == pytest.approx(total / 1000)
    assert errors.grad == pytest.approx(_plain_gradient_error(prediction, truth, unknown))
    assert errors.conn == pytest.approx(_plain_connectivity_error(prediction, truth, unknown))
    assert errors.conn > 0 and errors.grad > 0


@given(seed=st.integers(0, 2**32 - 1), flip=st.sampled_from(["lr", "ud", "transpose"]))
@settings(max_examples=25, deadline=None)
def test_errors_do_not_depend_on_orientation(seed, flip):
    turn = {"lr": np.fliplr, "ud": np.flipud, "transpose": np.transpose}[flip]
    prediction, truth, labels = _random_case(seed, 9, 12)
    # Without lonely pixels no two components tie for the largest.
    prediction[4:6], truth[4:6], labels[4:6] = 1, 1, 255
    whole = matte_errors(prediction, truth, labels)
    turned = matte_errors(*(np.ascontiguousarray(turn(a)) for a in (prediction, truth, labels)))
    assert turned.sad == pytest.approx(whole.sad, abs=1e-9)
    assert turned.grad == pytest.approx(whole.grad, abs=1e-9)


def test_nothing_unknown_is_no_error():
    labels = np.zeros((5, 5), np.uint8)
    errors = matte_errors(np.ones((5, 5), np.float32), np.zeros((5, 5), np.float32), labels)
    assert errors == MatteErrors(sad=0, mse=0, mad=0, grad=0, conn=0, unknown_px=0)


def test_mean_counts_each_picture_the_same():
    one = MatteErrors(sad=1, mse=2, mad=3, grad=4, conn=5, unknown_px=10)
    two = MatteErrors(sad=3, mse=4, mad=5, grad=6, conn=7, unknown_px=1000)
    mean = MatteErrors.mean([one, two])
    assert mean == MatteErrors(sad=2, mse=3, mad=4, grad=5, conn=6, unknown_px=505)
    with pytest.raises(ValueError, match="no errors"):
        MatteErrors.mean([])


def test_wrong_shapes_and_nan_are_refused():
    labels = _labels()
    good = np.zeros(labels.shape, np.float32)
    with pytest.raises(ValueError, match="prediction is"):
        matte_errors(good[1:], good, labels)
    with pytest.raises(ValueError, match="truth is"):
        matte_errors(good, good[1:], labels)
    with pytest.raises(ValueError, match="not finite"):
        matte_errors(np.full_like(good, np.nan), good, labels)


def test_sequence_measures_by_hand():
    labels = np.full((1, 4), 128, np.uint8)
    truth = np.zeros((1, 4), np.float32)
    first = np.array([[0.5, 0, 0, 0]], np.float32)
    second = np.array([[0, 0.25, 0, 0]], np.float32)
    pair = ((first, second), (truth, truth), (labels, labels))
    assert ssda(first, truth, labels) == pytest.approx(0.5)
    assert dtssd(*pair) == pytest.approx(math.sqrt(0.5**2 + 0.25**2))
    still = np.zeros((1, 4, 2), np.float32)
    assert messddt(*pair, still) == pytest.approx((0.25 + 0.0625) / 1000)
    right = still + np.array([1, 0], np.float32)  # pixel 0 is followed to 1; the last one leaves
    assert messddt(*pair, right) == pytest.approx((0.25 - 0.0625) / 1000)


def test_an_error_that_moves_with_the_picture_costs_nothing_along_the_flow():
    random = np.random.default_rng(1)
    truth = random.random((12, 20), dtype=np.float32)
    wrong = np.clip(truth + 0.2, 0, 1)
    frames = [(np.roll(wrong, n, 1), np.roll(truth, n, 1), _plain_labels(12, 20)) for n in range(3)]
    flow = np.tile(np.array([1, 0], np.float32), (12, 20, 1))
    errors = sequence_errors(frames, lambda _: flow)
    assert errors.messddt == pytest.approx(0, abs=1e-6)
    assert errors.frames == 3 and errors.ssda > 0
    unaware = sequence_errors(frames, lambda _: np.zeros_like(flow))
    assert unaware.messddt > 1e-4


def _plain_labels(height, width):
    return np.full((height, width), 128, np.uint8)


def test_sequence_without_flow_or_with_one_frame():
    truth = np.zeros((4, 4), np.float32)
    frame = (truth + np.float32(0.5), truth, _plain_labels(4, 4))
    errors = sequence_errors([frame])
    assert errors.ssda == pytest.approx(2.0) and errors.dtssd == 0 and errors.messddt is None
    assert sequence_errors([frame, frame]).dtssd == 0
    with pytest.raises(ValueError, match="no frames"):
        sequence_errors([])


def test_messddt_refuses_a_flow_of_another_size():
    truth, labels = np.zeros((4, 4), np.float32), _plain_labels(4, 4)
    with pytest.raises(ValueError, match="flow is"):
        messddt((truth, truth), (truth, truth), (labels, labels), np.zeros((3, 4, 2), np.float32))
