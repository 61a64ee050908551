"""Symmetric positive definite systems, solved by preconditioned conjugate gradients, or not at all.

What has not converged is an error that names the residual, never an alpha.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from numpy.typing import NDArray

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
    size = float(np.linalg.norm(right))
    if size == 0.0:
        return Solved(values=np.zeros_like(right), residual=0.0, iterations=0)
    count = 0

    def counted(_: Vector) -> None:
        nonlocal count
        count += 1

    approximate = scipy.sparse.linalg.LinearOperator(
        matrix.shape, matvec=_preconditioner(matrix, precondition), dtype=np.float64
    )
    with np.errstate(all="ignore"):  # a breakdown shows in the residual
        values, failed = scipy.sparse.linalg.cg(
            matrix, right, rtol=settings.tolerance, maxiter=settings.iterations,
            M=approximate, callback=counted,
        )  # fmt: skip
        residual = float(np.linalg.norm(right - matrix @ values)) / size
    if not residual <= settings.tolerance * (1 if failed else _ALLOWANCE):  # also refuses NaN
        raise _not_converged(residual, count, settings)
    return Solved(values=values, residual=residual, iterations=count)


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
