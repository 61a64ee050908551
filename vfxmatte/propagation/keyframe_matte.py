"""Solve a rough matte of a keyframe: which pixels move with the foreground, and how surely.

Inside the painted band this follows from the picture's colour lines. Deep inside a wide unknown
patch, far from any painted foreground, they have no starting point; there a pixel counts as
foreground as far as its colour differs from the nearby background's.
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

_NEAR_TRUST, _FAR_TRUST = 0.003, 0.05  # weight of the first guess, near and far from foreground
_FORGIVEN = 4.0  # squared Mahalanobis distance up to which a colour is the background's
_SPREAD = 8.0  # and over which it then becomes unlike the background
_NOISE = 1e-3  # variance added to the background's colours
_FEWEST = 10  # background pixels that a Gaussian is fitted to


@dataclass(frozen=True, kw_only=True)
class KeyframeMatteSettings(Checked):
    """Settings for the rough matte of a keyframe; sizes in px of the proxy."""

    rise_px: float = limited(12.0, above=0)
    """Distance into an unknown patch without foreground at which the guess reaches 0.5."""
    nearby_px: float = limited(40.0, above=0)
    """The background's colours are sampled within this distance of the unknown region."""
    lines: ColourLineSettings = field(default_factory=ColourLineSettings)


def keyframe_matte(
    labels: Labels, picture: Picture | None, settings: KeyframeMatteSettings
) -> FloatImage:
    """Solve an (h, w) float32 matte in [0, 1] from (h, w) labels and an (h, w, 3) uint8 picture.

    Known pixels are exactly 0 and 1. Without a picture (None) the matte rises across the band.
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
    """Rate how unlike the nearby background each pixel's colour is, (h, w) float32, 0 to 1.

    Fits one Gaussian to the certain background within `nearby_px` of the unknown region; all 1
    if there is no such background.
    """
    nearby = (labels == BACKGROUND) & (distance_to(labels == UNKNOWN) < nearby_px)
    if np.count_nonzero(nearby) < _FEWEST:
        return np.ones(labels.shape, np.float32)
    colours = picture.astype(np.float32) / 255
    samples = colours[nearby]
    squared = _mahalanobis(colours, samples)
    beyond = np.maximum(squared - _FORGIVEN, 0) / _SPREAD
    unlike: FloatImage = (1 - np.exp(-beyond)).astype(np.float32)
    return unlike


def _mahalanobis(colours: NDArray[Any], samples: NDArray[Any]) -> FloatImage:
    """Squared (h, w) distances of (h, w, 3) colours from the Gaussian of (n, 3) samples."""
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
