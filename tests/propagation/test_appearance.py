"""What foreground and background look like, from examples."""

import numpy as np
import pytest

from vfxmatte.propagation.appearance import (
    AppearanceSettings,
    Examples,
    appearance,
    examples,
    foreground_likelihood,
)
from vfxmatte.types import FOREGROUND, UNKNOWN

SETTINGS = AppearanceSettings(grid_px=80, blur_px=0.5)
RED, BLUE = (200, 40, 30), (30, 60, 200)


def halves(width=160, height=90, left=RED, right=BLUE):
    """A red left half and a blue right half, with grain; the seam is unknown."""
    picture = np.zeros((height, width, 3), np.float32)
    picture[:, : width // 2], picture[:, width // 2 :] = left, right
    picture += np.random.default_rng(3).normal(0, 4, picture.shape)
    labels = np.zeros((height, width), np.uint8)
    labels[:, : width // 2] = FOREGROUND
    labels[:, width // 2 - 12 : width // 2 + 12] = UNKNOWN
    return np.clip(picture, 0, 255).astype(np.uint8), labels


@pytest.mark.parametrize("shape, grid", [((90, 160), (45, 80)), ((1, 1), (1, 1)), ((33, 57), None)])
def test_the_grid(shape, grid):
    looks = appearance(np.zeros((*shape, 3), np.uint8), SETTINGS)
    assert looks.shape == (*(grid or shape), 5) and looks.dtype == np.float32


def test_place_is_the_same_at_any_size():
    small, large = (appearance(np.zeros((s, 2 * s, 3), np.uint8), SETTINGS) for s in (40, 160))
    assert np.allclose(small[..., 3:][:: small.shape[0] - 1].max(), large[..., 3:].max(), atol=0.01)


def test_examples_are_certain_near_and_not_too_many():
    picture, labels = halves()
    settings = AppearanceSettings(grid_px=80, nearby_px=20, examples=100)
    looks = appearance(picture, settings)
    known = examples(looks, labels, settings)
    assert len(known.foreground) == len(known.background) == 100
    across = known.foreground[:, 3] * 160 / settings.place
    assert across.min() > 80 - 12 - 20 - 2 and across.max() < 80 - 12
    assert len(examples(looks, labels, settings, share=0.5).foreground) == 50


def test_a_pixel_is_what_it_looks_like():
    picture, labels = halves()
    looks = appearance(picture, SETTINGS)
    likelihood = foreground_likelihood(looks, examples(looks, labels, SETTINGS), SETTINGS)
    assert likelihood.shape == looks.shape[:2] and likelihood.dtype == np.float32
    assert likelihood[:, :38].min() > 0.9 and likelihood[:, 42:].max() < 0.1


def test_alike_colours_are_told_by_place_alone_and_not_surely():
    picture, labels = halves(left=BLUE)
    looks = appearance(picture, SETTINGS)
    likelihood = foreground_likelihood(looks, examples(looks, labels, SETTINGS), SETTINGS)
    assert 0.1 < np.median(likelihood[:, 39:41]) < 0.9


def test_too_few_examples_tell_nothing():
    picture, labels = halves()
    looks = appearance(picture, SETTINGS)
    known = examples(looks, labels, SETTINGS)
    few = Examples(foreground=known.foreground[:9], background=known.background)
    assert foreground_likelihood(looks, few, SETTINGS) is None
    assert foreground_likelihood(looks, Examples.joined([few, known]), SETTINGS) is not None
