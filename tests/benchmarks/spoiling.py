"""Mattes spoiled on purpose, in the ways that mattes go wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from vfxmatte.review.footage import ReviewFrame
from vfxmatte.trimaps import distance_to
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage

Spoil = Callable[[FloatImage, ReviewFrame, np.random.Generator], FloatImage]
"""Takes alpha (h, w), its frame and a source of chance; returns another alpha."""


def blurred(alpha: FloatImage, frame: ReviewFrame, chance: np.random.Generator) -> FloatImage:
    """Lose all detail."""
    return cv2.GaussianBlur(alpha, (0, 0), chance.uniform(6, 14) * _unit(alpha))


def grown(alpha: FloatImage, frame: ReviewFrame, chance: np.random.Generator) -> FloatImage:
    """Take background along: a fat edge."""
    return cv2.dilate(alpha, _disc(chance.uniform(6, 12) * _unit(alpha)))


def shrunk(alpha: FloatImage, frame: ReviewFrame, chance: np.random.Generator) -> FloatImage:
    """Lose the edge."""
    return cv2.erode(alpha, _disc(chance.uniform(6, 12) * _unit(alpha)))


def hole(alpha: FloatImage, frame: ReviewFrame, chance: np.random.Generator) -> FloatImage:
    """Have a hole where the subject is solid."""
    return _ellipse(alpha, alpha > 0.95, 0.0, chance)


def leak(alpha: FloatImage, frame: ReviewFrame, chance: np.random.Generator) -> FloatImage:
    """Have background in the matte, near the subject."""
    empty = alpha < 0.05
    return _ellipse(alpha, empty & (distance_to(~empty) < 60 * _unit(alpha)), 1.0, chance)


def noisy(alpha: FloatImage, frame: ReviewFrame, chance: np.random.Generator) -> FloatImage:
    """Break up in the unknown region."""
    noise = cv2.GaussianBlur(chance.standard_normal(alpha.shape).astype(np.float32), (0, 0), 2.0)
    spoiled = np.clip(alpha + noise / noise.std() * chance.uniform(0.3, 0.6), 0, 1)
    return np.where(_unknown(frame), spoiled, alpha)


def thin(alpha: FloatImage, frame: ReviewFrame, chance: np.random.Generator) -> FloatImage:
    """Be too transparent, or too opaque, in the unknown region."""
    power = np.float32(chance.choice([0.25, 4.0]))
    return np.where(_unknown(frame), alpha**power, alpha)


def shifted(alpha: FloatImage, frame: ReviewFrame, chance: np.random.Generator) -> FloatImage:
    """Lie some pixels off."""
    angle, far = chance.uniform(0, 2 * np.pi), chance.uniform(8, 16) * _unit(alpha)
    matrix = np.array([[1, 0, far * np.cos(angle)], [0, 1, far * np.sin(angle)]], np.float32)
    return cv2.warpAffine(alpha, matrix, alpha.shape[::-1], borderMode=cv2.BORDER_REPLICATE)


def missing_tile(alpha: FloatImage, frame: ReviewFrame, chance: np.random.Generator) -> FloatImage:
    """Lack a tile: a rectangle over the edge is empty or solid."""
    height, width = alpha.shape
    rows, columns = np.nonzero(_unknown(frame))
    at = chance.integers(len(rows))
    high, wide = (int(chance.uniform(0.25, 0.45) * side) for side in (height, width))
    top, left = max(0, rows[at] - high // 2), max(0, columns[at] - wide // 2)
    spoiled = alpha.copy()
    spoiled[top : top + high, left : left + wide] = float(chance.integers(2))
    return spoiled


def undecided(alpha: FloatImage, frame: ReviewFrame, chance: np.random.Generator) -> FloatImage:
    """Be one grey wherever the trimap is unknown."""
    return np.where(_unknown(frame), np.float32(chance.uniform(0.3, 0.7)), alpha)


def hard(alpha: FloatImage, frame: ReviewFrame, chance: np.random.Generator) -> FloatImage:
    """Be cut out with a hard edge, along the middle of the unknown region."""
    if frame.labels is None:
        return (alpha > 0.5).astype(np.float32)
    inside = distance_to(frame.labels == FOREGROUND)
    outside = distance_to(frame.labels == BACKGROUND)
    return np.where(_unknown(frame), (inside < outside).astype(np.float32), alpha)


def inverted(alpha: FloatImage, frame: ReviewFrame, chance: np.random.Generator) -> FloatImage:
    """Take foreground for background in a part of the unknown region."""
    columns = np.arange(alpha.shape[1]) / alpha.shape[1]
    part = columns < 0.5 if chance.integers(2) else columns >= 0.5
    return np.where(_unknown(frame) & part[None, :], 1 - alpha, alpha)


def dropped(alpha: FloatImage, frame: ReviewFrame, chance: np.random.Generator) -> FloatImage:
    """Be black, as a render that failed."""
    return np.zeros_like(alpha)


TUNED: Mapping[str, Spoil] = {
    one.__name__: one for one in (blurred, grown, shrunk, hole, leak, noisy, thin)
}
"""The thresholds were chosen with these in sight, and with mattes of a wrong frame."""

UNSEEN: Mapping[str, Spoil] = {
    one.__name__: one for one in (shifted, missing_tile, undecided, hard, inverted, dropped)
}
"""The kinds of fault that no threshold was chosen by."""


def _unknown(frame: ReviewFrame) -> np.ndarray:
    assert frame.labels is not None
    return np.asarray(frame.labels == UNKNOWN)


def _unit(alpha: FloatImage) -> float:
    """Return pixels of this size for one of a picture 640 pixels wide."""
    return alpha.shape[1] / 640


def _disc(radius: float) -> np.ndarray:
    side = 2 * round(radius) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))


def _ellipse(
    alpha: FloatImage, within: np.ndarray, value: float, chance: np.random.Generator
) -> FloatImage:
    rows, columns = np.nonzero(within)
    if not len(rows):
        return alpha
    at = chance.integers(len(rows))
    axes = tuple(int(chance.uniform(25, 60) * _unit(alpha)) for _ in range(2))
    centre = int(columns[at]), int(rows[at])
    spoiled = alpha.copy()
    cv2.ellipse(spoiled, centre, axes, chance.uniform(0, 180), 0, 360, value, -1, cv2.LINE_AA)
    return spoiled
