"""Average a matte with its neighbours' along the motion, where pictures and mattes agree.

Two-sided, so that nothing lags behind, and inside the unknown region alone. The motion in soft
edges is that of the solid foreground beside them: hair moves with the head, while the optical flow
there follows now the strands, now what shines through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from vfxmatte.propagation.flow import (
    FlowPair,
    consistency_error,
    flow_pair,
    grey,
    looked_up,
    positions,
    resized_flow,
    spread,
)
from vfxmatte.trimaps import box_around
from vfxmatte.types import FloatImage, Mask, Picture

LONGEST_PX = 960
"""Longest side of the pictures that the motion is estimated on."""
_SOLID_POWER = 4  # of alpha: how much more solid parts decide the motion around them
_DOUBT_PX = 1.0  # forward-backward error at which a pixel's motion counts for 1/e
_ALIKE = 20.0  # mean absolute difference, of 255, at which a neighbour's alpha counts for 1/e
_MEAN = np.full((1, 3), 1 / 3, np.float32)  # of three channels
_BLUR_PX = 3  # side of the squares over which pictures are compared
_AGREEING = 0.25  # mean difference of alpha at which a neighbour's counts for 1/e
_REGIONS = 90  # squares over which alpha is compared, along the frame's longest side


@dataclass(frozen=True, kw_only=True, eq=False)
class Moment:
    """A matte as it was solved, and its picture."""

    alpha: FloatImage
    """(H, W) float32 in [0, 1]."""
    picture: Picture
    """(h, w, 3) uint8, see `picture_of`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbour:
    """The moment before or after, and the motion there and back."""

    moment: Moment
    flows: FlowPair
    """Forward from this moment to the neighbour; of half the picture's size."""


def picture_of(encoded: FloatImage) -> Picture:
    """Return an 8-bit picture, at most `LONGEST_PX` long, of (H, W, 3) float32 as encoded."""
    height, width = encoded.shape[:2]
    scale = LONGEST_PX / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        encoded = cast(FloatImage, cv2.resize(encoded, size, interpolation=cv2.INTER_AREA))
    return np.asarray(np.rint(np.clip(encoded, 0, 1) * 255), np.uint8)


def flows_between(first: Picture, second: Picture) -> FlowPair:
    """Estimate the motion between two frames' pictures of one size."""
    return flow_pair(grey(first), grey(second))


def steadied(
    now: Moment, neighbours: Sequence[Neighbour], unknown: Mask, *, strength: float
) -> FloatImage:
    """Average alpha with the neighbours', each weighed by how alike pictures and mattes are there.

    Args:
        neighbours: of both sides, or of one.
        unknown: (H, W) bool; alpha changes nowhere else.
        strength: 0 to 1, see `TemporalSettings`.
    Returns:
        (H, W) float32 in [0, 1].
    """
    if not neighbours or not unknown.any():
        return now.alpha
    box = box_around(unknown, 0)
    inside = unknown[box]
    own = now.alpha[box]
    total, weights = own.copy(), np.ones_like(own)
    for neighbour in neighbours:
        flow = _motion(now.alpha, neighbour.flows)
        weight = _to_box(_alikeness(now.picture, neighbour.moment.picture, flow), unknown, box)
        where = _positions_in_box(flow, unknown, box)
        other = looked_up(neighbour.moment.alpha, where)
        weight = weight * _agreement(own, other, max(unknown.shape))
        total += weight * other
        weights += weight
    average = np.clip(own + strength * (total / weights - own), 0, 1)
    alpha = now.alpha.copy()
    alpha[box][inside] = average[inside]
    return alpha


def _motion(alpha: FloatImage, flows: FlowPair) -> FloatImage:
    """Return the solid foreground's flow, continued into soft edges; of the flows' size."""
    height, width = flows.forward.shape[:2]
    small = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA)
    doubt = consistency_error(flows.forward, flows.backward) / _DOUBT_PX
    solid = small**_SOLID_POWER * np.exp(-np.square(doubt))
    return spread(flows.forward, np.asarray(solid, np.float32))


def _alikeness(now: Picture, other: Picture, flow: FloatImage) -> FloatImage:
    """Return (h, w) float32 in (0, 1]: how alike a picture and the other along `flow` are."""
    followed = looked_up(other, positions(now.shape[:2]) + resized_flow(flow, now.shape[:2]))
    difference = cv2.transform(cv2.absdiff(followed, now).astype(np.float32), _MEAN)
    difference = cv2.blur(difference, (_BLUR_PX, _BLUR_PX))
    return np.asarray(np.exp(-np.square(difference / _ALIKE)), np.float32)


def _agreement(own: FloatImage, other: FloatImage, longest: int) -> FloatImage:
    """Return (h, w) float32 in (0, 1]: how alike two mattes are around each pixel.

    Flicker is a small difference; a limb that has moved on, on a ground like itself, a large one.
    """
    side = max(_BLUR_PX, round(longest / _REGIONS))
    difference = cv2.blur(other - own, (side, side))
    return np.asarray(np.exp(-np.square(difference / _AGREEING)), np.float32)


def _to_box(plane: FloatImage, unknown: Mask, box: tuple[slice, slice]) -> FloatImage:
    height, width = unknown.shape
    if plane.shape == unknown.shape:
        return plane[box]
    return cast(FloatImage, cv2.resize(plane, (width, height))[box])


def _positions_in_box(flow: FloatImage, unknown: Mask, box: tuple[slice, slice]) -> FloatImage:
    """Return where the pixels of a box lie in the neighbour, (x, y) in px of the full frame."""
    return cast(FloatImage, (positions(unknown.shape) + resized_flow(flow, unknown.shape))[box])
