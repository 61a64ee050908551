"""Take the background's colour out of the foreground, without touching its luminance.

A colour is spill as far as it leans to the background's hue: what its chroma has along that hue
beyond a cone of 60° around it, as a keyer's limit of green by red and blue. Skin, which no screen
is painted like, is left alone.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from vfxmatte.types import FloatImage

_LUMINANCE = np.array((0.2126, 0.7152, 0.0722), np.float32)
_CONE = float(1 / np.tan(np.radians(60)))
_SKIN = np.array((0.8, 0.5, 0.37), np.float32)
"""Linear Rec.709; skin of all shades has nearly this hue."""
_SKIN_FULL, _SKIN_NONE = float(np.cos(np.radians(20))), float(np.cos(np.radians(40)))
_REDUCED_PX = 64
"""The longer side that the background is reduced to: spill comes from all around."""
_SCREEN_SHARE = 0.9
_SCREEN_SATURATION = 0.4
_EVERY = 7
"""Every so many pixels of the background are looked at."""
_LEAST = 1e-6


def despilled(
    foreground: FloatImage, background: FloatImage, alpha: FloatImage, amount: float
) -> FloatImage:
    """Return the foreground's colours without the background's.

    Before a screen of one saturated colour all of the foreground is corrected; before any other
    background its soft edges alone, the less the more foreground they hold.

    Args:
        foreground, background: (H, W, 3) float32, straight, scene-linear.
        alpha: (H, W) float32.
        amount: 0 changes nothing, 1 takes all spill away.

    Returns:
        (H, W, 3) float32 of the same luminance.
    """
    if amount == 0:
        return foreground
    around = _surroundings(background, alpha)
    reach = 1.0 if _is_screen(background, alpha) else (1 - alpha)[:, :, None]
    hue = _unit(_chroma(around))
    chroma = _chroma(np.nan_to_num(foreground, posinf=0, neginf=0))
    along = (chroma * hue).sum(2, keepdims=True)
    across = np.sqrt(np.maximum((chroma**2).sum(2, keepdims=True) - along**2, 0))
    spill = np.maximum(along - _CONE * across, 0) * _not_skin(chroma)
    corrected = foreground - amount * reach * spill * hue
    return np.where(spill > 0, corrected, foreground).astype(np.float32)


def _surroundings(background: FloatImage, alpha: FloatImage) -> FloatImage:
    """Return the background, blurred over a wide area; certain parts count most."""
    clean = np.nan_to_num(background, posinf=0, neginf=0)
    height, width = alpha.shape
    scale = min(1.0, _REDUCED_PX / max(height, width))
    small = max(1, round(width * scale)), max(1, round(height * scale))
    weight = np.maximum(1 - alpha, 1e-3)[:, :, None]
    sums: Any = cv2.resize(clean * weight, small, interpolation=cv2.INTER_AREA)
    total: Any = cv2.resize(weight, small, interpolation=cv2.INTER_AREA)
    sigma = max(small) / 16
    sums, total = (cv2.GaussianBlur(one, (0, 0), sigma) for one in (sums, total))
    return np.asarray(
        cv2.resize(sums / total[:, :, None], (width, height), interpolation=cv2.INTER_LINEAR)
    )


def _is_screen(background: FloatImage, alpha: FloatImage) -> bool:
    """Return True if nearly all of the background is one saturated hue."""
    visible = np.nan_to_num(background[alpha <= 0][::_EVERY], posinf=0, neginf=0)
    if not len(visible):
        return False
    mean = visible.mean(0)
    chroma, main = _chroma(visible), _unit(_chroma(mean))
    cosine = (chroma * main).sum(1) / (np.linalg.norm(chroma, axis=1) + _LEAST)
    saturated = (mean.max() - mean.min()) > _SCREEN_SATURATION * max(mean.max(), _LEAST)
    return bool(saturated and (cosine > np.cos(np.radians(25))).mean() >= _SCREEN_SHARE)


def _not_skin(chroma: FloatImage) -> FloatImage:
    """Return 0 for hues of skin, 1 for others, (H, W, 1)."""
    skin = _unit(_chroma(_SKIN))
    norm = np.linalg.norm(chroma, axis=2, keepdims=True) + _LEAST
    cosine = (chroma * skin).sum(2, keepdims=True) / norm
    share: FloatImage = np.clip((_SKIN_FULL - cosine) / (_SKIN_FULL - _SKIN_NONE), 0, 1)
    return share


def _chroma(colours: Any) -> Any:
    """Return what colours (..., 3) have beside their luminance."""
    return colours - (colours @ _LUMINANCE)[..., None]


def _unit(vectors: Any) -> Any:
    return vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + _LEAST)
