"""A keyframe's trimap carried from picture to picture, in one direction.

Each pixel of the new picture is followed back to the keyframe along the *foreground's* motion, so
the labels are looked up once and never smeared by repeated warping. Knows one direction and one
keyframe only; segments and the meeting of two directions are the matter of propagation.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.flow import (
    FlowPair,
    consistency_error,
    inverse,
    positions,
    spread,
    warp,
)
from vfxmatte.keyframe_matte import KeyframeMatteSettings, keyframe_matte
from vfxmatte.trimaps import grow
from vfxmatte.types import FloatImage, Labels

Picture = NDArray[np.uint8]

_LOST_PX = 1.0  # a forward-backward error above this costs confidence


@dataclass(frozen=True, kw_only=True)
class TrackSettings:
    """How a keyframe is followed; sizes in px of the proxy.

    doubt_px: a forward-backward error from which a pixel's motion counts for little.
    core_px: the motion is taken where the matte is solid over windows of this radius: near an edge
        the flow is half the background's.
    core_power: how strongly the more solid parts are preferred over the less solid.
    hold_growth_px: growth per frame across plate frames that cannot be read.
    matte: how the keyframe's own matte is found.
    """

    doubt_px: float = 0.2
    core_px: int = 8
    core_power: float = 4.0
    hold_growth_px: float = 3.0
    matte: KeyframeMatteSettings = field(default_factory=KeyframeMatteSettings)


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one direction knows of a frame: (h, w) uint8 labels at proxy size, confidence 0 to 1."""

    labels: Labels
    confidence: float


class Tracker:
    """Follows one keyframe from picture to picture."""

    def __init__(self, labels: Labels, picture: Picture | None, settings: TrackSettings) -> None:
        self._settings, self._labels = settings, labels
        self._alpha = keyframe_matte(labels, picture, settings.matte)
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

    def _look_up(self, picture: NDArray[Any], how: int) -> NDArray[Any]:
        across, down = self._where[..., 0], self._where[..., 1]
        return cv2.remap(picture, across, down, how, borderMode=cv2.BORDER_REPLICATE)


def _weight(alpha: FloatImage, error: FloatImage, settings: TrackSettings) -> FloatImage:
    """How much each pixel's motion is worth, 0 to 1: solid foreground whose flow returns home."""
    side = 2 * settings.core_px + 1
    core = cv2.boxFilter(alpha, -1, (side, side)) ** settings.core_power
    doubt = (error / np.float32(settings.doubt_px)) ** 2
    return cast(FloatImage, (core / (1 + doubt)).astype(np.float32))


def _share_consistent(alpha: FloatImage, error: FloatImage) -> float:
    """Share of the foreground whose flow returns home, 0.5 to 1: the loss of trust of one step."""
    total = float(alpha.sum())
    if total <= 0:
        return 1.0
    lost = float(alpha[error > _LOST_PX].sum()) / total
    return 1.0 - 0.5 * lost
