"""Symmetric positive systems (D + L) x = b, D diagonal and L a matting Laplacian, solved.

Two ways: conjugate gradients with a diagonal preconditioner, batched, on whatever device the
tensors are; and a sparse factorisation on the CPU for small pictures, used again for a second
right-hand side. Both check what they return: a solution whose residual is too large is an error,
never a result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import torch
from torch import Tensor

from vfxmatte.errors import SolverError
from vfxmatte.prior.laplacian import MattingLaplacian
from vfxmatte.prior.row_sums import row_sums

DIRECT_PX = 96 * 96
"""Up to so many pixels a factorisation on the CPU is the quicker way."""

_CHECK_EVERY = 10


@dataclass(frozen=True, kw_only=True)
class SolverSettings:
    """How a system is solved.

    method: `auto` factorises pictures of at most `DIRECT_PX` pixels on the CPU.
    tolerance: largest residual, as a share of the reference that the caller names. The default is
        what single precision reaches surely; 1e-6 and less needs float64.
    iterations: of conjugate gradients, at most.
    """

    method: Literal["auto", "direct", "cg"] = "auto"
    tolerance: float = 1e-4
    iterations: int = 3000

    def __post_init__(self) -> None:
        if self.tolerance <= 0 or self.iterations < 1:
            raise ValueError("tolerance must be above 0, and iterations at least 1")


class System:
    """(D + L) x = b for N pictures; keeps its factors, so a second solve is quick.

    diagonal: (N, H, W), not negative.
    """

    def __init__(
        self, laplacian: MattingLaplacian, diagonal: Tensor, settings: SolverSettings
    ) -> None:
        self.laplacian, self.diagonal, self.settings = laplacian, diagonal, settings
        small = diagonal[0].numel() <= DIRECT_PX and diagonal.device.type == "cpu"
        self.is_direct = settings.method == "direct" or (settings.method == "auto" and small)
        self._factors: list[Any] | None = None

    def product(self, x: Tensor) -> Tensor:
        return self.laplacian.product(x).addcmul_(self.diagonal, x)

    def solve(self, b: Tensor, *, start: Tensor, reference: Tensor) -> Tensor:
        """x (N, H, W).

        start: a first guess. reference: (N,) positive norms that the residual is measured by.
        Raises SolverError where the residual stays above tolerance × reference, or is no number.
        """
        if self.is_direct:
            x, used = self._direct(b), 0
        else:
            x, used = self._conjugate_gradients(b, start, reference)
        self._check(x, b, reference, used)
        return x

    def _direct(self, b: Tensor) -> Tensor:
        if self._factors is None:
            self._factors = [self._factor(number) for number in range(len(b))]
        known = b.detach().double().cpu().numpy()
        solved = [f.solve(one.ravel()) for f, one in zip(self._factors, known, strict=True)]
        return torch.from_numpy(np.stack(solved).reshape(known.shape)).to(b)

    def _factor(self, number: int) -> Any:
        values = self.diagonal[number].detach().double().cpu().numpy().ravel()
        matrix = self.laplacian.sparse(number) + scipy.sparse.diags(values)
        try:
            return scipy.sparse.linalg.splu(
                matrix.tocsc(), "MMD_AT_PLUS_A", options={"SymmetricMode": True}
            )
        except RuntimeError as error:
            raise SolverError(
                "the matting system has no one solution: nothing is labelled", hint=_HINT
            ) from error

    def _conjugate_gradients(self, b: Tensor, x: Tensor, reference: Tensor) -> tuple[Tensor, int]:
        """Begins again from where it is while what it believes of its residual is not so."""
        goal, used = self.settings.tolerance * reference, 0
        while used < self.settings.iterations:
            residual = b - self.product(x)
            if bool((_norms(residual) <= goal).all()):
                break
            x, spent = self._descend(x, residual, 0.5 * goal, self.settings.iterations - used)
            used += spent
            if not spent:  # no number any more
                break
        return x, used

    def _descend(self, x: Tensor, residual: Tensor, goal: Tensor, most: int) -> tuple[Tensor, int]:
        """Conjugate gradients; each picture stops where its own residual is below its goal."""
        inverse = 1 / (self.laplacian.diagonal + self.diagonal)
        x, tiny = x.clone(), torch.finfo(x.dtype).tiny
        step = z = inverse * residual
        energy = _dots(residual, z)
        for used in range(most):
            active = _norms(residual) > goal
            if used % _CHECK_EVERY == 0 and not bool(active.any()):
                return x, used
            moved = self.product(step)
            length = torch.where(active, energy / _dots(step, moved).clamp(min=tiny), 0)
            x.addcmul_(length[:, None, None], step)
            residual = residual - length[:, None, None] * moved
            z = inverse * residual
            energy, before = _dots(residual, z), energy
            step = z + (energy / before.clamp(min=tiny))[:, None, None] * step
        return x, most

    def _check(self, x: Tensor, b: Tensor, reference: Tensor, used: int) -> None:
        residual = _norms(b - self.product(x)) / reference
        worst = float(residual.max())
        if not worst <= self.settings.tolerance:  # also refuses NaN
            how = f"after {used} steps" if used else "by factorisation"
            raise SolverError(
                f"the matting system is not solved {how}: residual {worst:.2g}, "
                f"{self.settings.tolerance:.2g} was asked for",
                hint=_HINT,
            )


_HINT = "allow more iterations, solve at a smaller size, or label more of the picture"


def _dots(a: Tensor, b: Tensor) -> Tensor:
    return row_sums((a * b).flatten(1))


def _norms(a: Tensor) -> Tensor:
    return row_sums(a.square().flatten(1)).sqrt()
