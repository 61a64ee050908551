"""Trimap labels from what Blender's masks cover: numpy only, knows nothing of Blender.

Labels are (H, W) uint8 with 0 background, 128 unknown, 255 foreground. The rules are those of
`vfxmatte trimap from-matte`, which the tests compare them with.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BACKGROUND, UNKNOWN, FOREGROUND = 0, 128, 255
EMPTY_UP_TO, SOLID_FROM = 0.02, 0.98
"""Coverage up to the one is outside, from the other on is inside; all between is a soft edge."""

Labels = NDArray[np.uint8]
Coverage = NDArray[np.float32]
Mask = NDArray[np.bool_]


def band(coverage: Coverage, inward_px: float, outward_px: float) -> Labels:
    """A trimap from one outline: unknown along its edge.

    Args:
        coverage: (H, W) float32 in [0, 1], 1 inside of the outline; a feather lies between.
        inward_px, outward_px: how far the unknown band reaches to either side of the edge.

    A feather is unknown over its whole width, whatever the two widths are.
    """
    outside, inside = coverage <= EMPTY_UP_TO, coverage >= SOLID_FROM
    labels = np.full(coverage.shape, UNKNOWN, np.uint8)
    labels[~dilated(~inside, inward_px)] = FOREGROUND
    labels[~dilated(~outside, outward_px)] = BACKGROUND
    return labels


def layered(foreground: Coverage, unknown: Coverage) -> Labels:
    """A trimap from two mask layers, each (H, W) float32 in [0, 1].

    Certain where the foreground covers a pixel wholly; unknown where either layer touches it
    otherwise; background elsewhere.
    """
    labels = np.full(foreground.shape, BACKGROUND, np.uint8)
    labels[(unknown > EMPTY_UP_TO) | (foreground > EMPTY_UP_TO)] = UNKNOWN
    labels[foreground >= SOLID_FROM] = FOREGROUND
    return labels


def dilated(mask: Mask, radius_px: float) -> Mask:
    """Every pixel within `radius_px` of the mask, (H, W) bool; outside of the picture is nothing.

    Each pixel of the mask's edge opens and closes one run in every row that its disc reaches; the
    running sum over the row tells which pixels lie in any disc.
    """
    if radius_px < 1 or not mask.any():
        return mask
    height, width = mask.shape
    y, x = (points[:, np.newaxis] for points in np.nonzero(_edge(mask)))
    reach = np.arange(-int(radius_px), int(radius_px) + 1)
    half = np.sqrt(radius_px**2 - reach**2).astype(np.intp)
    rows = np.broadcast_to(y + reach, (y.size, reach.size))
    there = (rows >= 0) & (rows < height)
    runs = np.zeros((height, width + 1), np.int32)
    np.add.at(runs, (rows[there], np.clip(x - half, 0, width)[there]), 1)
    np.add.at(runs, (rows[there], np.clip(x + half + 1, 0, width)[there]), -1)
    grown: Mask = mask | (np.cumsum(runs[:, :width], axis=1) > 0)
    return grown


def _edge(mask: Mask) -> Mask:
    """The mask's pixels that have a neighbour above, below, left or right outside of it."""
    inner = mask.copy()
    inner[1:] &= mask[:-1]
    inner[:-1] &= mask[1:]
    inner[:, 1:] &= mask[:, :-1]
    inner[:, :-1] &= mask[:, 1:]
    return mask & ~inner
