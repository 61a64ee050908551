"""A stroke drawn roughly along an edge of the picture, moved onto that edge."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.types import UNKNOWN, FloatImage, Labels

_STEP_PX = 2.0  # between the points that are moved
_SMOOTH_PX = 1.2  # of the picture before its gradient is taken
_MOST_POINTS = 20_000
_AWAY = 0.15  # of the strongest edge: what it costs to leave the drawn line by its whole reach
_BEND = 0.05  # and to move by a pixel from one point to the next

Points = NDArray[np.float32]


def band_along(
    image: FloatImage, labels: Labels, stroke: Points, *, reach_px: float, width_px: float
) -> Labels:
    """Return labels with an unknown band along the edge that a stroke follows.

    Args:
        image: (H, W, 3) float32, as on a display.
        labels: (H, W).
        stroke: (N, 2) float32 x, y in px.
        reach_px: how far from the stroke the edge may be.
        width_px: width of the band.
    """
    line = _evenly_spaced(stroke)
    if len(line) > 1:
        line = _onto_the_edge(image, line, reach_px)
    drawn = labels.copy()
    fixed = np.rint(np.concatenate([line, line[-1:]]) * 16).astype(np.int32)[:, None]
    cv2.polylines(drawn, [fixed], False, UNKNOWN, max(1, round(width_px)), cv2.LINE_8, 4)
    return drawn


def _evenly_spaced(stroke: Points) -> Points:
    lengths = np.hypot(*np.diff(stroke, axis=0).T) if len(stroke) > 1 else np.zeros(0)
    along = np.concatenate(([0.0], np.cumsum(lengths)))
    count = int(np.clip(np.ceil(along[-1] / _STEP_PX) + 1, 1, _MOST_POINTS))
    places = np.linspace(0, along[-1], count)
    return np.stack([np.interp(places, along, axis) for axis in stroke.T], 1).astype(np.float32)


def _onto_the_edge(image: FloatImage, line: Points, reach_px: float) -> Points:
    """Move each point across the line to where the picture changes most, bending little."""
    reach = max(1, round(reach_px))
    ahead = np.gradient(line, axis=0)
    across = np.stack([-ahead[:, 1], ahead[:, 0]], 1)
    across = across / np.maximum(np.hypot(*across.T), 1e-6)[:, None]
    offsets = np.arange(-reach, reach + 1, dtype=np.float32)
    places = (line[:, None] + offsets[:, None] * across[:, None]).astype(np.float32)
    looked_up = cv2.remap(_edges(image, places), *_local(places), cv2.INTER_LINEAR)
    strength = np.asarray(looked_up / max(float(looked_up.max()), 1e-6), np.float32)
    cost = np.asarray(_AWAY * (np.abs(offsets) / reach) ** 2 - strength, np.float32)
    return np.asarray(line + offsets[_cheapest(cost)][:, None] * across, np.float32)


def _box(places: Points) -> tuple[int, int, int, int]:
    low, high = places.reshape(-1, 2).min(0), places.reshape(-1, 2).max(0)
    return int(low[0]) - 4, int(low[1]) - 4, int(high[0]) + 5, int(high[1]) + 5


def _edges(image: FloatImage, places: Points) -> FloatImage:
    """Return how much the picture changes around each pixel of the box that holds `places`."""
    left, top, right, bottom = _box(places)
    rows = np.clip(np.arange(top, bottom), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(left, right), 0, image.shape[1] - 1)
    smooth = cv2.GaussianBlur(image[np.ix_(rows, columns)], (0, 0), _SMOOTH_PX)
    x, y = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    return np.asarray(np.sqrt((x * x + y * y).sum(2)), np.float32)


def _local(places: Points) -> tuple[FloatImage, FloatImage]:
    left, top, _, _ = _box(places)
    return places[..., 0] - np.float32(left), places[..., 1] - np.float32(top)


def _cheapest(cost: FloatImage) -> NDArray[np.intp]:
    """Return one column for each row, neighbours a column apart at most, of least total cost."""
    total = cost[0].copy()
    came_from = np.zeros(cost.shape, np.int8)
    for row in range(1, len(cost)):
        padded = np.pad(total, 1, constant_values=np.inf)
        moves = np.stack([padded[:-2] + _BEND, padded[1:-1], padded[2:] + _BEND])
        best = moves.argmin(0)
        came_from[row] = best - 1
        total = np.take_along_axis(moves, best[None], 0)[0] + cost[row]
    chosen = np.empty(len(cost), np.intp)
    chosen[-1] = int(total.argmin())
    for row in range(len(cost) - 1, 0, -1):
        chosen[row - 1] = chosen[row] + came_from[row, chosen[row]]
    return chosen
