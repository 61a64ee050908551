"""The closed-form matting Laplacian (Levin, Lischinski, Weiss 2008) of a batch of pictures.

Equation 12 of the paper over 3×3 windows: two pixels are coupled where a window holds both, so each
row of the matrix has 25 entries, the 5×5 pixels around its own. They are stored as planes, one for
each of the 12 steps forward and one for the diagonal; the steps back follow by symmetry. A product
is 25 shifted multiply-adds, on any device. Windows that would leave the picture are omitted, as in
PyMatting.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vfxmatte.common.symmetric import PAIRS
from vfxmatte.prior.inverse import inverse_positive

EPSILON = 1e-6
"""Regularisation of a window's colours: larger smooths flat regions."""

_AREA = 9
_WINDOWS_AT_ONCE = 4096  # on a CPU: their colours stay in its cache
_PLACES = tuple((y, x) for y in range(3) for x in range(3))
STEPS = tuple((dy, dx) for dy in range(3) for dx in range(-2, 3) if dy > 0 or dx >= 0)
"""(rows down, columns right) that the planes couple; the first is (0, 0), the diagonal."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MattingLaplacian:
    """The Laplacians L of N pictures."""

    planes: Tensor
    """(N, 13, H, W) float; plane s at pixel i is L[i, i + STEPS[s]]."""

    @classmethod
    def of(cls, image: Tensor, *, epsilon: float = EPSILON) -> MattingLaplacian:
        """Compute the Laplacians of pictures, in their dtype; no gradient flows to them.

        Covariances are computed in float64: in single precision a flat window's would be noise.

        Args:
            image: (N, 3, H, W) colours in any one space, at least 3×3.
            epsilon: the regularisation, above 0.

        Raises:
            ValueError: another shape or epsilon.
        """
        if image.ndim != 4 or image.shape[1] != 3 or min(image.shape[2:]) < 3:
            raise ValueError(f"image must be (N, 3, H, W) of at least 3x3, found {image.shape}")
        if not epsilon > 0:
            raise ValueError(f"epsilon must be above 0, found {epsilon}")
        with torch.no_grad():
            planes = _planes(image.detach().double(), epsilon)
        return cls(planes=planes.to(image.dtype))

    @property
    def count(self) -> int:
        return self.planes.shape[0]

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.planes.shape[2], self.planes.shape[3]

    @property
    def diagonal(self) -> Tensor:
        """(N, H, W)."""
        return self.planes[:, 0]

    def product(self, x: Tensor) -> Tensor:
        """Multiply L by x, (N, H, W)."""
        result = self.planes[:, 0] * x
        for plane, (dy, dx) in zip(self.planes.unbind(1)[1:], STEPS[1:], strict=True):
            own, neighbour = _pair(*self.shape, dy, dx)
            result[own].addcmul_(plane[own], x[neighbour])
            result[neighbour].addcmul_(plane[own], x[own])
        return result

    def sparse(self, number: int) -> Any:
        """Return one picture's matrix (H·W, H·W) as scipy CSC, float64."""
        import scipy.sparse

        height, width = self.shape
        planes = self.planes[number].double().cpu().numpy()
        index = np.arange(height * width).reshape(height, width)
        rows, columns, values = [index.ravel()], [index.ravel()], [planes[0].ravel()]
        for plane, (dy, dx) in zip(planes[1:], STEPS[1:], strict=True):
            own, neighbour = (place[1:] for place in _pair(height, width, dy, dx))
            pair = index[own].ravel(), index[neighbour].ravel()
            for row, column in (pair, pair[::-1]):
                rows.append(row)
                columns.append(column)
                values.append(plane[own].ravel())
        entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
        return scipy.sparse.csc_matrix(entries, shape=(index.size, index.size))

    def __repr__(self) -> str:
        return f"MattingLaplacian({self.count} of {self.shape}, {self.planes.dtype})"


_Place = tuple[slice, slice, slice]


def _pair(height: int, width: int, dy: int, dx: int) -> tuple[_Place, _Place]:
    """Return slices of the pixels with a neighbour at (dy, dx), and of these neighbours."""
    left, right = max(0, -dx), width - max(0, dx)
    own = slice(None), slice(0, height - dy), slice(left, right)
    neighbour = slice(None), slice(dy, height), slice(left + dx, right + dx)
    return own, neighbour


def _planes(image: Tensor, epsilon: float) -> Tensor:
    count, channels, height, width = image.shape
    flat = image.reshape(count, channels, -1)
    planes = image.new_zeros(count, len(STEPS), height * width)
    corners = _corners(height, width).to(image.device)  # of the windows
    at_once = _WINDOWS_AT_ONCE if image.device.type == "cpu" else max(1, len(corners))
    for some in torch.split(corners, at_once):
        places = [some + (y * width + x) for y, x in _PLACES]
        window = torch.stack([flat[:, :, place] for place in places], 2)  # (N, 3, 9, windows)
        window -= _sum(window.unbind(2))[:, :, None] / _AREA
        whitened = _whitened(window, epsilon).div_(-_AREA)
        for one, (y1, x1) in enumerate(_PLACES):
            for other, (y2, x2) in enumerate(_PLACES[one:], one):
                value = _dot(whitened[:, :, one], window[:, :, other])
                value += float(one == other) - 1 / _AREA
                planes[:, STEPS.index((y2 - y1, x2 - x1))].index_add_(1, places[one], value)
    return planes.view(count, len(STEPS), height, width)


def _corners(height: int, width: int) -> Tensor:
    """Return the first pixels of all windows."""
    y, x = torch.ones(height - 2, width - 2, dtype=torch.bool).nonzero(as_tuple=True)
    return y * width + x


def _whitened(window: Tensor, epsilon: float) -> Tensor:
    """Multiply centred colours (N, 3, 9, n) by the inverse of their regularised covariance."""
    inverse = inverse_positive(
        [
            _dot(window[:, i], window[:, j]).add_(epsilon if i == j else 0.0).div_(_AREA)
            for i, j in PAIRS
        ]
    )
    rows = [
        torch.stack([inverse[PAIRS.index((min(i, j), max(i, j)))] for j in range(3)], 1)
        for i in range(3)
    ]
    return torch.stack([_dot(row[:, :, None], window) for row in rows], 1)


def _dot(first: Tensor, second: Tensor) -> Tensor:
    """Sum the products over the second axis, one after the other, in a fixed order."""
    result = first[:, 0] * second[:, 0]
    for number in range(1, first.shape[1]):
        result.addcmul_(first[:, number], second[:, number])
    return result


def _sum(terms: Iterable[Tensor]) -> Tensor:
    """Add one after the other, in a fixed order."""
    return functools.reduce(torch.add, terms)
