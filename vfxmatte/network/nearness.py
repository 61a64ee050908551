"""The nearness of each pixel to the certain regions, as Gaussians of its distance at three scales.

As Forte and Pitié (2020) feed them beside the trimap. Squared distances between pixels are whole
numbers, so the Gaussians are read from tables: the same trimap gives the same bits everywhere.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from vfxmatte.types import BACKGROUND, FOREGROUND, FloatImage, Labels

SCALES_PX = (6.4, 25.6, 51.2)
"""Standard deviations of the Gaussians."""

FARTHEST_PX = 300
"""The distance from which on the widest Gaussian is 0 in eight bits, and in sixteen."""


def nearness(labels: Labels) -> FloatImage:
    """(H, W, 6) float32 in [0, 1]: to foreground, then to background, each at three scales.

    1 inside the region, 0 everywhere where there is none of it.
    """
    result = np.zeros((*labels.shape, 2 * len(SCALES_PX)), np.float32)
    for number, distance in enumerate(distances(labels)):
        squared = np.rint(distance**2).astype(np.intp)
        first = number * len(SCALES_PX)
        result[:, :, first : first + len(SCALES_PX)] = _gaussians().take(squared, 0, mode="clip")
    return result


def distances(labels: Labels) -> FloatImage:
    """(2, H, W) float32 in px: to foreground and to background, at most `FARTHEST_PX`, which also
    stands for a region that is not there."""
    result = np.full((2, *labels.shape), FARTHEST_PX, np.float32)
    for own, value in zip(result, (FOREGROUND, BACKGROUND), strict=True):
        away = np.asarray(labels != value, np.uint8)
        if not away.all():
            distance = cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            np.minimum(distance, FARTHEST_PX, out=own)
    return result


@cache
def _gaussians() -> FloatImage:
    """(farthest² + 1, 3) float32: for each squared distance its Gaussians, 0 at the farthest."""
    squared = np.arange(FARTHEST_PX**2 + 1)[:, None]
    table = np.exp(-squared / (2 * np.square(SCALES_PX)))
    table[-1] = 0
    return np.asarray(table, np.float32)
