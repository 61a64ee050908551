"""Symmetric positive definite systems, solved by preconditioned conjugate gradients, or not at all.

What has not converged is an error that names the residual, never an alpha.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfxmatte.common.sums import dot, norm
from vfxmatte.engines.classical.settings import ClassicalSettings
from vfxmatte.errors import SolveError

Vector = NDArray[np.float64]
Preconditioner = Callable[[Any], Callable[[Vector], Vector]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Solved:
    """values: (n,). residual: |b - Ax| / |b|. iterations: how many it took."""

    values: Vector
    residual: float
    iterations: int


def solve(
    matrix: Any, right: Vector, precondition: Preconditioner, settings: ClassicalSettings
) -> Solved:
    """x of `matrix` x = `right`; a right-hand side of zeros gives zeros.

    matrix: (n, n) scipy sparse, symmetric positive definite.
    precondition: makes of the matrix a function that applies its approximate inverse.
    Raises SolveError.
    """
    size = norm(right)
    if size == 0.0:
        return Solved(values=np.zeros_like(right), residual=0.0, iterations=0)
    approximate = _preconditioner(matrix, precondition)
    with np.errstate(all="ignore"):  # a breakdown shows in the residual
        goal = settings.tolerance * size
        values, count = _descend(matrix, right, approximate, goal, settings.iterations)
        residual = norm(right - matrix @ values) / size
    failed = count >= settings.iterations
    if not residual <= settings.tolerance * (1 if failed else _ALLOWANCE):  # also refuses NaN
        raise _not_converged(residual, count, settings)
    return Solved(values=values, residual=residual, iterations=count)


def _descend(
    matrix: Any, right: Vector, approximate: Callable[[Vector], Vector], goal: float, most: int
) -> tuple[Vector, int]:
    """Conjugate gradients from 0 until the residual is below the goal; and how many steps.

    SciPy's own take their dot products from a BLAS, whose last bits depend on its threads."""
    values, residual = np.zeros_like(right), right.copy()
    step, before = np.zeros_like(right), np.float64(1)
    for count in range(most):
        if norm(residual) < goal:
            return values, count
        near = approximate(residual)
        energy = np.float64(dot(residual, near))
        step = near + (energy / before if count else 0.0) * step
        moved = matrix @ step
        length = energy / dot(step, moved)
        values += length * step
        residual -= length * moved
        before = energy
    return values, most


_ALLOWANCE = 10  # the residual that the solver follows drifts away from the true one


def _preconditioner(matrix: Any, precondition: Preconditioner) -> Callable[[Vector], Vector]:
    try:
        return precondition(matrix)
    except ValueError as error:
        raise SolveError(
            f"the equations of this frame cannot be prepared: {error}",
            hint="widen the known parts of its trimap, or use another --engine",
        ) from error


def _not_converged(residual: float, count: int, settings: ClassicalSettings) -> SolveError:
    return SolveError(
        f"the solver did not converge: residual {residual:.1e} after {count} steps, "
        f"wanted {settings.tolerance:.1e}",
        hint="give it more steps (--set engine.classical.iterations=20000), be content with less "
        "(--set engine.classical.tolerance=1e-4), or use another --engine",
    )
