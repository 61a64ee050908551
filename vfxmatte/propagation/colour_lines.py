"""Solve a soft matte inside a band from the picture's colour lines, fast enough for every frame.

The colour-line model of closed-form matting (Levin, Lischinski and Weiss 2008) in its
matrix-free form with larger windows (He, Sun and Tang 2010): multiplying by the Laplacian costs a
few box filters, and conjugate gradients start from a good guess, so a dozen rounds are enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from vfxmatte.common import symmetric
from vfxmatte.common.checked import Checked, limited
from vfxmatte.common.conjugate_gradients import conjugate_gradients
from vfxmatte.trimaps import box_around
from vfxmatte.types import FOREGROUND, UNKNOWN, FloatImage, Labels, Picture

_TOLERANCE = 1e-3  # root mean square residual at which the iteration ends early
_LEAST_CURVATURE = 1e-12  # keeps steps finite where the colours decide nothing


@dataclass(frozen=True, kw_only=True)
class ColourLineSettings(Checked):
    """Settings for solving a band."""

    radius_px: int = limited(4, at_least=1, at_most=1000)
    """Half side of the windows."""
    ridge: float = limited(1e-4, above=0)
    """Noise variance that the line fit tolerates, in squared units of the picture."""
    rounds: int = limited(12, at_least=1)
    """Maximum number of conjugate-gradient steps."""


class ColourLines:
    """The matting Laplacian of one (h, w, 3) float32 picture, without its matrix.

    Works plane by plane, which is several times faster than on interleaved channels.
    """

    def __init__(self, picture: FloatImage, radius_px: int, ridge: float) -> None:
        self._side = 2 * radius_px + 1
        self._colours = [np.ascontiguousarray(picture[..., i]) for i in range(3)]
        self._mean = [self._box(plane) for plane in self._colours]
        covariance = [
            self._box(self._colours[i] * self._colours[j]) - self._mean[i] * self._mean[j]
            for i, j in symmetric.PAIRS
        ]
        for diagonal in (0, 3, 5):
            covariance[diagonal] += np.float32(ridge)
        self._inverse = symmetric.inverse(covariance)

    def _box(self, plane: FloatImage) -> FloatImage:
        size = (self._side, self._side)
        mean = cv2.boxFilter(plane, -1, size, borderType=cv2.BORDER_REFLECT_101)
        return cast(FloatImage, mean)

    def times(self, matte: FloatImage) -> FloatImage:
        """Multiply the Laplacian, divided by the window size, by an (h, w) matte: matte - fit."""
        mean = self._box(matte)
        c0, c1, c2 = (
            self._box(colour * matte) - centre * mean
            for colour, centre in zip(self._colours, self._mean, strict=True)
        )
        i00, i01, i02, i11, i12, i22 = self._inverse
        slope = (
            i00 * c0 + i01 * c1 + i02 * c2,
            i01 * c0 + i11 * c1 + i12 * c2,
            i02 * c0 + i12 * c1 + i22 * c2,
        )
        offset = mean - _dot(slope, self._mean)
        fit = _dot([self._box(part) for part in slope], self._colours) + self._box(offset)
        rest: FloatImage = matte - fit
        return rest


def _dot(first: Sequence[FloatImage], second: Sequence[FloatImage]) -> FloatImage:
    dot: FloatImage = first[0] * second[0] + first[1] * second[1] + first[2] * second[2]
    return dot


def solve_band(
    picture: Picture,
    labels: Labels,
    guess: FloatImage,
    trust: FloatImage | float,
    settings: ColourLineSettings,
) -> FloatImage:
    """Solve a matte inside the unknown region.

    Minimises the colour-line energy plus trust times the squared distance to the guess.

    Args:
        picture: (h, w, 3) uint8 RGB, display-encoded.
        labels: (h, w) uint8; known pixels become exactly 0 and 1.
        guess: (h, w) float32 in [0, 1], the starting point and the prior.
        trust: weight of the guess, (h, w) float32 or one number; 0 for none.
    Returns:
        (h, w) float32 in [0, 1].
    """
    solution: FloatImage = (labels == FOREGROUND).astype(np.float32)
    unknown = labels == UNKNOWN
    if not unknown.any():
        return solution
    area = box_around(unknown, 2 * settings.radius_px + 1)
    inside = unknown[area].astype(np.float32)
    lean = np.broadcast_to(np.float32(trust), labels.shape)[area] * inside
    crop = np.ascontiguousarray(picture[area], dtype=np.float32) / 255.0
    lines = ColourLines(crop, settings.radius_px, settings.ridge)
    known = solution[area] * (1 - inside)
    target = inside * (lean * guess[area] - lines.times(known))

    def product(matte: FloatImage) -> FloatImage:
        result: FloatImage = inside * (lines.times(matte) + lean * matte)
        return result

    solved, _ = conjugate_gradients(
        product,
        target,
        inside * guess[area],
        goal=_TOLERANCE * math.sqrt(float(inside.sum())),
        steps=settings.rounds,
        least_curvature=_LEAST_CURVATURE,
    )
    solution[area] = np.where(unknown[area], np.clip(solved, 0, 1), known)
    return solution
