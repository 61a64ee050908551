"""A narrower trimap from a fitted network's alpha and the error that it expects."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vfxmatte.engines.light_frame import Solved, stage1_reduction
from vfxmatte.trimaps import dilate
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels, Mask

_OPPOSITE = 0.5  # of the prior: colours beyond it say the opposite, and keep a pixel unknown
_SURE = (0.03, 0.02, 0.014, 0.01, 0.007)
_SOFT = 0.02
_LEAST_MARGIN, _MOST_MARGIN = 3, 12
_LOST_SHARE = 0.001  # of the trial; frames farther from keyframes lose some ten times as much


@dataclass(frozen=True, kw_only=True)
class Tightened:
    """Alpha (H, W) float32 and labels (H, W) uint8 that agree: certain is exactly 0 or 1."""

    alpha: FloatImage
    labels: Labels


def tightened(solved: Solved, labels: Labels, sure: float, margin: int) -> Tightened:
    """Make certain what lies `margin` deep in the solid or in the empty part, unless colours say
    the opposite.

    Args:
        labels: (H, W) uint8, what was solved; certain pixels stay as they are.
        sure: how far a solid or empty pixel may be from 1 or 0, and its largest expected error; 0
            changes nothing.
        margin: in px of the picture as stage 1 sees it, see `painted_margin`.
    """
    alpha, result = solved.alpha.copy(), labels.copy()
    if sure > 0:
        unknown = labels == UNKNOWN
        trusted = solved.error < sure
        depth = margin * stage1_reduction(*labels.shape)
        is_solid = (alpha > 1 - sure) & (solved.prior > _OPPOSITE)
        is_empty = (alpha < sure) & (solved.prior < 1 - _OPPOSITE)
        solid = unknown & _eroded(is_solid & trusted, depth)
        empty = unknown & _eroded(is_empty & trusted, depth)
        result[solid], result[empty] = FOREGROUND, BACKGROUND
        alpha[solid], alpha[empty] = 1, 0
    return Tightened(alpha=alpha, labels=result)


def painted_margin(labels: Labels, alpha: FloatImage) -> int:
    """Measure how far from softness the artist's outlines are, in px of the picture stage 1 sees.

    Hair is painted with more room than a sleeve. The median, and a pixel more for what is faint,
    from `_LEAST_MARGIN` to `_MOST_MARGIN`.

    Args:
        labels: (H, W) uint8, as painted.
        alpha: (H, W) float32, the keyframe's matte.
    """
    near_unknown, factor = dilate(labels == UNKNOWN, 1), stage1_reduction(*labels.shape)
    away = []
    for label, off in ((BACKGROUND, alpha), (FOREGROUND, 1 - alpha)):
        clear = (off < _SURE[0]).astype(np.uint8)
        outline = near_unknown & (labels == label)
        away.append(cv2.distanceTransform(clear, cv2.DIST_C, 3)[outline])
    distances = np.concatenate(away)
    if not distances.size:
        return _LEAST_MARGIN
    within = np.minimum(distances / factor, _MOST_MARGIN)  # infinite where nothing is soft
    return max(_LEAST_MARGIN, min(_MOST_MARGIN, round(float(np.median(within))) + 1))


def calibrated(solved: Solved, labels: Labels, truth: FloatImage, margin: int) -> float:
    """Choose `sure` on a frame whose alpha is known: the largest that loses next to nothing.

    Args:
        labels: (H, W) uint8, what was solved.
        truth: (H, W) float32, the right alpha.
        margin: see `tightened`.
    """
    soft = (truth > _SOFT) & (truth < 1 - _SOFT)
    may_lose = int(_LOST_SHARE * np.count_nonzero(soft))
    for sure in _SURE:
        narrowed = tightened(solved, labels, sure, margin)
        new = (narrowed.labels != UNKNOWN) & (labels == UNKNOWN)
        if np.count_nonzero(new & (np.abs(narrowed.alpha - truth) > _SOFT)) <= may_lose:
            return sure
    return 0.0


def _eroded(region: Mask, px: int) -> Mask:
    kernel = np.ones((2 * px + 1,) * 2, np.uint8)
    return cv2.erode(region.astype(np.uint8), kernel).astype(bool)
