"""Affinities between neighbouring pixels: those of the matting Laplacian, where they are needed.

As `laplacian`, of several pictures at once, around some pixels alone, and in float32: colours are
whitened first, so that only numbers of the size of 1 are multiplied.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vfxmatte.prior.laplacian import STEPS
from vfxmatte.types import FloatImage, Mask

_AREA, _AT_ONCE = 9, 16384  # pixels of a window; windows whose colours stay in the cache
_PLACES = tuple((y, x) for y in range(3) for x in range(3))


def neighbour_planes(pictures: FloatImage, epsilon: float, around: Mask) -> FloatImage:
    """Compute the affinities of pixels with those ahead, at `STEPS[1:]`.

    Args:
        pictures: (N, 3, H, W) float32 colours, at least 3×3.
        epsilon: the regularisation of a window's colours, above 0.
        around: (H, W) bool, the pixels whose affinities are needed; others may be incomplete.
    Returns:
        (N, 12, H, W) float32.
    """
    count, _, height, width = pictures.shape
    listed = np.reshape(pictures, (count, 3, -1))
    planes = listed_affinities(listed, windows_around(around), epsilon)
    return planes.reshape(count, -1, height, width)


def windows_around(pixels: Mask) -> NDArray[np.intp]:
    """List the pixels (9, n) of the windows that hold one of some pixels (H, W)."""
    square = np.ones((3, 3), np.uint8)
    y, x = cv2.dilate(pixels.view(np.uint8), square)[1:-1, 1:-1].nonzero()
    width = pixels.shape[1]
    ahead = np.array([dy * width + dx for dy, dx in _PLACES])
    places: NDArray[np.intp] = ahead[:, None] + (y * width + x)
    return places


def listed_affinities(colours: FloatImage, windows: NDArray[np.intp], epsilon: float) -> FloatImage:
    """Compute the affinities of listed pixels with those ahead, at `STEPS[1:]`.

    Args:
        colours: (N, 3, m) float32 of m pixels.
        windows: (9, n), the pixels of each window, row by row.
        epsilon: as in `neighbour_planes`.
    Returns:
        (N, 12, m) float32.
    """
    planes = torch.zeros(len(colours), len(STEPS) - 1, colours.shape[2])
    for first in range(0, windows.shape[1], _AT_ONCE):
        some = windows[:, first : first + _AT_ONCE]
        whitened = _whitened(torch.from_numpy(colours.take(some, 2)), epsilon)
        rows = torch.from_numpy(some)
        for one, (y1, x1) in enumerate(_PLACES[:-1]):
            alike = _dot(whitened[:, :, one : one + 1], whitened[:, :, one + 1 :])
            alike += 1 / _AREA
            for value, (y2, x2) in zip(alike.unbind(1), _PLACES[one + 1 :], strict=True):
                step = STEPS.index((y2 - y1, x2 - x1)) - 1
                planes[:, step].index_add_(1, rows[one], value)
    return np.asarray(planes.numpy(), np.float32)


def _whitened(colours: Tensor, epsilon: float) -> Tensor:
    """Return numbers whose products, summed over the second axis, are the affinities less 1/9.

    Args:
        colours: (N, 3, 9, n) of n windows, which are changed.
    """
    colours -= colours.mean(2, keepdim=True)
    red, green, blue = colours.unbind(1)
    a, d, f = ((_squares(colour, colour) + epsilon) / _AREA for colour in (red, green, blue))
    b, c, e = (_squares(*pair) / _AREA for pair in ((red, green), (red, blue), (green, blue)))
    p, q = b / a, c / a  # L D Lᵀ, as in `inverse`
    least = epsilon / _AREA  # what rounding must not go below
    second = (d - p * b).clamp_(min=least)
    r = (e - p * c) / second
    third = (f - q * c - r * r * second).clamp_(min=least)
    green -= p[:, None] * red
    blue -= q[:, None] * red
    blue -= r[:, None] * green
    for colour, variance in zip((red, green, blue), (a, second, third), strict=True):
        colour *= (variance * _AREA).rsqrt_()[:, None]
    return colours


def _squares(first: Tensor, second: Tensor) -> Tensor:
    return _dot(first[:, :, None], second[:, :, None])[:, 0]


def _dot(first: Tensor, second: Tensor) -> Tensor:
    """Sum the products over the second axis, one after the other, in a fixed order."""
    result = first[:, 0] * second[:, 0]
    for number in range(1, first.shape[1]):
        result.addcmul_(first[:, number], second[:, number])
    return result
