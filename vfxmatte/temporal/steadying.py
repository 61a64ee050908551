"""Average a matte with its neighbours' along the motion, where pictures and mattes agree.

Two-sided, so that nothing lags behind, and inside the unknown region alone; gaps are closed first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np

from vfxmatte.propagation.flow import looked_up, positions, resized_flow
from vfxmatte.temporal.gaps import filled
from vfxmatte.temporal.moment import Moment, Neighbour, foreground_motion
from vfxmatte.trimaps import box_around
from vfxmatte.types import FloatImage, Mask, Picture

_ALIKE = 20.0  # mean absolute difference, of 255, at which a neighbour's alpha counts for 1/e
_MEAN = np.full((1, 3), 1 / 3, np.float32)  # of three channels
_BLUR_PX = 3  # side of the squares over which pictures are compared
_AGREEING = 0.25  # mean difference of alpha at which a neighbour's counts for 1/e
_REGIONS = 90  # squares over which alpha is compared, along the frame's longest side
_SAME = 0.4  # difference of a pixel's alpha at which a neighbour's counts for 1/e


def steadied(
    now: Moment, neighbours: Sequence[Neighbour], unknown: Mask, *, strength: float
) -> FloatImage:
    """Close a matte's gaps, and average it with its neighbours', each weighed by how alike pictures
    and mattes are there.

    Args:
        neighbours: of both sides, or of one.
        unknown: (H, W) bool; alpha changes nowhere else.
        strength: 0 to 1, see `TemporalSettings`.
    Returns:
        (H, W) float32 in [0, 1].
    """
    if not neighbours or not unknown.any():
        return now.alpha
    motions = [foreground_motion(now.alpha, neighbour.flows) for neighbour in neighbours]
    box = box_around(unknown, 0)
    inside, solved = unknown[box], now.alpha[box]
    own = filled(now, neighbours, motions, unknown)[box]
    total, weights = own.copy(), np.ones_like(own)
    for neighbour, flow in zip(neighbours, motions, strict=True):
        weight = _to_box(_alikeness(now.picture, neighbour.moment.picture, flow), unknown, box)
        where = _positions_in_box(flow, unknown, box)
        other = looked_up(neighbour.moment.alpha, where)
        weight = weight * _agreement(own, other, max(unknown.shape))
        total += weight * other
        weights += weight
    average = np.clip(solved + strength * (total / weights - solved), 0, 1)
    alpha = now.alpha.copy()
    alpha[box][inside] = average[inside]
    return alpha


def _alikeness(now: Picture, other: Picture, flow: FloatImage) -> FloatImage:
    """Return (h, w) float32 in (0, 1]: how alike a picture and the other along `flow` are."""
    followed = looked_up(other, positions(now.shape[:2]) + resized_flow(flow, now.shape[:2]))
    difference = cv2.transform(cv2.absdiff(followed, now).astype(np.float32), _MEAN)
    difference = cv2.blur(difference, (_BLUR_PX, _BLUR_PX))
    return np.asarray(np.exp(-np.square(difference / _ALIKE)), np.float32)


def _agreement(own: FloatImage, other: FloatImage, longest: int) -> FloatImage:
    """Return (h, w) float32 in (0, 1]: how alike two mattes are at and around each pixel.

    Flicker is a small difference; a limb that has moved on, on a ground like itself, a large one,
    and so is a strand that the motion does not quite meet.
    """
    side = max(_BLUR_PX, round(longest / _REGIONS))
    difference = other - own
    around = cv2.blur(difference, (side, side))
    apart = np.square(around / _AGREEING) + np.square(difference / _SAME)
    return np.asarray(np.exp(-apart), np.float32)


def _to_box(plane: FloatImage, unknown: Mask, box: tuple[slice, slice]) -> FloatImage:
    height, width = unknown.shape
    if plane.shape == unknown.shape:
        return plane[box]
    return cast(FloatImage, cv2.resize(plane, (width, height))[box])


def _positions_in_box(flow: FloatImage, unknown: Mask, box: tuple[slice, slice]) -> FloatImage:
    """Return where the pixels of a box lie in the neighbour, (x, y) in px of the full frame."""
    return cast(FloatImage, (positions(unknown.shape) + resized_flow(flow, unknown.shape))[box])
