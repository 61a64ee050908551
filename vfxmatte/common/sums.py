"""Sums whose order of additions depends on the number of terms only.

BLAS divides a dot product among its threads, so its last bits depend on their number; and threads
that wait for each other on a busy machine cost more than they save.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def dot(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Sum the products of two arrays of one shape, in float64."""
    return float(np.add.reduce(np.multiply(first, second, dtype=np.float64).ravel()))


def norm(values: NDArray[Any]) -> float:
    """Return the Euclidean norm of an array taken as one vector."""
    return float(np.sqrt(dot(values, values)))
