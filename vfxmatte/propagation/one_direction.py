"""Track a keyframe's trimap from picture to picture in one direction.

Each pixel of the new picture is traced back to the keyframe along the *foreground's* motion, so
that labels are looked up once and never smeared by repeated warping.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import cv2
import numpy as np

from vfxmatte.common.checked import Checked, limited
from vfxmatte.propagation.flow import (
    FlowPair,
    consistency_error,
    halved_shape,
    inverse,
    looked_up,
    positions,
    resized_flow,
    spread,
    warp,
)
from vfxmatte.propagation.keyframe_matte import KeyframeMatteSettings, keyframe_matte
from vfxmatte.trimaps import grow
from vfxmatte.types import BACKGROUND, FOREGROUND, FloatImage, Labels, Mask, Picture

_AT_HALF_SIZE = np.float32(2)  # `spread` trusts each coarser level twice as much
_EDGE_PX = 2.0  # farther outside a picture something is beyond its edge
_LOST_PX = 1.0  # forward-backward error above which confidence is lost


@dataclass(frozen=True, kw_only=True)
class TrackSettings(Checked):
    """Settings for tracking a keyframe; sizes in px of the proxy."""

    doubt_px: float = limited(0.2, above=0)
    """Forward-backward error at which the weight of a pixel's motion has halved."""
    core_px: int = limited(8, at_least=1, at_most=1000)  # near edges flow is half background's
    """Radius of windows in which the matte must be solid."""
    core_power: float = limited(4.0, at_least=0)
    """Power of the mean alpha in these windows: preference for solid parts."""
    hold_growth_px: float = limited(3.0, at_least=0)
    """Growth per frame across plate frames that cannot be read."""
    matte: KeyframeMatteSettings = field(default_factory=KeyframeMatteSettings)
    """How the keyframe's own matte is solved."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One direction's result for a frame: (h, w) uint8 labels at proxy size, confidence 0 to 1."""

    labels: Labels
    confidence: float
    beyond: Mask | None = None
    """(h, w): foreground that is none of the keyframe's: its picture's edge cuts the subject off,
    and what comes in from there is taken for more of it. None where nothing is."""

    def contested(self, other: Side) -> Mask | None:
        """Select what is foreground beyond this keyframe's edge alone, and background by the
        other."""
        return None if self.beyond is None else self.beyond & (other.labels == BACKGROUND)


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """The motion from one frame to the keyframe; `side` looks up the labels along it."""

    labels: Labels
    """The keyframe's labels."""
    away: FloatImage
    """(h/2, w/2, 2) float32, from each pixel to its position in the keyframe, as the foreground
    moves."""
    behind: FloatImage
    """(h/2, w/2, 2) float32, likewise, as the background moves."""
    confidence: float
    growth_px: float = 0.0
    """How much wider the band becomes."""

    def side(self) -> Side:
        """Look up this frame's labels; may be called in any thread."""
        shape = self.labels.shape
        where = positions(shape) + resized_flow(self.away, shape)
        labels = looked_up(self.labels, where, cv2.INTER_NEAREST)
        if self.growth_px > 0:
            labels = grow(labels, self.growth_px)
        return Side(labels=labels, confidence=self.confidence, beyond=_beyond(where, labels))


class _Layer:
    """The motion of what an (h/2, w/2) matte of the keyframe covers: foreground, or background."""

    def __init__(self, alpha: FloatImage, settings: TrackSettings) -> None:
        self._settings, self._alpha = settings, alpha
        self._positions = positions(alpha.shape)
        self.away = np.zeros_like(self._positions)

    def alpha(self) -> FloatImage:
        """Look up where the layer is now."""
        return cast(FloatImage, looked_up(self._alpha, self._positions + self.away))

    def advance(self, flow: FlowPair, alpha: FloatImage, error: FloatImage) -> None:
        """Track to the next picture."""
        weight = _weight(alpha, error, self._settings)
        back = inverse(spread(flow.forward, weight))
        self.away = warp(self.away, back) + back


class Tracker:
    """Tracks one keyframe from picture to picture, on flows of half the labels' size."""

    def __init__(self, labels: Labels, picture: Picture | None, settings: TrackSettings) -> None:
        self._settings, self._labels = settings, labels
        matte = keyframe_matte(labels, picture, settings.matte)
        size = halved_shape(labels.shape)[::-1]
        alpha = cast(FloatImage, cv2.resize(matte, size, interpolation=cv2.INTER_AREA))
        self._front, self._behind = _Layer(alpha, settings), _Layer(1 - alpha, settings)
        self._confidence = 1.0
        self._held = 0

    def advance(self, flow: FlowPair) -> Step:
        """Track to the next picture; flow.forward leads from the old picture to the new one."""
        error = 2 * consistency_error(flow.forward, flow.backward)
        alpha = self._front.alpha()
        self._front.advance(flow, alpha, error)
        self._behind.advance(flow, self._behind.alpha(), error)
        self._confidence *= _share_consistent(alpha, error)
        self._held = 0
        return self._step(self._confidence)

    def hold(self) -> Step:
        """Bridge a picture that cannot be read: same position, wider band, half the confidence."""
        self._held += 1
        return self._step(self._confidence / 2, self._settings.hold_growth_px * self._held)

    def _step(self, confidence: float, growth_px: float = 0.0) -> Step:
        return Step(
            labels=self._labels,
            away=self._front.away,
            behind=self._behind.away,
            confidence=confidence,
            growth_px=growth_px,
        )


def _beyond(where: FloatImage, labels: Labels) -> Mask | None:
    """Select the foreground outside the picture that positions (x, y) lead to."""
    height, width = labels.shape
    x, y = where[..., 0], where[..., 1]
    outside = (x < -_EDGE_PX) | (y < -_EDGE_PX)
    outside |= (x > width - 1 + _EDGE_PX) | (y > height - 1 + _EDGE_PX)
    outside &= labels == FOREGROUND
    return outside if outside.any() else None


def _weight(alpha: FloatImage, error: FloatImage, settings: TrackSettings) -> FloatImage:
    """Weight each pixel's motion, 0 to 1: high in solid foreground with consistent flow.

    Args:
        alpha, error: at half the proxy's size; the error in px of the proxy.
    """
    side = 2 * round(settings.core_px / 2) + 1
    core = cv2.boxFilter(alpha, -1, (side, side)) ** settings.core_power
    doubt = (error / np.float32(settings.doubt_px)) ** 2
    return cast(FloatImage, np.minimum(_AT_HALF_SIZE * core / (1 + doubt), 1))


def _share_consistent(alpha: FloatImage, error: FloatImage) -> float:
    """Factor of confidence for one step, 0.5 to 1, from the share of consistent foreground."""
    total = float(alpha.sum())
    if total <= 0:
        return 1.0
    lost = float(alpha[error > _LOST_PX].sum()) / total
    return 1.0 - 0.5 * lost
