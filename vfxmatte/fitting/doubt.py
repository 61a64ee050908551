"""Doubt in what motion made certain, where a fitted network, shown it as unknown, sees otherwise.

So a hand that both directions carried as background comes back.
"""

from __future__ import annotations

import cv2
import numpy as np

from vfxmatte.engines.light_frame import stage1_reduction
from vfxmatte.trimaps import dilate, grow
from vfxmatte.types import UNKNOWN, FloatImage, Labels, Mask

_REACH_PX = 10  # beyond the unknown region; this and the others in px of the picture stage 1 sees
_SPECK_PX, _AROUND_PX = 1, 3  # radii: what is thinner is no doubt; what is near one is unknown too
_UNLIKE = 0.6  # difference of alpha from what is certain


def widened(labels: Labels, limited: Mask | None = None) -> Labels:
    """Grow the unknown region by as much as doubt reaches.

    Args:
        labels: (H, W) uint8.
        limited: (H, W) bool, where labels stay as they are: a garbage or core matte decides them.

    Returns:
        (H, W) uint8.
    """
    grown = grow(labels, _REACH_PX * stage1_reduction(*labels.shape))
    return grown if limited is None else np.where(limited, labels, grown)


def doubted(seen: FloatImage, labels: Labels, limited: Mask | None = None) -> Labels:
    """Make unknown what is certain in `labels` and was seen otherwise under the wider trimap.

    Args:
        seen: (H, W) float32, the alpha that the network gave for `widened(labels, limited)`.
        labels: (H, W) uint8.
        limited: see `widened`.

    Returns:
        (H, W) uint8.
    """
    factor = stage1_reduction(*labels.shape)
    unlike = (labels != UNKNOWN) & (np.abs(seen - labels / np.float32(255)) > _UNLIKE)
    kernel = np.ones((2 * _SPECK_PX * factor + 1,) * 2, np.uint8)
    unlike = cv2.morphologyEx(unlike.astype(np.uint8), cv2.MORPH_OPEN, kernel).astype(bool)
    result = labels.copy()
    if unlike.any():
        near = dilate(unlike, _AROUND_PX * factor)
        result[near & (widened(labels, limited) == UNKNOWN)] = UNKNOWN
    return result
