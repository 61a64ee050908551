"""The pixels of every level of the network that the unknown pixels depend on.

A layer's result at a pixel follows from its input at the pixels around it, so the pixels that the
unknown region depends on are those within a certain distance of it: 0 px for alpha, 8 px for the
last decoder step, 189 px for the picture itself. Each level (full size, half, quarter, …) has
*one* list of pixels, ordered by distance: what any layer needs is then the list's beginning, and
all layers of a level share one numbering of rows.

Sparse convolution on lists of active pixels: Graham, Engelcke and van der Maaten, CVPR 2018.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

BORDER = 3
"""Rows and columns around a level's table that belong to no pixel: the widest reach of a layer."""


@dataclass(frozen=True, kw_only=True)
class LevelReach:
    """The reach of a level's layers from the unknown region, in px of the full picture.

    At the lowest level the decoder's step is its entry.
    """

    encoder_in: int
    """The input of the level's encoder layers."""
    encoder: tuple[int, ...]
    """The result of each of them, first to last."""
    decoder_in: int
    """The input of the decoder's step."""
    decoder: int
    """Its result."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """The reach of all levels."""

    levels: tuple[LevelReach, ...]
    """From the full picture down."""
    refinement: tuple[int, ...]
    """The results of stage 1 and of the refinement's layers."""

    def at_most(self, px: int) -> Reach:
        """Limit the reach to `px`: faster, and no longer exact."""
        return Reach(
            levels=tuple(
                LevelReach(
                    encoder_in=min(level.encoder_in, px),
                    encoder=tuple(min(distance, px) for distance in level.encoder),
                    decoder_in=min(level.decoder_in, px),
                    decoder=min(level.decoder, px),
                )
                for level in self.levels
            ),
            refinement=tuple(min(distance, px) for distance in self.refinement),
        )

    def thresholds(self, level: int) -> list[int]:
        """Return every distance at which a layer of this level ends, ascending."""
        own = self.levels[level]
        distances = {own.encoder_in, *own.encoder, own.decoder_in, own.decoder}
        if level == 0:
            distances |= {0, *self.refinement}
        return sorted(distances)


def exact_reach(kernels: Sequence[Sequence[int]], *, refinement_layers: int) -> Reach:
    """Compute what the dense result depends on, from the last layer back to the picture.

    A convolution that reaches r px of its level needs its input r·2^level px further; a pooling's
    result needs its four pixels, the furthest of which is one pixel of their level further away;
    an unpooling needs the pixel's own parent, which is never further.

    Args:
        kernels: sides of the encoder's kernels, level by level; all levels but the last are pooled.
        refinement_layers: 3×3 convolutions of stage 2, 0 without it.
    """
    refinement = tuple(range(refinement_layers, -1, -1))
    lowest = len(kernels) - 1
    decoder, decoder_in = [refinement[0] + 2], []
    for level in range(lowest):
        decoder_in.append(decoder[level] + (2 << level))
        decoder.append(decoder_in[level])
    decoder_in.append(decoder[lowest])
    levels: list[LevelReach] = []
    for level in reversed(range(lowest + 1)):
        last = levels[0].encoder_in + (1 << level) if levels else decoder[lowest]
        distances = [last]
        for kernel in reversed(kernels[level]):
            distances.insert(0, distances[0] + (kernel // 2 << level))
        levels.insert(
            0,
            LevelReach(
                encoder_in=distances[0],
                encoder=tuple(distances[1:]),
                decoder_in=decoder_in[level],
                decoder=decoder[level],
            ),
        )
    return Reach(levels=tuple(levels), refinement=refinement)


@dataclass(frozen=True, kw_only=True, eq=False)
class PixelLevel:
    """The listed pixels of one level, nearest first, in raster order where equally near."""

    shape: tuple[int, int]
    """(h, w) of the level."""
    y: NDArray[np.int32]
    """(n,) rows of the pixels."""
    x: NDArray[np.int32]
    """(n,) columns of the pixels."""
    thresholds: tuple[int, ...]
    """Distances, ascending."""
    counts: tuple[int, ...]
    """How many pixels are within each of them."""
    table: NDArray[np.int32]
    """((h + 2·BORDER) · (w + 2·BORDER),) each place's row in the list; n if it is not listed."""

    def __len__(self) -> int:
        return len(self.y)

    @property
    def arrays(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
        """y, x and the table, which a device needs."""
        return self.y, self.x, self.table

    @property
    def pitch(self) -> int:
        """The number of places in a row of the table."""
        return self.shape[1] + 2 * BORDER

    def within(self, distance: int) -> int:
        """Return how many pixels, from the list's beginning, are within one of the thresholds."""
        return self.counts[bisect_right(self.thresholds, distance) - 1]


@dataclass(frozen=True, kw_only=True, eq=False)
class PixelPyramid:
    """The listed pixels of all levels, from the full picture down."""

    levels: tuple[PixelLevel, ...]
    reach: Reach

    @property
    def unknown(self) -> int:
        """The number of unknown pixels: the first of the full level, in raster order."""
        return self.levels[0].within(0)


def pixel_pyramid(unknown: NDArray[np.bool_], reach: Reach) -> PixelPyramid:
    """List the pixels that the unknown ones depend on.

    Args:
        unknown: (H, W), multiples of 32, with at least one True.
        reach: of each layer.
    """
    furthest = reach.levels[0].encoder_in
    distance = _distance(unknown, furthest)
    levels = []
    for level in range(len(reach.levels)):
        if level:
            distance = _halved(distance)
        levels.append(_listed(distance, reach.thresholds(level)))
    return PixelPyramid(levels=tuple(levels), reach=reach)


def _distance(unknown: NDArray[np.bool_], furthest: int) -> NDArray[np.uint16]:
    """Measure the chessboard distance to the nearest unknown pixel, at most furthest + 1 px."""
    away = cv2.distanceTransform((~unknown).view(np.uint8), cv2.DIST_C, 3)
    return np.minimum(away, furthest + 1, out=away).astype(np.uint16)


def _halved(distance: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Halve the size; each pixel has the distance of the nearest of its four."""
    rows = np.minimum(distance[::2], distance[1::2])
    return np.minimum(rows[:, ::2], rows[:, 1::2])


def _listed(distance: NDArray[np.uint16], thresholds: list[int]) -> PixelLevel:
    classes = np.searchsorted(thresholds, np.arange(int(distance.max()) + 1)).astype(np.uint8)
    ring = classes[distance]
    inside = np.flatnonzero(ring.reshape(-1) < len(thresholds))
    rings = ring.reshape(-1)[inside]
    order = inside[np.argsort(rings, kind="stable")]
    counts = np.cumsum(np.bincount(rings, minlength=len(thresholds)))
    height, width = distance.shape
    y, x = np.divmod(order.astype(np.int32), np.int32(width))
    table = np.full((height + 2 * BORDER, width + 2 * BORDER), len(order), np.int32)
    table[y + BORDER, x + BORDER] = np.arange(len(order), dtype=np.int32)
    return PixelLevel(
        shape=(height, width),
        y=y,
        x=x,
        thresholds=tuple(thresholds),
        counts=tuple(int(count) for count in counts),
        table=table.reshape(-1),
    )
