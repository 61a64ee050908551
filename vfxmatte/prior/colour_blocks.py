"""Coarse corrections of alpha for the solver: linear in the colours, block by block.

Alpha that is a linear function of the colours hardly costs any energy (Levin, Lischinski, Weiss
2008), so that conjugate gradients find such parts last. Solved directly, in square blocks of
pixels, they are found at once: an additive two-level preconditioner. It takes a fifth of the steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from vfxmatte.prior.affinities import Affinities
from vfxmatte.prior.region import Region
from vfxmatte.types import FloatImage, Floats

_RIDGE = 1e-6  # relative; where a block has one colour only
_LEAST = 1e-12  # degree or energy, where a pixel is joined to none


@dataclass(frozen=True, kw_only=True, eq=False)
class ColourBlocks:
    """Functions of u unknown pixels that are linear in a picture's colours in one block each."""

    functions: Any
    """(u, 4n) sparse: 1 and the colours, less their mean, for each of n blocks."""
    sums: Any
    """(4n, u) the same, transposed."""
    energies: Any
    """(4n, 4n) sparse, φᵢᵀ A φⱼ for the matrix A of the neighbours' affinities."""
    masses: Any
    """(4n, 4n) sparse, the same for the degrees of distant pixels."""

    @classmethod
    def of(
        cls, colours: FloatImage, region: Region, near: Affinities, far: Affinities
    ) -> ColourBlocks:
        """Make the functions for a picture (h, w, 3) and its affinities."""
        functions = _functions(colours, region)
        sums = functions.T.tocsr()
        within, masses = (_within(functions, sums, one.degree) for one in (near, far))
        energies = within - sums @ (near.matrix @ functions)
        return cls(functions=functions, sums=sums, energies=energies, masses=masses)

    def preconditioner(
        self, degree: FloatImage, weight: float
    ) -> Callable[[FloatImage], FloatImage]:
        """Return an approximate inverse of the matrix of all affinities, for residuals (u,).

        Args:
            degree: (u,) its diagonal.
            weight: of the distant pixels.
        """
        import scipy.sparse
        from scipy.sparse.linalg import splu

        energies = self.energies + weight * self.masses
        ridge = scipy.sparse.diags_array(_RIDGE * energies.diagonal() + _LEAST)
        own = 1 / np.maximum(degree, np.float32(_LEAST))
        try:
            factors = splu(
                (energies + ridge).tocsc(),
                permc_spec="MMD_AT_PLUS_A",
                diag_pivot_thresh=0.0,
                options={"SymmetricMode": True},
            )
        except RuntimeError:  # singular: the solver gets there without, in more steps
            return lambda residual: np.asarray(own * residual, np.float32)
        functions, sums = self.functions.astype(np.float32), self.sums.astype(np.float32)

        def precondition(residual: FloatImage) -> FloatImage:
            solution = factors.solve((sums @ residual).astype(np.float64))
            result: FloatImage = functions @ solution.astype(np.float32)
            result += own * residual
            return result

        return precondition


def _functions(colours: FloatImage, region: Region) -> Any:
    """Return the functions of all blocks, (u, 4n) sparse."""
    import scipy.sparse

    own = colours.reshape(-1, 3).take(region.pixels, 0).astype(np.float64)
    values = np.ones((len(own), 4))
    values[:, 1:] = own - own.mean(0)
    first = np.zeros(len(own), np.int32)
    first[region.firsts[1:]] = 4
    columns = first.cumsum(dtype=np.int32)[:, None] + np.arange(4, dtype=np.int32)
    ends = np.arange(0, values.size + 1, 4, dtype=np.int32)
    shape = len(own), 4 * len(region.firsts)
    return scipy.sparse.csr_matrix((values.ravel(), columns.ravel(), ends), shape)


def _within(functions: Any, sums: Any, degree: Floats) -> Any:
    """Compute φᵢᵀ D φⱼ for a diagonal matrix D (u,), (4n, 4n) sparse."""
    import scipy.sparse

    blocks = sums @ (degree[:, None] * functions.data.reshape(-1, 4))
    numbers = np.arange(len(blocks) // 4 + 1)
    return scipy.sparse.bsr_matrix((blocks.reshape(-1, 4, 4), numbers[:-1], numbers)).tocsr()
