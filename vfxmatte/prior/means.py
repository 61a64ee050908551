"""Alphas of which each is the mean of those that it is joined to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vfxmatte.common.conjugate_gradients import conjugate_gradients
from vfxmatte.common.sums import norm
from vfxmatte.prior.affinities import Affinities
from vfxmatte.prior.colour_blocks import ColourBlocks
from vfxmatte.prior.constants import ITERATIONS, TOLERANCE
from vfxmatte.types import FloatImage


def means(
    near: Sequence[Affinities],
    far: Affinities,
    blocks: Sequence[ColourBlocks],
    weights: Sequence[tuple[float, int]],
) -> FloatImage:
    """Solve alphas of the unknown pixels, each the mean of what it is joined to, n times.

    Solves a_i Σ w_ij = Σ w_ij a_j by conjugate gradients, which need not converge: no result has to
    be exact. The largest weight is solved first and is the start of the others.

    Args:
        near: affinities of neighbours, for each picture.
        far: those of distant pixels.
        blocks: the solver's coarse corrections, for each picture.
        weights: n weights of distant pixels, ascending, and the picture that each goes with.
    Returns:
        (u, n) alphas of the u unknown pixels.
    """
    alphas = np.empty((len(far.degree), len(weights)), np.float32)
    start = np.full(len(alphas), 0.5, np.float32)
    for number, (weight, picture) in reversed([*enumerate(weights)]):
        start = alphas[:, number] = _solve(near[picture], far, blocks[picture], weight, start)
    return alphas


def _solve(
    near: Affinities, far: Affinities, blocks: ColourBlocks, weight: float, start: FloatImage
) -> FloatImage:
    degree = np.asarray(near.degree + weight * far.degree, np.float32)
    right = np.asarray(near.arriving + weight * far.arriving, np.float32)

    def product(x: FloatImage) -> FloatImage:
        result: FloatImage = far.matrix @ x
        result *= -weight
        result -= near.matrix @ x
        result += degree * x
        return result

    alphas, _ = conjugate_gradients(
        product,
        right,
        start,
        goal=TOLERANCE * norm(right - product(np.full_like(start, 0.5))),
        steps=ITERATIONS,
        precondition=blocks.preconditioner(degree, weight),
    )
    return alphas
