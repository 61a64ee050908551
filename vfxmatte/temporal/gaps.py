"""Close gaps that a matte has for a frame or two and its neighbours have not.

Where the frames around it show the same picture along the motion, and three of them agree that it
is solid, so is this one, whatever its own colours say. The other way round nothing is taken away: a
limb that swings past is nowhere else in its neighbours either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import cv2
import numpy as np

from vfxmatte.propagation.flow import halved, looked_up, positions
from vfxmatte.temporal.moment import Moment, Neighbour, foreground_motion, reduced
from vfxmatte.types import FloatImage, Mask, Picture

_FRAMES = 3  # that have to agree
_APART = 0.2  # alphas that differ by less agree
_SOLID = 0.8  # alpha from which on something is solid
_LEAST_GAP, _WHOLE_GAP = 0.02, 0.1  # missing alpha that is noise, and that is a gap
_UNLIKE = 30.0  # difference of pictures, of 255, from which on a neighbour says nothing
_COMPARED_PX = 3  # side of the squares over which pictures are compared
_SMOOTHNESS = 240  # alphas are compared smoothed by so small a part of the longest side


def filled(
    now: Moment, neighbours: Sequence[Neighbour], motions: Sequence[FloatImage], unknown: Mask
) -> FloatImage:
    """Close the gaps of a matte.

    Args:
        neighbours: of both sides, or of one.
        motions: the `foreground_motion` to each of them.
        unknown: (H, W) bool; alpha changes nowhere else.

    Returns:
        (H, W) float32 in [0, 1], nowhere below what it was.
    """
    others = [
        alpha
        for neighbour, motion in zip(neighbours, motions, strict=True)
        for alpha in _followed(now.picture, neighbour, motion)
    ]
    if len(others) < _FRAMES:
        return now.alpha
    own = _smooth(reduced(now.alpha, neighbours[0].flows))
    agreed = _agreed(others)
    missing = np.where(agreed > np.maximum(own, _SOLID), agreed - own, 0).astype(np.float32)
    is_gap = _smooth(((missing - _LEAST_GAP) / (_WHOLE_GAP - _LEAST_GAP)).clip(0, 1))
    # the mean of what is missing where something is
    depth = _smooth(missing) / np.maximum(_smooth((missing > 0).astype(np.float32)), 1e-3)
    added = cv2.resize(is_gap * depth, unknown.shape[::-1])
    return np.where(unknown, np.minimum(now.alpha + added, 1), now.alpha).astype(np.float32)


def _followed(picture: Picture, neighbour: Neighbour, motion: FloatImage) -> Iterator[FloatImage]:
    """Yield the smoothed alphas of a neighbour and those beyond it, along the motion and at its
    size; NaN where their pictures are others."""
    own, start = halved(picture), positions(motion.shape[:2])
    while True:
        where, moment = start + motion, neighbour.moment
        shown = looked_up(halved(moment.picture), where)
        difference = cv2.absdiff(shown, own).astype(np.float32).mean(2)
        unlike = _smooth(cv2.blur(difference, (_COMPARED_PX, _COMPARED_PX))) >= _UNLIKE
        alpha = _smooth(looked_up(reduced(moment.alpha, neighbour.flows), where))
        yield np.where(unlike, np.float32(np.nan), alpha)
        if neighbour.beyond is None:
            return
        further = foreground_motion(moment.alpha, neighbour.beyond.flows)
        motion = motion + looked_up(further, where)
        neighbour = neighbour.beyond


def _agreed(alphas: Sequence[FloatImage]) -> FloatImage:
    """Return what `_FRAMES` of the alphas agree on best, pixel by pixel; NaN where none do."""
    ordered = np.sort(np.stack(alphas), axis=0)  # NaN last
    best = np.full(ordered.shape[1:], np.nan, np.float32)
    least = np.full(ordered.shape[1:], _APART, np.float32)
    for lowest in range(len(alphas) - _FRAMES + 1):
        apart = ordered[lowest + _FRAMES - 1] - ordered[lowest]
        closer = apart < least
        best = np.where(closer, ordered[lowest + _FRAMES // 2], best)
        least = np.where(closer, apart, least)
    return best


def _smooth(plane: FloatImage) -> FloatImage:
    deviation = max(1.0, max(plane.shape) / _SMOOTHNESS)
    return cast(FloatImage, cv2.GaussianBlur(plane, (0, 0), deviation))
