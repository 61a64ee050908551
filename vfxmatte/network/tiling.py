"""Tiles: windows that the network computes, and the cores of these that are kept.

Windows of the (padded) picture lie on multiples of the network's stride and reach at least the halo
beyond their core, so that a tiled result is exactly the dense one; at the picture's border the
window ends where the picture ends, as in the dense pass. Tiles without unknown pixels are omitted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vfxmatte.types import UNKNOWN, FloatImage, Labels

_LENGTH_STEP_PX = 128
"""Window lengths are multiples of this where the picture allows, so that few shapes occur: every
new shape costs a convolution library time, and memory that it does not release."""

_CORES_PX = (128, 192, 256, 384, 512, 768, 1024, 1536, 2048)


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle of padded picture pixels, ends exclusive."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left

    @property
    def area(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A part of the picture to compute."""

    window: Box
    """The network's input."""
    core: Box
    """The part of it whose result is kept."""

    @property
    def core_in_window(self) -> tuple[slice, slice]:
        top, left = self.core.top - self.window.top, self.core.left - self.window.left
        height, width = self.core.shape
        return slice(top, top + height), slice(left, left + width)


def padded_size(height: int, width: int, stride: int) -> tuple[int, int]:
    """Round the sizes up to multiples of `stride`."""
    return -(-height // stride) * stride, -(-width // stride) * stride


def pad_reflect(image: FloatImage, height: int, width: int) -> FloatImage:
    """Extend (H, W[, C]) to (height, width) at the bottom and right by reflection.

    A picture smaller than its padding is reflected repeatedly.
    """
    rows = reflected(image.shape[0], height)
    columns = reflected(image.shape[1], width)
    if len(rows) == image.shape[0] and len(columns) == image.shape[1]:
        return image
    return np.ascontiguousarray(image[rows][:, columns])


def reflected(size: int, padded: int) -> NDArray[np.intp]:
    """Return the index, below `size`, of each padded place; ends are not doubled."""
    if size == 1:
        return np.zeros(padded, np.intp)
    index = np.arange(padded) % (2 * size - 2)
    return np.where(index < size, index, 2 * size - 2 - index)


def plan_tiles(labels: Labels, *, stride: int, halo_px: int, max_window_px: int) -> list[Tile]:
    """Choose the cheapest tiles that compute every unknown pixel exactly; [] without any.

    Candidates are one window around everything unknown, and grids of square cores of several sizes;
    all windows of a grid have the same shape, so that they can be batched.

    Args:
        labels: (H, W) uint8.
        halo_px: a multiple of `stride`.
        max_window_px: most pixels of a window (a single core with its halo may have more).
    """
    unknown = labels == UNKNOWN
    if not unknown.any():
        return []
    size = padded_size(labels.shape[0], labels.shape[1], stride)
    candidates = [[_around_everything(unknown, size, stride, halo_px)]]
    candidates += [_grid(unknown, size, stride, halo_px, core) for core in _CORES_PX]
    fitting = [c for c in candidates if c[0].window.area <= max_window_px]
    if not fitting:
        return min(candidates, key=lambda tiles: tiles[0].window.area)
    return min(fitting, key=lambda tiles: sum(tile.window.area for tile in tiles))


def _around_everything(
    unknown: np.ndarray, size: tuple[int, int], stride: int, halo_px: int
) -> Tile:
    rows, columns = np.flatnonzero(unknown.any(1)), np.flatnonzero(unknown.any(0))
    core = Box(
        top=int(rows[0]), left=int(columns[0]), bottom=int(rows[-1]) + 1,
        right=int(columns[-1]) + 1,
    )  # fmt: skip
    top, bottom = _reach(core.top, core.bottom, size[0], stride, halo_px)
    left, right = _reach(core.left, core.right, size[1], stride, halo_px)
    return Tile(window=Box(top=top, left=left, bottom=bottom, right=right), core=core)


def _reach(start: int, stop: int, size: int, stride: int, halo_px: int) -> tuple[int, int]:
    """Extend a core's span by its halo, on multiples of the stride, inside the picture."""
    low = max(0, (start - halo_px) // stride * stride)
    high = min(size, -(-(stop + halo_px) // stride) * stride)
    length = min(size, -(-(high - low) // _LENGTH_STEP_PX) * _LENGTH_STEP_PX)
    low = min(low, size - length)
    return low, low + length


def _grid(
    unknown: np.ndarray, size: tuple[int, int], stride: int, halo_px: int, core_px: int
) -> list[Tile]:
    """Cut square cores with unknown pixels, in windows of one shape."""
    core_px = -(-core_px // stride) * stride
    tiles = []
    for top, bottom, window_top, window_bottom in _spans(size[0], core_px, halo_px):
        for left, right, window_left, window_right in _spans(size[1], core_px, halo_px):
            if unknown[top:bottom, left:right].any():
                tiles.append(
                    Tile(
                        window=Box(
                            top=window_top, left=window_left,
                            bottom=window_bottom, right=window_right,
                        ),
                        core=Box(
                            top=top, left=left, bottom=min(bottom, unknown.shape[0]),
                            right=min(right, unknown.shape[1]),
                        ),
                    )
                )  # fmt: skip
    return tiles


def _spans(size: int, core_px: int, halo_px: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (core start, core stop, window start, window stop) along one axis.

    Windows near the border are moved inward, so that all have one length.
    """
    length = min(size, core_px + 2 * halo_px)
    for start in range(0, size, core_px):
        stop = min(start + core_px, size)
        window = min(max(0, start - halo_px), size - length)
        yield start, stop, window, window + length
