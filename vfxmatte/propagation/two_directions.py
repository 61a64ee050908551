"""Merge the labels tracked from the keyframes before and after a frame.

The two are tracked independently, so their disagreement measures the error of the motion. A pixel
is certain only where both agree; the corridor between two positions of the same edge is unknown;
and the whole band grows by the gap between the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.common.checked import Checked, limited
from vfxmatte.trimaps import box_around, grow
from vfxmatte.types import UNKNOWN, FloatImage, Labels, Mask

_MARGIN_PX = 8  # around both bands: everything between them is inside


@dataclass(frozen=True, kw_only=True)
class MergeSettings(Checked):
    """Settings for merging two directions; sizes in px of the proxy."""

    growth_px: float = limited(1.0, at_least=0)
    """Growth of a merged band, for errors of both directions; at most ten times the gap, so that a
    still shot's band does not grow.
    """
    growth_per_gap: float = limited(1.0, at_least=0)
    """Further growth as a multiple of the mean gap between the two bands, half-way between the
    keyframes; less towards them, where one direction is nearly right.
    """
    most_growth_px: float = limited(24.0, at_least=0)
    """Upper limit of both growths together."""
    corridor_slack_px: float = limited(1.0, at_least=0)
    """A pixel lies between the bands if the way through it is at most this much longer than the
    direct one.
    """
    gap_at_half_px: float = limited(8.0, above=0)
    """The gap at which the agreement has fallen to one half."""


@dataclass(frozen=True, kw_only=True)
class _Distance:
    """Distance to a region, and the (h, w) int32 index of its nearest pixel."""

    px: FloatImage
    nearest: NDArray[np.int32]


def merge(
    before: Labels, after: Labels, position: float, settings: MergeSettings
) -> tuple[Labels, float]:
    """Merge the labels of two directions.

    Args:
        before, after: (h, w) uint8 labels tracked from the previous and the next keyframe.
        position: where the frame lies between the two keyframes, 0 to 1.
    Returns:
        Merged (h, w) uint8 labels, and how well the two directions agree, 0 to 1.
    """
    labels = before.copy()
    labels[before != after] = UNKNOWN
    first, second = before == UNKNOWN, after == UNKNOWN
    if not first.any() or not second.any():
        return labels, 1.0 if bool((before == after).all()) else 0.5
    box = box_around(first | second, _MARGIN_PX)
    first, second = first[box], second[box]
    to_first, to_second = _distance(first), _distance(second)
    labels[box][_between(first, second, to_first, to_second, settings.corridor_slack_px)] = UNKNOWN
    gap = float(to_second.px[first].mean() + to_first.px[second].mean()) / 2
    gap *= 4 * position * (1 - position)
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
    """Select pixels on a nearly straight way from one region to the nearest part of the other."""
    way = to_first.px + to_second.px
    corridor = way <= _far_gap(first, to_first, to_second) + slack
    corridor |= way <= _far_gap(second, to_second, to_first) + slack
    return corridor


def _far_gap(region: Mask, to_region: _Distance, to_other: _Distance) -> FloatImage:
    """Look up, for each pixel, how far the nearest pixel of `region` is from the other region."""
    gaps = np.zeros(int(to_region.nearest.max()) + 1, np.float32)
    gaps[to_region.nearest[region]] = to_other.px[region]
    return gaps[to_region.nearest]
