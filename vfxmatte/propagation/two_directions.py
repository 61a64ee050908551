"""Merge the labels tracked from the keyframes before and after a frame.

The two are tracked independently, so their disagreement measures the error of the motion, place by
place. An edge is expected where the nearer keyframe has it, moved towards the other one's by the
frame's position between them. A pixel is certain as far from that edge as the two directions lie
apart there; what both agree on far from any disagreement stays as it is.

Where the picture resembles what the nearer keyframe shows and not what the other one does, the
nearer one is believed: tracked over a few frames, it errs by a few pixels, however wrong the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.common.checked import Checked, limited
from vfxmatte.trimaps import box_around, distance_to
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels, Mask

_FARTHEST_PX = 60.0  # two edges farther apart than this are not the same edge
_AROUND_PX = 8  # half side of the windows over which a disagreement is averaged
_FAR_AROUND_PX, _FAR_WEIGHT = 32, 0.05  # farther around, for what counts far from a disagreement
_NOISE = 5.0  # Lab difference below which two pictures are the same
_LARGEST = 60.0  # a Lab difference beyond this is no worse
_SAME = 8.0  # Lab difference up to which, all around, the nearer keyframe is believed
_SAME_AROUND = np.ones((9, 9), np.uint8)
_SPECK_PX = 5  # side of the squares whose median is taken of a difference, against specks
_FADING_FRAMES = 3.0
_STILL = 5.0  # growth_px is at most this many times the disagreement: a still band does not grow


@dataclass(frozen=True, kw_only=True)
class MergeSettings(Checked):
    """Settings for merging two directions; sizes in px of the proxy."""

    growth_px: float = limited(1.0, at_least=0)
    """Growth of a merged band where the directions disagree at all."""
    growth_per_gap: float = limited(1.5, at_least=0)
    """Distance from the expected edge at which a pixel is certain, over half the gap between the
    directions; half-way between the keyframes, less towards them."""
    most_growth_px: float = limited(24.0, at_least=0)
    """Upper limit of the growth into what both directions agree on."""
    corridor_slack_px: float = limited(1.0, at_least=0)
    """A pixel lies between the bands if the way through it is at most this much longer than the
    direct one."""
    gap_at_half_px: float = limited(8.0, above=0)
    """Gap at which the agreement has halved."""
    drift_px: float = limited(3.0, at_least=0)
    """How far a believed keyframe may be wrong, for each frame from it."""
    believed_frames: float = limited(8.0, at_least=0)
    """Frames from a keyframe within which it is believed, less in the last three."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Resemblance:
    """The difference of a frame from what the keyframes before and after it show of their labels.

    before, after: (h, w) float32, see `Look.difference`. steps: frames to the nearer keyframe.
    """

    before: FloatImage
    after: FloatImage
    steps: int

    def within(self, box: tuple[slice, slice]) -> Resemblance:
        """Return a part of it."""
        return replace(self, before=self.before[box], after=self.after[box])


@dataclass(frozen=True, kw_only=True, eq=False)
class _Depths:
    """The depth in a label of each pixel by either direction, see `_depth`.

    first, second: (h, w) float32 in px. apart: (h, w) float32, their mean difference around here.
    """

    first: FloatImage
    second: FloatImage
    apart: FloatImage

    @classmethod
    def of(cls, before: Mask, after: Mask) -> _Depths:
        first, second = _depth(before), _depth(after)
        side = (2 * _AROUND_PX + 1, 2 * _AROUND_PX + 1)
        apart = cast(FloatImage, cv2.boxFilter(np.abs(first - second), -1, side))
        return cls(first=first, second=second, apart=apart)


@dataclass(frozen=True, kw_only=True)
class _Distance:
    """Distance to a region, and the (h, w) int32 index of its nearest pixel."""

    px: FloatImage
    nearest: NDArray[np.int32]


