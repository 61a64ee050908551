"""Estimated colours: true where they can be known, the plate's own where one layer is alone."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from vfxmatte.foreground import estimation
from vfxmatte.foreground.estimation import estimate_colours
from vfxmatte.types import FloatImage

FRONT, BACK = (0.7, 0.2, 0.05), (0.1, 0.6, 0.2)


def ball(size: int = 96, soft_px: float = 8) -> FloatImage:
    """(size, size) float32 alpha of a ball with a wide soft edge."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    distance = np.hypot(x - size / 2, y - size / 2)
    return np.asarray(np.clip((size / 3 - distance) / soft_px + 0.5, 0, 1), np.float32)


def mixed(alpha: FloatImage, front: object = FRONT, back: object = BACK) -> FloatImage:
    share = alpha[:, :, None]
    mix = share * np.array(front) + (1 - share) * np.array(back)
    return np.asarray(mix, np.float32)


def textured(size: int = 96, seed: int = 0) -> FloatImage:
    random = np.random.default_rng(seed)
    noise = random.random((size, size, 3), np.float32)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 3), np.float32)


def test_uniform_layers_are_told_apart() -> None:
    alpha = ball()
    found = estimate_colours(mixed(alpha), alpha)
    seen, behind = alpha > 0.02, alpha < 0.98
    np.testing.assert_allclose(found.foreground[seen] - FRONT, 0, atol=0.01)
    np.testing.assert_allclose(found.background[behind] - BACK, 0, atol=0.01)


def test_textured_layers_are_nearer_than_the_plate() -> None:
    alpha = ball(128, soft_px=14)
    front, back = textured(128, 1), textured(128, 2)
    front[:, :, 0] += 0.6
    back[:, :, 1] += 0.6
    plate = mixed(alpha, front, back)
    found = estimate_colours(plate, alpha)
    soft = (alpha > 0.05) & (alpha < 0.95)

    def error(colour: FloatImage) -> float:
        return float((np.abs(colour - front) * alpha[:, :, None])[soft].mean())

    assert error(found.foreground) < 0.2 * error(plate)


def test_the_plate_stays_bit_for_bit_where_one_layer_is_alone() -> None:
    """HDR, negative values, NaN and infinity among it."""
    alpha = ball()
    plate = mixed(alpha)
    plate[48, 48], plate[48, 49], plate[0, 0] = (-0.3, 9000, 1e-8), (np.nan, np.inf, -np.inf), 7.5
    found = estimate_colours(plate, alpha)
    assert (alpha[48, 48:50] == 1).all() and alpha[0, 0] == 0
    for colour, alone in ((found.foreground, alpha == 1), (found.background, alpha == 0)):
        assert colour[alone].tobytes() == plate[alone].tobytes()
    assert np.isfinite(found.foreground[alpha < 1]).all()


def test_bright_and_negative_colours_are_not_clipped_in_the_band() -> None:
    alpha = ball()
    front = (12.0, -0.2, 0.5)
    found = estimate_colours(mixed(alpha, front), alpha)
    np.testing.assert_allclose(found.foreground[alpha > 0.3] - front, 0, atol=0.15)


