"""A narrower trimap from a fitted network's alpha and the error that it expects."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vfxmatte.engines.light_frame import Solved, stage1_reduction
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels, Mask

_SOLID = 0.97
_AGREEING = 0.95  # of the prior: colours that say otherwise keep a pixel unknown
_DEPTH_PX = 3  # into what is certain, in px of the picture as stage 1 sees it
_SURE = (0.02, 0.015, 0.01, 0.005)
_SOFT = 0.02
_LOST_SHARE = 0.0005  # of the trial; frames farther from keyframes lose some ten times as much


@dataclass(frozen=True, kw_only=True)
class Tightened:
    """Alpha (H, W) float32 and labels (H, W) uint8 that agree: certain is exactly 0 or 1."""

    alpha: FloatImage
    labels: Labels


def tightened(solved: Solved, labels: Labels, sure: float) -> Tightened:
    """Make certain what lies `_DEPTH_PX` deep in the solid or in the empty part, as colours agree.

    Args:
        labels: (H, W) uint8, what was solved; certain pixels stay as they are.
        sure: largest expected error of a solid or empty pixel; 0 changes nothing.
    """
    alpha, result = solved.alpha.copy(), labels.copy()
    if sure > 0:
        unknown = labels == UNKNOWN
        expected = solved.error < sure
        depth = _DEPTH_PX * stage1_reduction(*labels.shape)
        is_solid = (alpha > _SOLID) & (solved.prior > _AGREEING)
        is_empty = (alpha < 1 - _SOLID) & (solved.prior < 1 - _AGREEING)
        solid = unknown & _eroded(is_solid & expected, depth)
        empty = unknown & _eroded(is_empty & expected, depth)
        result[solid], result[empty] = FOREGROUND, BACKGROUND
        alpha[solid], alpha[empty] = 1, 0
    return Tightened(alpha=alpha, labels=result)


def calibrated(solved: Solved, labels: Labels, truth: FloatImage) -> float:
    """Choose `sure` on a frame whose alpha is known: the largest that loses next to nothing.

    Args:
        labels: (H, W) uint8, what was solved.
        truth: (H, W) float32, the right alpha.
    """
    soft = (truth > _SOFT) & (truth < 1 - _SOFT)
    may_lose = int(_LOST_SHARE * np.count_nonzero(soft))
    for sure in _SURE:
        narrowed = tightened(solved, labels, sure)
        new = (narrowed.labels != UNKNOWN) & (labels == UNKNOWN)
        if np.count_nonzero(new & (np.abs(narrowed.alpha - truth) > _SOFT)) <= may_lose:
            return sure
    return 0.0


def _eroded(region: Mask, px: int) -> Mask:
    kernel = np.ones((2 * px + 1,) * 2, np.uint8)
    return cv2.erode(region.astype(np.uint8), kernel).astype(bool)
