"""Which pixels are listed, and in which order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vfxmatte.network.reach import BORDER, Reach, exact_reach, pixel_pyramid


def vgg(fc6_kernel: int) -> list[list[int]]:
    """Return the kernels of the paper's encoder."""
    return [*([3] * count for count in (2, 2, 3, 3, 3)), [fc6_kernel]]


def chessboard(unknown: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(H, W) distance to the nearest unknown pixel, the slow way."""
    y, x = np.nonzero(unknown)
    rows, columns = np.indices(unknown.shape)
    away = np.maximum(np.abs(rows[..., None] - y), np.abs(columns[..., None] - x))
    return np.asarray(away.min(2))


@pytest.mark.parametrize(("kernel", "furthest"), [(1, 189), (3, 221), (7, 285)])
def test_the_reach_is_the_network_s(kernel: int, furthest: int) -> None:
    reach = exact_reach(vgg(kernel), refinement_layers=4)
    assert reach.levels[0].encoder_in == furthest
    assert reach.refinement == (4, 3, 2, 1, 0)
    assert [level.decoder_in for level in reach.levels] == [8, 12, 20, 36, 68, 68]


def test_without_a_refinement_stage_1_is_the_end() -> None:
    reach = exact_reach(vgg(1), refinement_layers=0)
    assert reach.refinement == (0,) and reach.levels[0].encoder_in == 185


def test_with_four_poolings_the_last_block_is_not_pooled() -> None:
    reach = exact_reach([[1, 3, 3], [3] * 2, [3] * 3, [3] * 3, [3] * 3], refinement_layers=0)
    lowest = reach.levels[-1]
    assert len(reach.levels) == 5
    assert lowest.encoder == (64, 48, 32) and lowest.encoder_in == 80
    assert reach.levels[0].encoder_in == reach.levels[0].encoder[0], "a 1×1 needs no neighbours"
    assert lowest.decoder == lowest.encoder[-1], "the last convolution is what the decoder takes"


def test_a_shorter_reach_is_nowhere_longer() -> None:
    short = exact_reach(vgg(1), refinement_layers=4).at_most(40)
    assert max(max(short.thresholds(level)) for level in range(6)) == 40
    assert short.levels[0].decoder_in == 8 and short.levels[3].decoder_in == 36


@settings(max_examples=15, deadline=None)
@given(
    height=st.integers(1, 3), width=st.integers(1, 3), seed=st.integers(0, 99),
    many=st.booleans(), limit=st.sampled_from([None, 0, 20]),
)  # fmt: skip
def test_every_level_lists_what_is_near_nearest_first(
    height: int, width: int, seed: int, many: bool, limit: int | None
) -> None:
    random = np.random.default_rng(seed)
    unknown = random.random((32 * height, 32 * width)) < (0.5 if many else 0)
    unknown[random.integers(32 * height), random.integers(32 * width)] = True
    reach: Reach = exact_reach(vgg(1), refinement_layers=4)
    reach = reach if limit is None else reach.at_most(limit)
    pyramid = pixel_pyramid(unknown, reach)
    assert pyramid.unknown == unknown.sum()
    first = pyramid.levels[0]
    np.testing.assert_array_equal(
        np.stack((first.y, first.x))[:, : pyramid.unknown], np.stack(np.nonzero(unknown))
    )
    distance = chessboard(unknown)
    for index, level in enumerate(pyramid.levels):
        size = 1 << index
        coarse = distance.reshape(level.shape[0], size, level.shape[1], size).min((1, 3))
        far = coarse[level.y, level.x]
        for threshold in reach.thresholds(index):
            within = level.within(threshold)
            assert within == (coarse <= threshold).sum()
            assert (far[:within] <= threshold).all()
        table = level.table.reshape(level.shape[0] + 2 * BORDER, level.pitch)
        np.testing.assert_array_equal(
            table[level.y + BORDER, level.x + BORDER], np.arange(len(level))
        )
        assert (table == len(level)).sum() == table.size - len(level)
