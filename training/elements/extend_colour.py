"""Straight colour for every pixel: colour under low alpha is extended from covered pixels.

A renderer or keyer leaves colour undefined where coverage is zero, and un-premultiplying by a tiny
alpha gives noise. Compositing, warping and blurring all read those pixels, so they get the colour
of the nearest covered ones, smoother with distance (push-pull, Gortler et al. 1996).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

TRUSTED_ALPHA = 0.02
"""Coverage from which on an element's own colour is used."""


def extend_colour(
    colour: NDArray[np.float32],
    alpha: NDArray[np.float32],
    *,
    trusted_alpha: float = TRUSTED_ALPHA,
) -> NDArray[np.float32]:
    """Replace colour where alpha < `trusted_alpha` by the colour around it.

    Args:
        colour: (H, W, 3) float32, straight, any encoding; non-finite values count as missing.
        alpha: (H, W) float32 in [0, 1].

    Returns:
        (H, W, 3) float32, unchanged where alpha reaches `trusted_alpha`; all zero where nothing
        can be trusted.
    """
    trusted = (alpha >= trusted_alpha) & np.isfinite(colour).all(axis=2)
    weight = np.where(trusted, alpha, 0).astype(np.float32)
    filled = _push_pull(np.where(trusted[..., None], colour, 0).astype(np.float32), weight)
    return np.where(trusted[..., None], colour, filled).astype(np.float32)


def _push_pull(colour: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fill in pixels of weight 0 from a pyramid of weighted means."""
    height, width = weight.shape
    if height == width == 1:
        return colour
    half = ((width + 1) // 2, (height + 1) // 2)
    sums = cv2.resize(colour * weight[..., None], half, interpolation=cv2.INTER_AREA)
    weights = cv2.resize(weight, half, interpolation=cv2.INTER_AREA).reshape(half[::-1])
    means = sums.reshape(*half[::-1], 3) / np.maximum(weights, np.float32(1e-8))[..., None]
    # Times 4, so that weights do not fade from level to level.
    coarse = _push_pull(means.astype(np.float32), np.minimum(weights * 4, 1).astype(np.float32))
    fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    known = (weight > 0)[..., None]
    return np.where(known, colour, fine.reshape(height, width, 3)).astype(np.float32)
