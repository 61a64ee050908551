"""Local linear models of alpha by colour (He, Sun, Tang 2013, "Guided image filtering").

Around each pixel alpha is taken to be a linear function of the colours; the enlarged models of a
reduced picture give alpha at full size (He, Sun 2015, "Fast guided filter").
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from vfxmatte.common import symmetric
from vfxmatte.prior.constants import MODEL_EPSILON, MODEL_RADIUS_PX
from vfxmatte.types import Floats


def linear_models(colours: Floats, alphas: Floats) -> tuple[Floats, Floats]:
    """Fit alpha = slope · colour + offset; each model is the mean of those around it.

    Args:
        colours: (h, w, 3).
        alphas: (h, w, n).
    Returns:
        Slopes (h, w, n, 3) and offsets (h, w, n).
    """
    mean, mean_alpha = _boxed(colours), _boxed(alphas)
    products = _boxed(
        np.stack([colours[..., i] * colours[..., j] for i, j in symmetric.PAIRS], axis=2)
    )
    for n, (i, j) in enumerate(symmetric.PAIRS):
        products[..., n] -= mean[..., i] * mean[..., j] - (MODEL_EPSILON if i == j else 0.0)
    inverse = symmetric.inverse([products[..., n] for n in range(len(symmetric.PAIRS))])
    slopes, offsets = [], []
    for number in range(alphas.shape[2]):
        shared = _boxed(colours * alphas[..., number, None])
        shared -= mean * mean_alpha[..., number, None]
        slope = np.stack([_row(inverse, i, shared) for i in range(3)], axis=2)
        slopes.append(_boxed(slope))
        offsets.append(_boxed((mean_alpha[..., number] - (slope * mean).sum(2))[..., None])[..., 0])
    return np.stack(slopes, axis=2), np.stack(offsets, axis=2)


def _row(matrix: Sequence[Floats], i: int, vector: Floats) -> Floats:
    """Multiply row i of symmetric matrices, six planes (h, w), by vectors (h, w, 3)."""
    result = np.zeros(vector.shape[:2])
    for j in range(3):
        result += matrix[symmetric.PAIRS.index((min(i, j), max(i, j)))] * vector[..., j]
    return result


def _boxed(values: Floats) -> Floats:
    """Average over the square around each pixel, (h, w, n)."""
    side = 2 * MODEL_RADIUS_PX + 1
    blurred = np.empty(values.shape)
    for n in range(values.shape[2]):
        plane = np.ascontiguousarray(values[..., n])
        blurred[..., n] = cv2.blur(plane, (side, side), borderType=cv2.BORDER_REFLECT)
    return blurred
