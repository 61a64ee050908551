"""Trimap labels from the coverage of Blender's masks, with numpy alone.

Labels are (H, W) uint8 with 0 background, 128 unknown, 255 foreground. The rules are those of
`vfxmatte trimap from-matte`; a test compares both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BACKGROUND, UNKNOWN, FOREGROUND = 0, 128, 255
EMPTY_UP_TO, SOLID_FROM = 0.02, 0.98
"""Coverage up to the first is outside, from the second on inside; between them is a soft edge."""

Labels = NDArray[np.uint8]
Coverage = NDArray[np.float32]
Mask = NDArray[np.bool_]


def band(coverage: Coverage, inward_px: float, outward_px: float) -> Labels:
    """Make a trimap from one outline, unknown along its edge and over the width of its feather.

    Args:
        coverage: (H, W) float32 in [0, 1], 1 inside the outline, between 0 and 1 in its feather.
        inward_px, outward_px: width of the unknown band on either side of the edge, in pixels.

    Returns:
        (H, W) uint8 labels.
    """
    outside, inside = coverage <= EMPTY_UP_TO, coverage >= SOLID_FROM
    labels = np.full(coverage.shape, UNKNOWN, np.uint8)
    labels[~dilated(~inside, inward_px)] = FOREGROUND
    labels[~dilated(~outside, outward_px)] = BACKGROUND
    return labels


def layered(foreground: Coverage, unknown: Coverage) -> Labels:
    """Make a trimap from the coverage of two mask layers, each (H, W) float32 in [0, 1].

    A pixel is foreground where the foreground layer covers it fully, unknown where either layer
    covers part of it, and background elsewhere.
    """
    labels = np.full(foreground.shape, BACKGROUND, np.uint8)
    labels[(unknown > EMPTY_UP_TO) | (foreground > EMPTY_UP_TO)] = UNKNOWN
    labels[foreground >= SOLID_FROM] = FOREGROUND
    return labels


def dilated(mask: Mask, radius_px: float) -> Mask:
    """Dilate an (H, W) bool mask by a disc; nothing lies outside the picture.

    Each edge pixel opens and closes one run in every row that its disc reaches; a running sum along
    the row counts the discs that cover a pixel.
    """
    if radius_px < 1 or not mask.any():
        return mask
    height, width = mask.shape
    y, x = (points[:, np.newaxis] for points in np.nonzero(_edge(mask)))
    reach = np.arange(-int(radius_px), int(radius_px) + 1)
    half = np.sqrt(radius_px**2 - reach**2).astype(np.intp)
    rows = np.broadcast_to(y + reach, (y.size, reach.size))
    valid = (rows >= 0) & (rows < height)
    runs = np.zeros((height, width + 1), np.int32)
    np.add.at(runs, (rows[valid], np.clip(x - half, 0, width)[valid]), 1)
    np.add.at(runs, (rows[valid], np.clip(x + half + 1, 0, width)[valid]), -1)
    grown: Mask = mask | (np.cumsum(runs[:, :width], axis=1) > 0)
    return grown


def _edge(mask: Mask) -> Mask:
    """Return the pixels of the mask with a 4-connected neighbour outside it."""
    inner = mask.copy()
    inner[1:] &= mask[:-1]
    inner[:-1] &= mask[1:]
    inner[:, 1:] &= mask[:, :-1]
    inner[:, :-1] &= mask[:, 1:]
    return mask & ~inner
