"""Appearance features of a shot's foreground and background: colour, and position in the picture.

Certain pixels near the unknown band are the examples, from the frame itself and from painted
keyframes; a pixel is compared with the nearest of either kind (k nearest neighbours, as in Chen,
Li and Tang's KNN matting of 2013, but by distance alone and on a coarse grid).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vfxmatte.common.checked import Checked, limited
from vfxmatte.trimaps import distance_to
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels, Mask, Picture

_CHROMA = 2.0  # weight of a difference in hue against one in lightness
_SHARPNESS = 4  # power of the distances: how steeply the likelihood goes from 0 to 1
_SLACK = 1.0  # eps of cKDTree.query: up to 2x too far (about 1 % in practice) for twice the speed
_LEAF = 32  # leaf size of the tree; halves the query time
_NOISE = 1e-4  # two appearances closer than this are equal


@dataclass(frozen=True, kw_only=True)
class AppearanceSettings(Checked):
    """Settings for comparing the appearance of pixels."""

    grid_px: int = limited(320, at_least=8)
    """Points of the sampling grid along the picture's longest side."""
    blur_px: float = limited(1.0, above=0, at_most=1000)
    """Standard deviation of the blur before sampling, in px of the picture."""
    place: float = limited(0.35, at_least=0)
    """Weight of position: the picture's longest side against the step black to white."""
    nearby_px: float = limited(100.0, above=0)
    """Examples are taken within this distance of the unknown region."""
    examples: int = limited(1000, at_least=1)
    """Most examples from a frame's foreground, and from its background."""
    neighbours: int = limited(5, at_least=1)
    """Number of nearest examples that a distance is averaged over."""

    def stride(self, shape: Sequence[int]) -> int:
        """Distance in px between grid points of an (h, w) picture."""
        return max(1, round(max(shape[:2]) / self.grid_px))


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """Appearance features of certain pixels, (n, 5) float32 each."""

    foreground: FloatImage
    background: FloatImage

    @classmethod
    def joined(cls, several: Sequence[Examples]) -> Examples:
        """Concatenate several sets of examples."""
        return cls(
            foreground=np.concatenate([one.foreground for one in several]),
            background=np.concatenate([one.background for one in several]),
        )


def appearance(picture: Picture, settings: AppearanceSettings) -> FloatImage:
    """Sample (rows, columns, 5) float32 features L, a, b, x, y of (h, w, 3) uint8 RGB."""
    step = settings.stride(picture.shape)
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2Lab).astype(np.float32)
    smooth = cv2.GaussianBlur(lab, (0, 0), settings.blur_px)[::step, ::step]
    smooth = smooth * (np.array((1, _CHROMA, _CHROMA), np.float32) / 255)
    rows, columns = np.mgrid[: smooth.shape[0], : smooth.shape[1]]
    place = np.dstack([columns, rows]) * (settings.place * step / max(picture.shape[:2]))
    return cast(FloatImage, np.dstack([smooth, place]).astype(np.float32))


def examples(
    features: FloatImage, labels: Labels, settings: AppearanceSettings, share: float = 1.0
) -> Examples:
    """Pick certain pixels near the unknown region, evenly spaced and deterministic.

    Args:
        features: (rows, columns, 5) features from `appearance`.
        labels: (h, w) uint8 at the picture's size.
        share: fraction of the maximum number of examples.
    """
    step = settings.stride(labels.shape)
    coarse = np.ascontiguousarray(labels[::step, ::step])
    nearby = distance_to(coarse == UNKNOWN) < settings.nearby_px / step
    most = round(settings.examples * share)
    return Examples(
        foreground=_some(features, nearby & (coarse == FOREGROUND), most),
        background=_some(features, nearby & (coarse == BACKGROUND), most),
    )


def _some(features: FloatImage, chosen: Mask, most: int) -> FloatImage:
    picked = features[chosen]
    if len(picked) <= most:
        return picked
    return picked[np.linspace(0, len(picked) - 1, most).astype(np.intp)]


def foreground_likelihood(
    features: FloatImage, known: Examples, settings: AppearanceSettings
) -> FloatImage | None:
    """Estimate from (..., 5) float32 features how likely each pixel is foreground, 0 to 1.

    Returns (...) float32, or None if either kind has too few examples.
    """
    fewest = 4 * settings.neighbours
    if min(len(known.foreground), len(known.background)) < fewest:
        return None
    to_foreground = _distance(features, known.foreground, settings.neighbours)
    to_background = _distance(features, known.background, settings.neighbours)
    likelihood = to_background / (to_foreground + to_background)
    return cast(FloatImage, likelihood.astype(np.float32))


def _distance(features: FloatImage, known: FloatImage, neighbours: int) -> NDArray[Any]:
    nearest = cKDTree(known, leafsize=_LEAF).query(features, k=neighbours, eps=_SLACK)[0]
    distances = nearest.reshape(*features.shape[:-1], neighbours)
    return np.asarray(distances.mean(axis=-1) ** _SHARPNESS + _NOISE**_SHARPNESS)
