"""A keyframe's trimap carried from picture to picture, in one direction.

Each pixel of the new picture is followed back to the keyframe along the *foreground's* motion, so
the labels are looked up once and never smeared by repeated warping. Knows one direction and one
keyframe only; segments and the meeting of two directions are the matter of propagation.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.colour_lines import ColourLineSettings, solve_band
from vfxmatte.flow import (
    FlowPair,
    consistency_error,
    inverse,
    positions,
    spread,
    warp,
)
from vfxmatte.trimaps import distance_to, grow
from vfxmatte.types import BACKGROUND, FOREGROUND, FloatImage, Labels

Picture = NDArray[np.uint8]

_LOST_PX = 1.0  # a forward-backward error above this costs confidence


@dataclass(frozen=True, kw_only=True)
class TrackSettings:
    """How a keyframe is followed; sizes in px of the proxy.

    doubt_px: a forward-backward error from which a pixel's motion counts for little.
    core_px: the motion is taken where the matte is solid over windows of this radius: near an edge
        the flow is half the background's.
    rise_px: how far inside an unknown patch without any painted foreground the first guess of the
        matte reaches one half.
    hold_growth_px: growth per frame across plate frames that cannot be read.
    """

    doubt_px: float = 0.3
    core_px: int = 8
    rise_px: float = 12.0
    hold_growth_px: float = 3.0
    lines: ColourLineSettings = field(default_factory=ColourLineSettings)


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one direction knows of a frame: (h, w) uint8 labels at proxy size, confidence 0 to 1."""

    labels: Labels
    confidence: float


class Tracker:
    """Follows one keyframe from picture to picture."""

    def __init__(self, labels: Labels, picture: Picture | None, settings: TrackSettings) -> None:
        self._settings, self._labels = settings, labels
        rough = _rough(labels, settings.rise_px)
        self._alpha = (
            rough if picture is None else solve_band(picture, labels, rough, 0.003, settings.lines)
        )
        self._home = positions(labels.shape)
        self._where = self._home
        self._confidence = 1.0
        self._held = 0

    def advance(self, flow: FlowPair) -> Side:
        """To the next picture; flow.forward leads from the old picture to the new one."""
        alpha = self._look_up(self._alpha, cv2.INTER_LINEAR)
        error = consistency_error(flow.forward, flow.backward)
        weight = _weight(alpha, error, self._settings)
        back = inverse(spread(flow.forward, weight))
        self._where = warp(self._where - self._home, back) + back + self._home
        self._confidence *= _share_consistent(alpha, error)
        self._held = 0
        return self._side()

    def hold(self) -> Side:
        """Over a picture that cannot be read: the same place, a wider band, half the trust."""
        self._held += 1
        side = self._side()
        growth = self._settings.hold_growth_px * self._held
        return Side(labels=grow(side.labels, growth), confidence=side.confidence / 2)

    def _side(self) -> Side:
        return Side(
            labels=self._look_up(self._labels, cv2.INTER_NEAREST),
            confidence=self._confidence,
        )

    def _look_up(self, field: NDArray, how: int) -> NDArray:
        return cv2.remap(field, self._where, None, how, borderMode=cv2.BORDER_REPLICATE)


def _rough(labels: Labels, rise_px: float) -> FloatImage:
    """A matte that rises across the unknown band from the background to the foreground."""
    away_bg = np.minimum(distance_to(labels == BACKGROUND), 1e6)
    away_fg = np.minimum(distance_to(labels == FOREGROUND), rise_px)
    return cast(FloatImage, (away_bg / np.maximum(away_bg + away_fg, 1e-6)).astype(np.float32))


def _weight(alpha: FloatImage, error: FloatImage, settings: TrackSettings) -> FloatImage:
    """How much each pixel's motion is worth, 0 to 1: solid foreground whose flow returns home."""
    side = 2 * settings.core_px + 1
    core = cv2.boxFilter(alpha, -1, (side, side)) ** 4
    doubt = (error / np.float32(settings.doubt_px)) ** 2
    return cast(FloatImage, (core / (1 + doubt)).astype(np.float32))


def _share_consistent(alpha: FloatImage, error: FloatImage) -> float:
    """Share of the foreground whose flow returns home, 0.5 to 1: the loss of trust of one step."""
    total = float(alpha.sum())
    if total <= 0:
        return 1.0
    lost = float(alpha[error > _LOST_PX].sum()) / total
    return 1.0 - 0.5 * lost
