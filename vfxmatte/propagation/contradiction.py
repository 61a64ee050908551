"""Doubt certain labels that the picture contradicts.

A gap that opens between arm and body is foreground to both keyframes, and an arm swung to where
neither has it is background to both. There the picture differs from everything that the keyframes
show of that label. How large a difference is usual is measured on a keyframe, as the other one
shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.common.checked import Checked, limited
from vfxmatte.propagation.keyframe_look import UNSEEN, Look, Plane
from vfxmatte.trimaps import dilate
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, Labels, Mask

_SPECK = np.ones((3, 3), np.uint8)  # at half size; anything smaller is noise
_FEWEST = 100  # pixels that a difference is measured on


@dataclass(frozen=True, kw_only=True)
class ContradictionSettings(Checked):
    """Settings for doubting certain labels; differences in 8-bit Lab units, sizes in px."""

    usual_share: float = limited(0.97, at_least=0, at_most=1)
    """A difference is unusual if it exceeds that of this share of a keyframe's certain pixels."""
    least_difference: float = limited(8.0, at_least=0)
    """No smaller difference is doubted …"""
    most_difference: float = limited(120.0, at_least=0)
    """… and none where the usual ones exceed this."""
    nearby_px: float = limited(40.0, at_least=0)
    """Usual differences are measured within this distance of the band."""
    touching_px: float = limited(6.0, at_least=0)
    """Doubtful background counts within this distance of the band or of other such background."""
    growth_px: float = limited(3.0, at_least=0)
    """Growth of a doubtful region."""


class Contradictions:
    """Finds the labels of a segment's frames that their pictures contradict."""

    def __init__(self, labels: Labels, look: Look, settings: ContradictionSettings) -> None:
        """Measure usual differences on a keyframe's (h, w) labels, seen from the other one."""
        self._settings = settings
        near = dilate(labels == UNKNOWN, settings.nearby_px)
        self._usual: Mapping[int, float] = {
            label: self._usual_difference(plane, (labels == label) & near)
            for label, plane in _by_label(look).items()
        }

    def doubtful(self, look: Look, labels: Labels) -> Mask:
        """Select certain pixels of (h, w) merged labels that the picture contradicts."""
        inside = self._unusual(look.foreground, labels, FOREGROUND)
        outside = self._unusual(look.background, labels, BACKGROUND)
        if outside.any():
            outside = touching_band(outside, labels, self._settings.touching_px)
        return dilate(inside | outside, self._settings.growth_px)

    def _unusual(self, plane: Plane, labels: Labels, label: int) -> Mask:
        """Select the pixels of a label that differ more from the keyframes than usual."""
        usual = self._usual[label]
        if usual > self._settings.most_difference:
            return np.zeros(labels.shape, bool)
        unusual = ((plane > usual) & (plane != UNSEEN)).astype(np.uint8)
        unusual = cv2.morphologyEx(unusual, cv2.MORPH_OPEN, _SPECK).astype(np.uint8)
        return np.asarray(_enlarged(unusual, labels.shape) & (labels == label))

    def as_behind(self, look: Look, shape: tuple[int, ...]) -> Mask:
        """Select where a picture is the background that keyframes show there, (h, w) bool."""
        same = (look.background <= self._settings.least_difference).astype(np.uint8)
        return _enlarged(same, shape)

    def _usual_difference(self, plane: Plane, region: Mask) -> float:
        half = cv2.resize(
            region.astype(np.uint8), plane.shape[::-1], interpolation=cv2.INTER_NEAREST
        )
        values = plane[(half > 0) & (plane != UNSEEN)]
        if values.size < _FEWEST:
            return float("inf")
        usual = float(np.quantile(values, self._settings.usual_share))
        return max(usual, self._settings.least_difference)


def touching_band(doubts: Mask, labels: Labels, reach_px: float) -> Mask:
    """Keep the regions that lie within a distance of the band, or of others that do."""
    joined = dilate(doubts | (labels == UNKNOWN), reach_px / 2)
    _, regions = cv2.connectedComponents(joined.view(np.uint8))
    kept = np.zeros(int(regions.max()) + 1, bool)
    kept[regions[labels == UNKNOWN]] = True
    return np.asarray(doubts & kept[regions])


def _by_label(look: Look) -> dict[int, Plane]:
    return {BACKGROUND: look.background, FOREGROUND: look.foreground}


def _enlarged(plane: NDArray[Any], shape: tuple[int, ...]) -> Mask:
    return np.asarray(cv2.resize(plane, shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0)
