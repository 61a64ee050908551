"""Symmetric positive definite systems, solved by preconditioned conjugate gradients.

A system that does not converge is an error with its residual, never an alpha.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from vfxmatte.common.conjugate_gradients import conjugate_gradients
from vfxmatte.common.sums import norm
from vfxmatte.engines.classical.settings import ClassicalSettings
from vfxmatte.errors import SolveError
from vfxmatte.types import Floats

_ALLOWANCE = 10  # the residual that the iteration tracks drifts away from the true one

Preconditioner = Callable[[Any], Callable[[Floats], Floats]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Solved:
    """A solution x of A x = b."""

    values: Floats
    """x, (n,)."""
    residual: float
    """|b - A x| / |b|."""
    iterations: int


def solve(
    matrix: Any, right: Floats, precondition: Preconditioner, settings: ClassicalSettings
) -> Solved:
    """Solve `matrix` x = `right`; a right-hand side of zeros gives zeros.

    Args:
        matrix: (n, n) scipy sparse, symmetric positive definite.
        right: (n,).
        precondition: returns, for the matrix, a function that applies its approximate inverse.

    Raises:
        SolveError: there is no preconditioner, or the iteration does not converge.
    """
    size = norm(right)
    if size == 0.0:
        return Solved(values=np.zeros_like(right), residual=0.0, iterations=0)
    approximate = _preconditioner(matrix, precondition)
    with np.errstate(all="ignore"):  # a breakdown shows in the residual
        goal = settings.tolerance * size
        values, count = conjugate_gradients(
            lambda x: matrix @ x,
            right,
            np.zeros_like(right),
            goal=goal,
            steps=settings.iterations,
            precondition=approximate,
        )
        residual = norm(right - matrix @ values) / size
    failed = count >= settings.iterations
    if not residual <= settings.tolerance * (1 if failed else _ALLOWANCE):  # also refuses NaN
        raise _not_converged(residual, count, settings)
    return Solved(values=values, residual=residual, iterations=count)


def _preconditioner(matrix: Any, precondition: Preconditioner) -> Callable[[Floats], Floats]:
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
