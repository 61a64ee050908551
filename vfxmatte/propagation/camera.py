"""The camera's motion over a segment, as certain background shows it.

From each frame to the next a homography is fitted to the optical flow of certain background; their
products lead from any frame to any other. What they leave over, where the background is not one
plane, a small flow between the two aligned pictures makes good; behind the subject it is continued
from around it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.propagation.flow import (
    FlowPair,
    consistency_error,
    dense_flow,
    halved,
    looked_up,
    positions,
    resized_flow,
    spread,
)
from vfxmatte.types import FloatImage, Mask, Picture

Homography = NDArray[np.float64]
"""(3, 3), from the px of one frame to those of another."""

_STRIDE = 4  # of the pixels that a homography is fitted to
_CONSISTENT_PX = 0.5  # forward-backward error of those
_FIT_PX = 1.0  # tolerance of the fit
_FEWEST = 50  # pixels that a homography is fitted to
_DOUBT_PX = 0.2  # forward-backward error at which the weight of what is left over has halved
_MOST_ZOOM = 4.0  # of a picture's area from frame to frame
_EDGE_PX = 1  # so near the picture's edge nothing is looked up


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Homographies between the neighbouring frames of a segment."""

    numbers: Sequence[int]
    """The frames, ascending."""
    steps: Mapping[int, Homography | None]
    """From each frame to the next one; None where the background does not tell."""

    @classmethod
    def fitted(
        cls,
        numbers: Sequence[int],
        flow: Callable[[int], FlowPair],
        background: Callable[[int], Mask],
    ) -> Camera:
        """Fit a camera to the motion of the background.

        Args:
            numbers: the frames, ascending.
            flow: gives the flow from a frame to the next.
            background: gives certain background, (h, w) bool of the flow's size.
        """
        steps = {number: _step(flow(number), background(number)) for number in numbers[:-1]}
        return cls(numbers=numbers, steps=steps)

    def way(self, number: int, other: int) -> Homography | None:
        """Return the homography from one frame to another; None where a step is missing."""
        start, end = sorted((self.numbers.index(number), self.numbers.index(other)))
        way: Homography = np.eye(3)
        for one in self.numbers[start:end]:
            step = self.steps[one]
            if step is None:
                return None
            way = step @ way
        return way if number <= other else np.asarray(np.linalg.inv(way), np.float64)


def _step(pair: FlowPair, background: Mask) -> Homography | None:
    consistent = consistency_error(pair.forward, pair.backward) < _CONSISTENT_PX
    rows, columns = np.nonzero((background & consistent)[::_STRIDE, ::_STRIDE])
    if len(rows) < _FEWEST:
        return None
    rows, columns = rows * _STRIDE, columns * _STRIDE
    start = np.stack([columns, rows], axis=1).astype(np.float32)
    end = start + pair.forward[rows, columns]
    homography: Any = cv2.findHomography(start, end, cv2.USAC_MAGSAC, _FIT_PX)[0]
    return homography if _is_sound(homography, background.shape) else None


def _is_sound(homography: Homography | None, shape: tuple[int, ...]) -> bool:
    """Return True for a homography that keeps a picture's corners in order, and its size."""
    if homography is None or not np.isfinite(homography).all():
        return False
    height, width = shape
    corners = np.array([(0, 0, 1), (width, 0, 1), (width, height, 1), (0, height, 1)], np.float64)
    x, y, depth = homography @ corners.T
    if depth.min() <= 0:
        return False
    outline = np.stack([x / depth, y / depth], axis=1).astype(np.float32)
    share = cv2.contourArea(outline, oriented=True) / (height * width)
    return bool(1 / _MOST_ZOOM < share < _MOST_ZOOM)


@dataclass(frozen=True, kw_only=True, eq=False)
class Ground:
    """One frame: its picture in grey, (h, w) uint8, and where it is certain background, bool."""

    grey: Picture
    background: Mask


def followed(way: Homography, source: Ground, target: Ground) -> FloatImage:
    """Return where the background of one frame lies in another, (h, w, 2) float32 px.

    Args:
        way: from `source` to `target`.
    """
    height, width = source.grey.shape
    start = positions((height, width))
    aligned = cv2.perspectiveTransform(start.reshape(-1, 1, 2).astype(np.float64), way)
    where = cast(FloatImage, aligned.reshape(height, width, 2).astype(np.float32))
    one, other = halved(source.grey), halved(cast(Picture, looked_up(target.grey, where)))
    forward, backward = dense_flow(one, other), dense_flow(other, one)
    common = source.background & seen(target.background, where)
    share = cv2.resize(common.astype(np.float32), one.shape[::-1], interpolation=cv2.INTER_AREA)
    doubt = consistency_error(forward, backward) / np.float32(_DOUBT_PX)
    rest = spread(forward, np.asarray((share > 0.99) / (1 + doubt * doubt), np.float32))
    return cast(FloatImage, looked_up(where, start + resized_flow(rest, (height, width))))


def seen(region: Mask, where: FloatImage) -> Mask:
    """Look a region up: (h, w) bool, True where it is hit with all of a pixel."""
    height, width = region.shape
    hit = looked_up(region.astype(np.float32), where) > 0.99
    x, y = where[..., 0], where[..., 1]
    inside = (x >= _EDGE_PX) & (x < width - 1 - _EDGE_PX) & (y >= _EDGE_PX)
    return np.asarray(hit & inside & (y < height - 1 - _EDGE_PX))
