"""Tiles cover every unknown pixel, reach their halo, and lie on the stride."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vfxmatte.network.tiling import pad_reflect, padded_size, plan_tiles
from vfxmatte.types import BACKGROUND, UNKNOWN


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 900),
    width=st.integers(1, 900),
    seed=st.integers(0, 1000),
    limit=st.sampled_from([1, 300_000, 10_000_000]),
)
def test_every_unknown_pixel_is_in_one_core_with_its_halo(
    height: int, width: int, seed: int, limit: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = np.full((height, width), BACKGROUND, np.uint8)
    for _ in range(rng.integers(1, 6)):
        labels[rng.integers(height), rng.integers(width)] = UNKNOWN
    tiles = plan_tiles(labels, stride=32, halo_px=64, max_window_px=limit)
    size = padded_size(height, width, 32)
    covered = np.zeros(labels.shape, int)
    for tile in tiles:
        covered[tile.core.slices] += 1
        assert tile.window.shape == tiles[0].window.shape
        assert (labels[tile.core.slices] == UNKNOWN).any()
        for low, high, core_low, core_high, end in (
            (tile.window.top, tile.window.bottom, tile.core.top, tile.core.bottom, size[0]),
            (tile.window.left, tile.window.right, tile.core.left, tile.core.right, size[1]),
        ):
            assert low % 32 == 0 and high % 32 == 0 and 0 <= low < high <= end
            assert low == 0 or core_low - low >= 64
            assert high == end or high - core_high >= 64
    assert (covered[labels == UNKNOWN] == 1).all()


def test_nothing_unknown_needs_no_tile() -> None:
    assert plan_tiles(np.zeros((50, 60), np.uint8), stride=32, halo_px=64, max_window_px=9**9) == []


def test_a_small_band_in_a_large_frame_costs_little() -> None:
    labels = np.zeros((2160, 3840), np.uint8)
    labels[1000:1040, 2000:2040] = UNKNOWN
    tiles = plan_tiles(labels, stride=32, halo_px=192, max_window_px=4_000_000)
    assert sum(tile.window.area for tile in tiles) < 0.05 * labels.size


def test_windows_keep_to_the_limit_where_the_halo_allows() -> None:
    labels = np.full((1080, 1920), UNKNOWN, np.uint8)
    tiles = plan_tiles(labels, stride=32, halo_px=192, max_window_px=600_000)
    assert all(tile.window.area <= 600_000 for tile in tiles)


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (33, 57), (64, 64, 3), (1, 40, 4)])
def test_padding_reflects_whatever_the_size(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).random(shape, np.float32)
    padded = pad_reflect(image, 96, 96)
    assert padded.shape == (96, 96, *shape[2:])
    np.testing.assert_array_equal(padded[: shape[0], : shape[1]], image)
    if shape[0] > 2:
        np.testing.assert_array_equal(padded[shape[0], : shape[1]], image[-2])
