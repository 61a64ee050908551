"""Figures of one frame that need its full size."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels, Mask

RIM_ALPHA = 0.1
"""Alpha this far from the neighbouring known region's says that the trimap is too tight."""

_SHORTEST_RIM = 0.02  # of the unknown pixels: of a shorter rim, shares say little
_BORDER_ALPHA = 0.5
_BORDER_REACH_PX = 3


@dataclass(frozen=True, kw_only=True)
class Exact:
    """Figures of one frame at full size; None without a trimap."""

    area: float
    """Mean alpha over the picture."""
    unknown: float | None = None
    """Share of unknown pixels."""
    leak: float | None = None
    """Share of the unknown pixels beside known background that are not transparent."""
    clip: float | None = None
    """Share of the unknown pixels beside known foreground that are not opaque."""
    contradicted: float | None = None
    """Share of the known pixels whose alpha is not 0 or 1 as the trimap has it."""
    border: float | None = None
    """Share of the picture's border that is opaque without foreground in the trimap there."""


def exact_figures(alpha: FloatImage, labels: Labels | None) -> Exact:
    """Measure one frame at full size.

    Args:
        alpha: (H, W) float32; labels: (H, W) uint8.
    """
    area = float(alpha.mean())
    if labels is None:
        return Exact(area=area)
    unknown, background, foreground = (labels == v for v in (UNKNOWN, BACKGROUND, FOREGROUND))
    wrong = int(np.count_nonzero((background & (alpha > 0)) | (foreground & (alpha < 1))))
    known = alpha.size - int(np.count_nonzero(unknown))
    return Exact(
        area=area,
        unknown=float(unknown.mean()),
        leak=_rim_share(alpha > RIM_ALPHA, unknown, background),
        clip=_rim_share(alpha < 1 - RIM_ALPHA, unknown, foreground),
        contradicted=wrong / max(1, known),
        border=_border(alpha, foreground),
    )


def _border(alpha: FloatImage, foreground: Mask) -> float:
    """Return the share of the picture's border that is opaque with no known foreground near."""
    reach = 2 * _BORDER_REACH_PX + 1
    near = cv2.dilate(foreground.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    suspect = (alpha > _BORDER_ALPHA) & ~near
    edge = np.concatenate([suspect[0], suspect[-1], suspect[1:-1, 0], suspect[1:-1, -1]])
    return float(edge.mean())


def _rim_share(condition: Mask, unknown: Mask, known: Mask) -> float:
    """Return the share of the unknown pixels that touch a known region where a condition holds."""
    rim = unknown & (cv2.dilate(known.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    least = _SHORTEST_RIM * np.count_nonzero(unknown)
    count = max(1.0, least, float(np.count_nonzero(rim)))
    return float(np.count_nonzero(condition & rim) / count)
