"""What a shot's foreground and background look like: colours, and where in the picture they stand.

Certain pixels near the unknown band are the examples, from the frame itself and from painted
keyframes; a pixel is compared with the nearest of either kind (k nearest neighbours, as in Chen,
Li and Tang's KNN matting of 2013, but by distance alone and on a coarse grid). Knows single
pictures and labels, nothing of motion or time.
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
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_CHROMA = 2.0  # how much more a difference of hue says than one of lightness
_SHARPNESS = 4  # power of the distances: how quickly the likelihood goes from 0 to 1
_SLACK = 1.0  # a neighbour may be so much farther, by share, than the nearest; in truth 1 %
_LEAF = 32  # and the tree is searched in half the time
_NOISE = 1e-4  # a distance below which two appearances are the same


@dataclass(frozen=True, kw_only=True)
class AppearanceSettings(Checked):
    """How pixels are compared.

    grid_px: pictures are sampled on a grid of about this many points along the longest side.
    blur_px: after a blur of this standard deviation, in px of the picture.
    place: a whole picture's side counts as much as so many times the way from black to white.
    nearby_px: examples are taken within this distance of the unknown region.
    examples: this many of a frame's own foreground, and of its background, at the most.
    neighbours: the mean distance to so many nearest examples is what counts.
    """

    grid_px: int = limited(320, at_least=8)
    blur_px: float = limited(1.0, above=0, at_most=1000)
    place: float = limited(0.35, at_least=0)
    nearby_px: float = limited(100.0, above=0)
    examples: int = limited(1000, at_least=1)
    neighbours: int = limited(5, at_least=1)

    def stride(self, shape: Sequence[int]) -> int:
        """Every how many pixels of a picture of (h, w) there is a grid point."""
        return max(1, round(max(shape[:2]) / self.grid_px))


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """Appearances of certain pixels, (n, 5) float32 each."""

    foreground: FloatImage
    background: FloatImage

    @classmethod
    def joined(cls, several: Sequence[Examples]) -> Examples:
        """All of them as one."""
        return cls(
            foreground=np.concatenate([one.foreground for one in several]),
            background=np.concatenate([one.background for one in several]),
        )


def appearance(picture: Picture, settings: AppearanceSettings) -> FloatImage:
    """(h, w, 3) uint8 RGB to (rows, columns, 5) float32 on the grid: L, a, b, x, y."""
    step = settings.stride(picture.shape)
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2Lab).astype(np.float32)
    smooth = cv2.GaussianBlur(lab, (0, 0), settings.blur_px)[::step, ::step]
    smooth = smooth * (np.array((1, _CHROMA, _CHROMA), np.float32) / 255)
    rows, columns = np.mgrid[: smooth.shape[0], : smooth.shape[1]]
    place = np.dstack([columns, rows]) * (settings.place * step / max(picture.shape[:2]))
    return cast(FloatImage, np.dstack([smooth, place]).astype(np.float32))


def examples(
    looks: FloatImage, labels: Labels, settings: AppearanceSettings, share: float = 1.0
) -> Examples:
    """Certain pixels near the unknown region; evenly spread, always the same ones.

    looks: (rows, columns, 5) from `appearance`. labels: (h, w) uint8 at the picture's size.
    share: of the number of examples that the settings allow.
    """
    step = settings.stride(labels.shape)
    coarse = np.ascontiguousarray(labels[::step, ::step])
    nearby = distance_to(coarse == UNKNOWN) < settings.nearby_px / step
    most = round(settings.examples * share)
    return Examples(
        foreground=_some(looks, nearby & (coarse == FOREGROUND), most),
        background=_some(looks, nearby & (coarse == BACKGROUND), most),
    )


def _some(looks: FloatImage, chosen: Mask, most: int) -> FloatImage:
    found = looks[chosen]
    if len(found) <= most:
        return found
    return found[np.linspace(0, len(found) - 1, most).astype(np.intp)]


def foreground_likelihood(
    looks: FloatImage, known: Examples, settings: AppearanceSettings
) -> FloatImage | None:
    """How much more like the foreground than like the background, 0 to 1.

    looks: (..., 5) float32. Returns float32 of shape (...), or None where there are too few
    examples of one kind to tell.
    """
    fewest = 4 * settings.neighbours
    if min(len(known.foreground), len(known.background)) < fewest:
        return None
    to_foreground = _distance(looks, known.foreground, settings.neighbours)
    to_background = _distance(looks, known.background, settings.neighbours)
    likelihood = to_background / (to_foreground + to_background)
    return cast(FloatImage, likelihood.astype(np.float32))


def _distance(looks: FloatImage, known: FloatImage, neighbours: int) -> NDArray[Any]:
    found = cKDTree(known, leafsize=_LEAF).query(looks, k=neighbours, eps=_SLACK)[0]
    distances = found.reshape(*looks.shape[:-1], neighbours)
    return np.asarray(distances.mean(axis=-1) ** _SHARPNESS + _NOISE**_SHARPNESS)
