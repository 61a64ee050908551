"""Sums whose order of additions depends on nothing but the number of terms.

BLAS divides a dot product among its threads, so its last bits follow from how many there are; and
threads that wait for each other beside another program's work cost more than they save.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def dot(first: NDArray[Any], second: NDArray[Any]) -> float:
    """The sum of products of two arrays of one shape, in float64."""
    return float(np.add.reduce(np.multiply(first, second, dtype=np.float64).ravel()))


def norm(values: NDArray[Any]) -> float:
    """The Euclidean length of an array taken as one vector."""
    return float(np.sqrt(dot(values, values)))
