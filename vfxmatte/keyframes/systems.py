"""Solvers of symmetric positive systems (D + L) x = b, D diagonal and L a matting Laplacian.

There are two: conjugate gradients with a diagonal preconditioner, batched, on the tensors' device;
and a sparse factorisation on the CPU for small pictures, which a second right-hand side reuses.
A solution with too large a residual is an error, never a result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import torch
from torch import Tensor

from vfxmatte.errors import SolveError
from vfxmatte.prior.laplacian import MattingLaplacian
from vfxmatte.prior.row_sums import row_sums

DIRECT_PX = 96 * 96
"""Most pixels of a picture for which a factorisation on the CPU is faster."""

_CHECK_EVERY = 10  # steps; a check makes the CPU wait for a GPU
_DRIFT = 0.5  # of the goal, left for the drift of the tracked residual


@dataclass(frozen=True, kw_only=True)
class SolverSettings:
    """Settings for solving a system."""

    method: Literal["auto", "direct", "cg"] = "auto"
    """auto factorises pictures of at most `DIRECT_PX` pixels on the CPU."""
    tolerance: float = 1e-4
    """Largest residual, as a share of the caller's reference. Single precision reliably reaches the
    default; 1e-6 and less needs float64."""
    iterations: int = 3000
    """Steps of conjugate gradients at most."""

    def __post_init__(self) -> None:
        if self.tolerance <= 0 or self.iterations < 1:
            raise ValueError("tolerance must be above 0, and iterations at least 1")


class System:
    """The systems (D + L) x = b of N pictures; caches its factors for a second solve."""

    def __init__(
        self, laplacian: MattingLaplacian, diagonal: Tensor, settings: SolverSettings
    ) -> None:
        """Create the systems; `diagonal` is D, (N, H, W), not negative."""
        self.laplacian, self.diagonal, self.settings = laplacian, diagonal, settings
        small = diagonal[0].numel() <= DIRECT_PX and diagonal.device.type == "cpu"
        self.is_direct = settings.method == "direct" or (settings.method == "auto" and small)
        self._factors: list[Any] | None = None

    def product(self, x: Tensor) -> Tensor:
        return self.laplacian.product(x).addcmul_(self.diagonal, x)

    def solve(self, b: Tensor, *, start: Tensor, reference: Tensor) -> Tensor:
        """Solve for x, (N, H, W).

        Args:
            b: (N, H, W).
            start: a first guess.
            reference: (N,) positive norms, to which the tolerance is relative.

        Raises:
            SolveError: the residual stays above tolerance × reference, or is not finite.
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
            raise SolveError(
                "the matting system has no one solution: nothing is labelled", hint=_HINT
            ) from error

    def _conjugate_gradients(self, b: Tensor, x: Tensor, reference: Tensor) -> tuple[Tensor, int]:
        """Iterate, starting again while the true residual is larger than the tracked one."""
        goal, used = self.settings.tolerance * reference, 0
        while used < self.settings.iterations:
            residual = b - self.product(x)
            if bool((_norms(residual) <= goal).all()):
                break
            x, spent = self._descend(x, residual, _DRIFT * goal, self.settings.iterations - used)
            used += spent
            if not spent:  # not finite
                break
        return x, used

    def _descend(self, x: Tensor, residual: Tensor, goal: Tensor, most: int) -> tuple[Tensor, int]:
        """Run conjugate gradients; each picture stops once its own residual is below its goal."""
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
            raise SolveError(
                f"the matting system is not solved {how}: residual {worst:.2g}, "
                f"{self.settings.tolerance:.2g} was asked for",
                hint=_HINT,
            )


_HINT = "allow more iterations, solve at a smaller size, or label more of the picture"


def _dots(a: Tensor, b: Tensor) -> Tensor:
    return row_sums((a * b).flatten(1))


def _norms(a: Tensor) -> Tensor:
    return row_sums(a.square().flatten(1)).sqrt()