def merge(
    before: Labels,
    after: Labels,
    position: float,
    settings: MergeSettings,
    resemblance: Resemblance | None = None,
) -> tuple[Labels, float]:
    """Merge the labels of two directions.

    Args:
        before, after: (h, w) uint8 labels tracked from the previous and the next keyframe.
        position: where the frame lies between the two keyframes, 0 to 1.
        resemblance: None where the pictures cannot be compared.

    Returns:
        Merged (h, w) uint8 labels, and how well the two directions agree, 0 to 1.
    """
    differing = before != after
    if not differing.any():
        return before.copy(), 1.0
    labels = before.copy()
    box = box_around(differing, int(settings.most_growth_px) + 2 * _AROUND_PX)
    depths = {
        label: _Depths.of(before[box] == label, after[box] == label)
        for label in (BACKGROUND, FOREGROUND)
    }
    labels[box] = _certain(depths, position, settings)
    believed = np.zeros(labels.shape, bool)
    if resemblance is not None and resemblance.steps < settings.believed_frames:
        nearer = _by_nearer(depths, differing[box], position, settings, resemblance.within(box))
        believed[box] = (labels[box] == UNKNOWN) & (nearer != UNKNOWN)
        labels[box] = np.where(believed[box], nearer, labels[box])
    first, second = before == UNKNOWN, after == UNKNOWN
    if not first.any() or not second.any():
        return labels, 0.5
    box = box_around(first | second, _AROUND_PX)
    first, second = first[box], second[box]
    to_first, to_second = _distance(first), _distance(second)
    between = _between(first, second, to_first, to_second, settings.corridor_slack_px)
    reached = _reached(to_first.px, to_second.px, position)
    labels[box][between & reached & ~believed[box]] = UNKNOWN
    gap = float(to_second.px[first].mean() + to_first.px[second].mean()) / 2
    gap *= 4 * position * (1 - position)
    return labels, settings.gap_at_half_px / (settings.gap_at_half_px + gap)


def _certain(
    depths: Mapping[int, _Depths], position: float | FloatImage, settings: MergeSettings
) -> Labels:
    """Label certain what lies deep enough in a label's expected region, unknown all else."""
    spread = 2 * position * (1 - position) * settings.growth_per_gap
    labels = np.full(depths[BACKGROUND].first.shape, UNKNOWN, np.uint8)
    for label, depth in depths.items():
        expected = (1 - position) * depth.first + position * depth.second
        margin = spread * depth.apart + np.minimum(settings.growth_px, _STILL * depth.apart)
        agreed = np.minimum(depth.first, depth.second) > settings.most_growth_px
        labels[(expected > margin) | agreed] = label
    return labels


def _by_nearer(
    depths: Mapping[int, _Depths],
    differing: Mask,
    position: float,
    settings: MergeSettings,
    resemblance: Resemblance,
) -> Labels:
    """Label as `_certain` does where the nearer keyframe is believed, unknown all else."""
    is_first = position < 0.5
    difference = resemblance.before if is_first else resemblance.after
    without_specks = cv2.medianBlur(difference.astype(np.uint8), _SPECK_PX)
    same = cv2.dilate(without_specks, _SAME_AROUND) <= _SAME
    positions = _positions(differing, position, resemblance, settings.believed_frames)
    labels = _certain(depths, positions, settings)
    for label, depth in depths.items():
        nearer = depth.first if is_first else depth.second
        is_sure = same & (nearer > settings.drift_px * resemblance.steps)
        labels[(labels == label) & ~is_sure] = UNKNOWN
    return labels


def _positions(
    differing: Mask, position: float, resemblance: Resemblance, most_frames: float
) -> FloatImage:
    """Return (h, w) float32 positions, nearer to the nearer keyframe where the picture is like it.

    Half-way between the keyframes that is the frame's own position everywhere.
    """
    counted = differing.astype(np.float32)
    weight = _around(counted)
    firsts, seconds = (
        _around(counted * np.minimum(difference, _LARGEST) ** 2) / np.maximum(weight, 1e-9)
        for difference in (resemblance.before, resemblance.after)
    )
    fading = min(1.0, max(0.0, (most_frames - resemblance.steps) / _FADING_FRAMES))
    power = 2 * abs(1 - 2 * position) * fading
    first = (1 - position) / (_NOISE**2 + firsts) ** power
    second = position / (_NOISE**2 + seconds) ** power
    nearer = np.minimum if position < 0.5 else np.maximum
    believed = nearer(second / (first + second), position)
    return np.where(weight > 1e-7, believed, position).astype(np.float32)


def _around(values: FloatImage) -> FloatImage:
    """Average over windows, and a little over larger ones."""
    near, far = (
        cv2.boxFilter(values, -1, (2 * px + 1, 2 * px + 1)) for px in (_AROUND_PX, _FAR_AROUND_PX)
    )
    return cast(FloatImage, near + _FAR_WEIGHT * far)


def _depth(region: Mask) -> FloatImage:
    """Measure how deep in a region each pixel lies in px, (h, w) float32; negative outside."""
    inside, outside = distance_to(~region), distance_to(region)
    depth = np.where(region, inside, -outside).clip(-_FARTHEST_PX, _FARTHEST_PX)
    return cast(FloatImage, depth.astype(np.float32))


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


def _reached(to_first: FloatImage, to_second: FloatImage, position: float) -> Mask:
    """Select pixels of the way that the edge may have reached at this position.

    Half-way between the keyframes that is all of it, near a keyframe the half on its side.
    """
    share = to_first / np.maximum(to_first + to_second, 1e-6)
    return np.asarray(np.abs(share - position) <= 0.5)
