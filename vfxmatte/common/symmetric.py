"""Symmetric 3×3 matrices, one for each pixel, as six planes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
"""(row, column) of the six planes."""


def inverse(matrices: Sequence[Any]) -> tuple[Any, ...]:
    """Return the planes of the inverses, by cofactors; planes are arrays or numbers."""
    a, b, c, d, e, f = matrices
    cofactors = (d * f - e * e, c * e - b * f, b * e - c * d)
    determinant = a * cofactors[0] + b * cofactors[1] + c * cofactors[2]
    rest = (a * f - c * c, b * c - a * e, a * d - b * b)
    return tuple(entry / determinant for entry in (*cofactors, *rest))
