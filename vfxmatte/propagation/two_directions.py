"""Two keyframes' trimaps meet on a frame between them.

The keyframe before and the one after were followed independently, so their disagreement measures
how wrong the motion is. A pixel is certain only where both say so; the corridor between two places
of the same edge is unknown; and the whole band is grown by the gap between the two. Where both
agree nothing is added. Knows labels only, no pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.common.checked import Checked, limited
from vfxmatte.trimaps import box_around, grow
from vfxmatte.types import UNKNOWN, FloatImage, Labels

Mask = NDArray[np.bool_]

_MARGIN_PX = 8


@dataclass(frozen=True, kw_only=True)
class MeetingSettings(Checked):
    """How the two directions are merged; sizes in px of the proxy.

    growth_px: a merged band is grown by this, for what both directions get wrong alike; by less
        where they agree to a tenth of it, so a still shot's band does not grow at all.
    growth_per_gap: and by this times the mean gap between the two bands, half-way between the
        keyframes; less towards them, where one of the two is nearly right.
    most_growth_px: never by more than this.
    corridor_slack_px: how much longer than the straight way a way from one band to the other may
        be for its pixels to count as lying between the two.
    gap_at_half_px: the gap at which the agreement's part of the confidence has fallen to one half.
    """

    growth_px: float = limited(1.0, at_least=0)
    growth_per_gap: float = limited(1.0, at_least=0)
    most_growth_px: float = limited(24.0, at_least=0)
    corridor_slack_px: float = limited(1.0, at_least=0)
    gap_at_half_px: float = limited(8.0, above=0)


@dataclass(frozen=True, kw_only=True)
class _Distance:
    """Distance to a region, and which of its pixels is the nearest one ((h, w) int32 names)."""

    px: FloatImage
    nearest: NDArray[np.int32]


def meet(
    before: Labels, after: Labels, share: float, settings: MeetingSettings
) -> tuple[Labels, float]:
    """Merge the labels of two directions.

    Args:
        before, after: (h, w) uint8 labels, followed from the keyframe before and after.
        share: where the frame lies between the two keyframes, 0 to 1.

    Returns (h, w) uint8 labels and the agreement, 0 to 1.
    """
    labels = before.copy()
    labels[before != after] = UNKNOWN
    first, second = before == UNKNOWN, after == UNKNOWN
    if not first.any() or not second.any():
        return labels, 1.0 if bool((before == after).all()) else 0.5
    box = box_around(first | second, _MARGIN_PX)  # all that is between the two is inside
    first, second = first[box], second[box]
    to_first, to_second = _distance(first), _distance(second)
    labels[box][_between(first, second, to_first, to_second, settings.corridor_slack_px)] = UNKNOWN
    gap = float(to_second.px[first].mean() + to_first.px[second].mean()) / 2
    gap *= 4 * share * (1 - share)
    growth = min(settings.growth_px, 10 * gap) + settings.growth_per_gap * gap
    labels = grow(labels, min(growth, settings.most_growth_px))
    return labels, settings.gap_at_half_px / (settings.gap_at_half_px + gap)


def _distance(region: Mask) -> _Distance:
    away = np.ascontiguousarray(~region, dtype=np.uint8)
    px, nearest = cv2.distanceTransformWithLabels(
        away, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    return _Distance(px=cast(FloatImage, px), nearest=cast("NDArray[np.int32]", nearest))


def _between(
    first: Mask, second: Mask, to_first: _Distance, to_second: _Distance, slack: float
) -> Mask:
    """Pixels on a nearly straight way from one region to the nearest part of the other."""
    way = to_first.px + to_second.px
    corridor = way <= _far_gap(first, to_first, to_second) + slack
    corridor |= way <= _far_gap(second, to_second, to_first) + slack
    return corridor


def _far_gap(region: Mask, to_region: _Distance, to_other: _Distance) -> FloatImage:
    """For each pixel: how far the nearest pixel of `region` is from the other region."""
    gaps = np.zeros(int(to_region.nearest.max()) + 1, np.float32)
    gaps[to_region.nearest[region]] = to_other.px[region]
    return gaps[to_region.nearest]
