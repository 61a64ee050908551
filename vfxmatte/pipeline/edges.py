"""Settings that shape the edges of written mattes, and what they do to solved alpha.

They never change solved alpha itself, which is kept as long as they are not neutral: see `solved`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vfxmatte.common.checked import Checked, limited
from vfxmatte.errors import UsageError
from vfxmatte.trimaps import box_around
from vfxmatte.types import FloatImage

_STEP_PX = 3  # larger discs are made of such ones: the time grows with the radius, not its square
_SIGMAS = 3  # of a Gaussian that are summed up to either side


@dataclass(frozen=True, kw_only=True)
class MatteSettings(Checked):
    """Settings of alpha as it is written; changing them solves nothing again.

    They are applied in this order: black and white, gamma, grow, soften.
    """

    black: float = limited(0.0, at_least=0, below=1)
    """Alpha up to this becomes 0."""
    white: float = limited(1.0, above=0, at_most=1)
    """Alpha from this on becomes 1."""
    gamma: float = limited(1.0, at_least=0.05, at_most=20)
    """Above 1 raises partial alpha, below 1 lowers it."""
    grow_px: float = limited(0.0, at_least=-100, at_most=100)
    """Pixels (or fractions) to move edges outward by; below 0, inward."""
    soften_px: float = limited(0.0, at_least=0, at_most=100)
    """Standard deviation of the blur of edges, in pixels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.black >= self.white:
            raise UsageError(
                f"black must be below white, found {self.black:g} and {self.white:g}",
                hint="matte.black clips from below, matte.white from above: 0.05 and 0.95, say",
            )

    @property
    def is_neutral(self) -> bool:
        """Return True if alpha is written as it was solved."""
        return self == MatteSettings()


def shaped(alpha: FloatImage, settings: MatteSettings) -> FloatImage:
    """Return (H, W) float32 alpha as the settings shape it, in [0, 1].

    What lies away from any edge stays as it is, exactly.
    """
    if (settings.black, settings.white) != (0, 1):
        span = np.float32(settings.white - settings.black)
        alpha = ((alpha - np.float32(settings.black)) / span).clip(0, 1)
    if settings.gamma != 1:
        alpha = np.power(alpha, np.float32(1 / settings.gamma))
    if settings.grow_px:
        alpha = _grown(alpha, settings.grow_px)
    if settings.soften_px:
        alpha = _softened(alpha, settings.soften_px)
    return np.ascontiguousarray(alpha, np.float32)


def _grown(alpha: FloatImage, radius_px: float) -> FloatImage:
    """Dilate alpha by a disc, or erode it for a radius below 0; between whole radii, blend."""
    move = cv2.dilate if radius_px > 0 else cv2.erode
    whole = int(abs(radius_px))
    part = np.float32(abs(radius_px) - whole)
    moved = _moved(alpha, whole, move)
    if part == 0:
        return moved
    blended: FloatImage = moved + part * (_moved(moved, 1, move) - moved)
    return blended


def _moved(alpha: FloatImage, radius_px: int, move: Callable[..., Any]) -> FloatImage:
    while radius_px > 0:
        step = min(_STEP_PX, radius_px)
        side = 2 * step + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        alpha = np.asarray(move(alpha, disc), np.float32)
        radius_px -= step
    return alpha


def _softened(alpha: FloatImage, sigma_px: float) -> FloatImage:
    """Blur edges by a Gaussian; what no edge is near stays exact."""
    radius = max(1, math.ceil(_SIGMAS * sigma_px))
    square = np.ones((2 * radius + 1, 1), np.uint8)
    highest = cv2.dilate(cv2.dilate(alpha, square), square.T)
    lowest = cv2.erode(cv2.erode(alpha, square), square.T)
    near = np.asarray(highest != lowest)
    if not near.any():
        return alpha
    box = box_around(near, radius)
    soft = alpha.copy()
    blurred = _blurred(_blurred(alpha[box], sigma_px, radius).T, sigma_px, radius).T
    soft[box] = np.where(near[box], blurred.clip(0, 1), alpha[box])
    return soft


def _blurred(values: FloatImage, sigma_px: float, radius: int) -> FloatImage:
    """Blur along the columns; sums in an order of its own, so that no library decides pixels."""
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma_px) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    padded = np.pad(values, ((radius, radius), (0, 0)), mode="edge")
    height = values.shape[0]
    total = np.zeros_like(values)
    for index, weight in enumerate(weights):
        total += weight * padded[index : index + height]
    return total
