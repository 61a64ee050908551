"""Conjugate gradients whose bits do not depend on the number of threads.

SciPy's take their dot products from a BLAS, which divides them among its threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vfxmatte.common.sums import dot, norm

_Real = TypeVar("_Real", np.float32, np.float64)


def conjugate_gradients(
    product: Callable[[NDArray[_Real]], NDArray[_Real]],
    right: NDArray[_Real],
    start: NDArray[_Real],
    *,
    goal: float,
    steps: int,
    precondition: Callable[[NDArray[_Real]], NDArray[_Real]] | None = None,
    least_curvature: float = -math.inf,
) -> tuple[NDArray[_Real], int]:
    """Solve A x = right for a symmetric positive definite A.

    A breakdown (no number any more) ends the iteration; check the residual where it matters.

    Args:
        product: A x for an x of the shape of `right`.
        right, start: arrays of one shape and dtype; `start` is not changed.
        goal: the iteration ends where the norm of the residual is not above it.
        steps: steps at most.
        precondition: an approximate inverse of A, applied to a residual.
        least_curvature: d·A d of a direction d counts as at least this.

    Returns:
        x, and the number of steps taken.
    """
    x, residual, share = start.copy(), right - product(start), np.empty_like(start)
    step, before = np.zeros_like(residual), math.inf  # of no weight in the first step
    with np.errstate(all="ignore"):
        for count in range(steps):
            if not norm(residual) > goal:  # also NaN
                return x, count
            near = residual if precondition is None else precondition(residual)
            energy = dot(residual, near)
            step *= _ratio(energy, before)
            step += near
            moved = product(step)
            length = _ratio(energy, max(dot(step, moved), least_curvature))
            x += np.multiply(step, length, out=share)
            residual -= np.multiply(moved, length, out=share)
            before = energy
    return x, steps


def _ratio(first: float, second: float) -> float:
    """Divide as NumPy does: infinite or no number where the divisor is 0."""
    return float(np.divide(first, second))
