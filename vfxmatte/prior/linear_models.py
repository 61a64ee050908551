"""Local linear models of alpha by colour (He, Sun, Tang 2013, "Guided image filtering").

Around each pixel alpha is taken to be a linear function of the colours; the enlarged models of a
reduced picture give alpha at full size (He, Sun 2015, "Fast guided filter").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import cv2
import numpy as np

from vfxmatte.common import symmetric
from vfxmatte.prior.constants import MODEL_EPSILON, MODEL_RADIUS_PX
from vfxmatte.prior.inverse import inverse_positive
from vfxmatte.types import FloatImage


def linear_models(colours: FloatImage, alphas: Iterable[FloatImage]) -> Iterator[FloatImage]:
    """Fit alpha = slope · colour + offset; each model is the mean of those around it.

    Args:
        colours: (h, w, 3) float32.
        alphas: (h, w) float32 each.
    Yields:
        For each alpha slopes and offset, (h, w, 4) float32.
    """
    middle = [np.float32(colours[..., i].mean(dtype=np.float64)) for i in range(3)]
    planes = [colours[..., i] - middle[i] for i in range(3)]  # the rest has fewer digits to lose
    mean = [_boxed(plane) for plane in planes]
    covariance = [
        _boxed(planes[i] * planes[j]) - mean[i] * mean[j] + np.float32(i == j) * MODEL_EPSILON
        for i, j in symmetric.PAIRS
    ]
    inverse = cast(list[FloatImage], inverse_positive(cast(Any, covariance)))
    for alpha in alphas:
        mean_alpha = _boxed(alpha)
        shared = [_boxed(planes[i] * alpha) - mean[i] * mean_alpha for i in range(3)]
        slopes = [_row(inverse, i, shared) for i in range(3)]
        offset = mean_alpha
        for slope, of_colour, shift in zip(slopes, mean, middle, strict=True):
            offset = offset - slope * (of_colour + shift)
        model = cv2.merge([_boxed(plane) for plane in (*slopes, offset)])
        yield np.asarray(model, np.float32)


def _row(matrix: Sequence[FloatImage], i: int, vector: Sequence[FloatImage]) -> FloatImage:
    """Multiply row i of symmetric matrices, six planes (h, w), by vectors, three planes."""
    first, second, third = (
        matrix[symmetric.PAIRS.index((min(i, j), max(i, j)))] * vector[j] for j in range(3)
    )
    result: FloatImage = first + second + third
    return result


def _boxed(plane: FloatImage) -> FloatImage:
    """Average over the square around each pixel."""
    side = 2 * MODEL_RADIUS_PX + 1
    return np.asarray(cv2.blur(plane, (side, side), borderType=cv2.BORDER_REFLECT))
