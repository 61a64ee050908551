"""Drop detached islands of unknown that no keyframe explains: lamps and hooks behind the subject.

An island is an unknown region with nothing but background around it. A keyframe explains it if both
directions have the region, not ghosts that one of them has alone, or if the picture there is not
the background that the keyframes show.
"""

from __future__ import annotations

import cv2
import numpy as np

from vfxmatte.trimaps import dilate
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, Labels, Mask

_NEIGHBOURS_PX = 1.5  # a region that touches foreground is no island
_MOST_STRANGE = 0.05  # share of an island's pixels that may differ from the known background


def without_islands(labels: Labels, before: Labels, after: Labels, as_behind: Mask) -> Labels:
    """Turn unexplained islands to background.

    Args:
        labels: (h, w) uint8 merged labels.
        before, after: (h, w) uint8 labels of the two directions.
        as_behind: (h, w) bool, where the picture is the background that keyframes show there.
    """
    unknown = labels == UNKNOWN
    count, regions = cv2.connectedComponents(unknown.view(np.uint8))
    if count < 2 or not (labels == FOREGROUND).any():
        return labels
    explained = dilate(labels == FOREGROUND, _NEIGHBOURS_PX)
    explained |= (before != BACKGROUND) & (after != BACKGROUND)
    strange = np.bincount(regions[unknown & ~as_behind], minlength=count)
    kept = strange > _MOST_STRANGE * np.bincount(regions.ravel(), minlength=count)
    kept[regions[explained & unknown]] = True
    kept[0] = True
    if kept.all():
        return labels
    return np.where(kept[regions], labels, np.uint8(BACKGROUND))