def test_colours_are_extended_outwards() -> None:
    """A blur of premultiplied colour over that of alpha has no dark or coloured rim."""
    alpha = ball()
    found = estimate_colours(mixed(alpha), alpha)
    np.testing.assert_allclose(found.foreground[alpha == 0] - FRONT, 0, atol=0.05)
    small = cv2.resize(found.foreground, (12, 12), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(small - FRONT, 0, atol=0.05)


@pytest.mark.parametrize("size", [(97, 61), (1, 40), (40, 1), (1, 1), (3, 2)])
def test_torch_gives_the_same_values(size: tuple[int, int]) -> None:
    """Odd sizes among them; the GPU runs the very same operations."""
    random = np.random.default_rng(3)
    plate = random.normal(0.5, 2, (*size, 3)).astype(np.float32)
    alpha = np.clip(random.normal(0.5, 0.7, size), 0, 1).astype(np.float32)
    first = estimate_colours(plate, alpha)
    second = estimate_colours(plate, alpha, device="cpu:0")
    np.testing.assert_allclose(first.foreground, second.foreground, atol=1e-3)
    np.testing.assert_allclose(first.background, second.background, atol=1e-3)


def test_a_graphics_card_gives_the_same_values() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    alpha, plate = ball(), mixed(ball(), textured(), textured(seed=5))
    first, second = (estimate_colours(plate, alpha, device=name) for name in ("cpu", "cuda"))
    np.testing.assert_allclose(first.foreground, second.foreground, atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_one_alpha_everywhere(value: float) -> None:
    alpha = np.full((20, 30), value, np.float32)
    found = estimate_colours(textured()[:20, :30], alpha)
    assert np.isfinite(found.foreground).all() and np.isfinite(found.background).all()


def test_a_strand_in_front_of_two_colours_keeps_its_own() -> None:
    """Alpha is nowhere 1: the colour is known from the mix alone."""
    alpha = np.zeros((64, 64), np.float32)
    alpha[:, 30:34] = (0.3, 0.7, 0.7, 0.3)
    back = np.where(np.arange(64)[:, None, None] < 32, (0.05, 0.1, 0.4), (0.5, 0.5, 0.1))
    plate = mixed(alpha, FRONT, np.broadcast_to(back, (64, 64, 3)))
    found = estimate_colours(plate, alpha)
    np.testing.assert_allclose(found.foreground[:, 31:33] - FRONT, 0, atol=0.12)


def test_a_lonely_faint_pixel_keeps_the_colours_around() -> None:
    """None of its neighbours holds any foreground, or any background: no black, no white speck."""
    alpha = ball()
    alpha[10, 10], alpha[48, 48] = 0.004, 0.996
    found = estimate_colours(mixed(alpha), alpha)
    np.testing.assert_allclose(found.foreground[10, 10], FRONT, atol=0.05)
    np.testing.assert_allclose(found.background[48, 48], BACK, atol=0.05)


def test_a_pixel_that_alpha_does_not_explain_is_no_black_hole() -> None:
    """A speck in the plate, darker than any mix of the two layers."""
    alpha = ball()
    plate = mixed(alpha, (0.6, 0.5, 0.4), (0.9, 0.9, 0.9))
    row, column = (int(one[0]) for one in np.nonzero((alpha > 0.2) & (alpha < 0.4)))
    plate[row, column] = 0.0
    assert estimate_colours(plate, alpha).foreground[row, column].min() > 0.1


def test_a_full_frame_is_quick() -> None:
    """0.3 s of one processor are wanted for 1080p; a quarter of that size, generously."""
    alpha = np.asarray(cv2.resize(ball(96, 6), (960, 540)), np.float32)
    plate = mixed(alpha)
    estimate_colours(plate, alpha)
    began = time.process_time()
    estimate_colours(plate, alpha)
    assert time.process_time() - began < 1.0


def strands(size: int = 128, seed: int = 4) -> FloatImage:
    """Alpha like hair: soft lines at all densities, solid at the left, none at the right."""
    random = np.random.default_rng(seed)
    lines = cv2.GaussianBlur(random.random((size, size), np.float32), (0, 0), 4, sigmaY=1)
    slope = np.linspace(1, 0, size, dtype=np.float32)[None, :]
    alpha = (lines - lines.mean()) / lines.std() * 0.35 + 3 * slope - 1
    return np.asarray(np.clip(alpha, 0, 1), np.float32)


def shown_error(found: FloatImage, true: FloatImage, alpha: FloatImage) -> float:
    soft = (alpha > 0.05) & (alpha < 0.95)
    return float((np.abs(found - true).mean(2) * alpha)[soft].mean())


def test_dark_hair_before_bright_lights_keeps_its_colour() -> None:
    """What the mix does not explain belongs to the brighter layer, whose texture is stronger."""
    alpha = strands()
    front, back = 0.05 * textured(128, 1), 4 * textured(128, 2) ** 3
    found = estimate_colours(mixed(alpha, front, back), alpha).foreground
    assert shown_error(found, front, alpha) < 0.003


@pytest.mark.parametrize(("front_px", "back_px", "most"), [(1, 12, 0.0085), (12, 1, 0.0125)])
def test_the_smoother_layer_is_taken_to_be_smooth(
    front_px: float, back_px: float, most: float
) -> None:
    """A wall behind fur, or a plain leaf before gravel: measured where each is alone."""
    alpha = strands()
    random = np.random.default_rng(8)
    front, back = (
        0.3 + cv2.GaussianBlur(random.random((128, 128, 3), np.float32), (0, 0), px)
        for px in (front_px, back_px)
    )
    found = estimate_colours(mixed(alpha, front, back), alpha).foreground
    assert shown_error(found, front, alpha) < most


def test_any_number_of_threads_gives_the_same_bytes() -> None:
    import torch

    alpha = np.asarray(cv2.resize(strands(), (700, 400)), np.float32)
    plate = mixed(alpha, cv2.resize(textured(), (700, 400)), 0.5)
    before, found = torch.get_num_threads(), set()
    try:
        for threads in (1, 2, 3, 5):
            torch.set_num_threads(threads)
            colours = estimate_colours(plate, alpha)
            found.add(colours.foreground.tobytes() + colours.background.tobytes())
    finally:
        torch.set_num_threads(before)
    assert len(found) == 1


def test_strips_give_the_values_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    alpha = strands(192)
    plate = mixed(alpha, textured(192, 1), textured(192, 2))
    whole = estimate_colours(plate, alpha)
    monkeypatch.setattr(estimation, "_STRIP_PX", 192 * 20)
    strips = estimate_colours(plate, alpha)
    assert whole.foreground.tobytes() == strips.foreground.tobytes()
    assert whole.background.tobytes() == strips.background.tobytes()


def test_a_plate_that_must_not_be_written_to_is_left_alone() -> None:
    alpha = ball()
    plate = mixed(alpha)
    plate.flags.writeable = alpha.flags.writeable = False
    kept = plate.copy()
    estimate_colours(plate, alpha)
    np.testing.assert_array_equal(plate, kept)
