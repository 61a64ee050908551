"""The traits of a whole frame's colours: their range, and which layer has more texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vfxmatte.types import FloatImage, Mask

_FAINT = 0.02
"""The brightness that counts as black, by the plate's mean."""
_STIFFNESS = 1.5
"""How much smoother than the foreground the background is taken to be if both look alike: behind
what is in focus it often is not."""
_MOST_STIFF = 8.0
_LEAST_STIFF = 0.5
_SURE = 0.98
_ENOUGH = 64
"""Pairs of pixels of one layer, from which its texture is known."""


@dataclass(frozen=True, kw_only=True)
class Traits:
    """The values that are the same all over a frame."""

    least: float
    most: float
    """The least and the largest value of a colour."""
    faint: float
    """A brightness that counts as black."""
    stiffness: float
    """How much smoother the background is than the foreground."""


def traits_of(limits: tuple[float, float], plate: FloatImage, alpha: FloatImage) -> Traits:
    """Measure a frame.

    Args:
        limits: the plate's least and largest value.
        plate, alpha: (h, w, 3) and (h, w), reduced to where texture counts more than grain.
    """
    faint = _FAINT * float(np.abs(plate).mean()) + 1e-9
    return Traits(
        least=min(limits[0], 0.0),
        most=limits[1],
        faint=faint,
        stiffness=_stiffness(plate.sum(2) / np.float32(3), alpha, np.float32(faint)),
    )


def _stiffness(bright: FloatImage, alpha: FloatImage, faint: np.float32) -> float:
    textures = [_texture(bright, alone, faint) for alone in (alpha > _SURE, alpha < 1 - _SURE)]
    front, back = textures
    if front is None or back is None:
        return _STIFFNESS
    return float(np.clip(_STIFFNESS * (front / back) ** 0.5, _LEAST_STIFF, _MOST_STIFF))


def _texture(bright: FloatImage, alone: Mask, faint: np.float32) -> float | None:
    """Return the mean square of the relative change from pixel to pixel, None if it is unknown."""
    pairs = ((bright[1:], bright[:-1], alone[1:] & alone[:-1]),
             (bright[:, 1:], bright[:, :-1], alone[:, 1:] & alone[:, :-1]))  # fmt: skip
    changes = np.concatenate(
        [
            (one[both] - two[both]) / (np.abs(one[both] + two[both]) + faint)
            for one, two, both in pairs
        ]
    )
    return float((changes**2).mean()) + 1e-6 if len(changes) >= _ENOUGH else None
