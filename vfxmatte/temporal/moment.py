"""Solved mattes of neighbouring frames, and the motion between them.

The motion in soft edges is that of the solid foreground beside them: hair moves with the head,
while the optical flow there follows now the strands, now what shines through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from vfxmatte.propagation.flow import FlowPair, consistency_error, flow_pair, grey, spread
from vfxmatte.types import FloatImage, Picture

LONGEST_PX = 960
"""Longest side of the pictures that the motion is estimated on."""
_SOLID_POWER = 4  # of alpha: how much more solid parts decide the motion around them
_DOUBT_PX = 1.0  # forward-backward error at which a pixel's motion counts for 1/e


@dataclass(frozen=True, kw_only=True, eq=False)
class Moment:
    """A matte as it was solved, and its picture."""

    alpha: FloatImage
    """(H, W) float32 in [0, 1]."""
    picture: Picture
    """(h, w, 3) uint8, see `picture_of`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbour:
    """The moment before or after another one, and the motion there and back."""

    moment: Moment
    flows: FlowPair
    """Forward from the other moment to this one; of half the picture's size."""
    beyond: Neighbour | None = None
    """The next one in the same direction, as the neighbour of this one."""


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


def foreground_motion(alpha: FloatImage, flows: FlowPair) -> FloatImage:
    """Return the solid foreground's flow, continued into soft edges; of the flows' size."""
    doubt = consistency_error(flows.forward, flows.backward) / _DOUBT_PX
    solid = reduced(alpha, flows) ** _SOLID_POWER * np.exp(-np.square(doubt))
    return spread(flows.forward, np.asarray(solid, np.float32))


def reduced(alpha: FloatImage, flows: FlowPair) -> FloatImage:
    """Return (H, W) alpha at the flows' size."""
    height, width = flows.forward.shape[:2]
    return cast(FloatImage, cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA))
