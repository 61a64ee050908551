"""The rough matte of a keyframe: which pixels move with the foreground, and how surely.

Inside the painted band the colour lines of the picture tell. Deep inside a wide unknown patch, far
from any painted foreground, they have nothing to start from; there a pixel counts as foreground as
far as its colour is unlike the background's near by.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfxmatte.common import symmetric
from vfxmatte.common.checked import Checked, limited
from vfxmatte.common.sums import dot
from vfxmatte.propagation.colour_lines import (
    ColourLineSettings,
    solve_band,
)
from vfxmatte.trimaps import distance_to
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels, Picture

_NEAR_TRUST, _FAR_TRUST = 0.003, 0.05  # how much the solution leans to the first guess
_FORGIVEN = 4.0  # squared standard deviations within which a colour is the background's own
_SPREAD = 8.0  # and over how many more it becomes wholly unlike
_NOISE = 1e-3  # variance added to the background's colours


@dataclass(frozen=True, kw_only=True)
class KeyframeMatteSettings(Checked):
    """Sizes in px of the proxy.

    rise_px: how far inside an unknown patch without painted foreground the guess reaches a half.
    nearby_px: how far from the unknown region the background's colours are taken from.
    """

    rise_px: float = limited(12.0, above=0)
    nearby_px: float = limited(40.0, above=0)
    lines: ColourLineSettings = field(default_factory=ColourLineSettings)


def keyframe_matte(
    labels: Labels, picture: Picture | None, settings: KeyframeMatteSettings
) -> FloatImage:
    """(h, w) float32 in [0, 1] from (h, w) labels and the (h, w, 3) uint8 RGB picture, or None.

    Known pixels are exactly 0 and 1. Without a picture the matte just rises across the band.
    """
    to_foreground = distance_to(labels == FOREGROUND)
    away = np.minimum(distance_to(labels == BACKGROUND), 1e6)
    capped = np.minimum(to_foreground, settings.rise_px)
    guess: FloatImage = (away / np.maximum(away + capped, 1e-6)).astype(np.float32)
    if picture is None:
        return guess
    far = to_foreground > 2 * settings.rise_px
    unlike = unlike_background(labels, picture, settings.nearby_px)
    guess = np.where(far, np.minimum(1, 2 * guess) * unlike, guess).astype(np.float32)
    trust = np.where(far, np.float32(_FAR_TRUST), np.float32(_NEAR_TRUST))
    return solve_band(picture, labels, guess, trust, settings.lines)


def unlike_background(labels: Labels, picture: Picture, nearby_px: float) -> FloatImage:
    """How unlike the nearby background each pixel's colour is, (h, w) float32, 0 to 1.

    One Gaussian of the colours of the certain background within `nearby_px` of the unknown region
    (Mahalanobis distance). 1 everywhere where there is no such background.
    """
    nearby = (labels == BACKGROUND) & (distance_to(labels == UNKNOWN) < nearby_px)
    if np.count_nonzero(nearby) < 10:
        return np.ones(labels.shape, np.float32)
    colours = picture.astype(np.float32) / 255
    samples = colours[nearby]
    squared = _mahalanobis(colours, samples)
    beyond = np.maximum(squared - _FORGIVEN, 0) / _SPREAD
    unlike: FloatImage = (1 - np.exp(-beyond)).astype(np.float32)
    return unlike


def _mahalanobis(colours: NDArray[Any], samples: NDArray[Any]) -> FloatImage:
    """Squared distances (h, w) of colours (h, w, 3) from the Gaussian of the samples (n, 3)."""
    mean = samples.mean(axis=0)
    apart, own = colours - mean, (samples - mean).T
    covariance = [
        np.float64(dot(own[i], own[j]) / (len(samples) - 1) + (_NOISE if i == j else 0.0))
        for i, j in symmetric.PAIRS
    ]
    squared = np.zeros(colours.shape[:2], np.float32)
    for (i, j), entry in zip(symmetric.PAIRS, symmetric.inverse(covariance), strict=True):
        squared += np.float32(entry if i == j else 2 * entry) * apart[..., i] * apart[..., j]
    return squared
