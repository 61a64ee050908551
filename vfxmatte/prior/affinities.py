"""Affinities between pixels of like colour, and the alphas that follow from them.

There are two kinds: between neighbours, by the matting Laplacian (Levin, Lischinski, Weiss 2008),
and between pixels that are alike wherever they are (Chen, Li, Tang 2013).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vfxmatte.common.conjugate_gradients import conjugate_gradients
from vfxmatte.common.sums import norm
from vfxmatte.prior.constants import (
    ITERATIONS,
    LAPLACIAN_EPSILON,
    NEAR_PX,
    NEIGHBOURS,
    TOLERANCE,
)
from vfxmatte.prior.laplacian import STEPS, MattingLaplacian
from vfxmatte.types import Floats, Mask

Places = NDArray[np.intp]

_LEAF_SIZE = 32  # of the k-d tree; halves the time of a query
_LEAST_DEGREE = 1e-12  # of a pixel that is joined to none


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """The unknown region of a reduced picture, and what is known around it."""

    unknown: Mask
    """(h, w), at least one."""
    known: Floats
    """(h, w) alphas; 0 where unknown."""

    @property
    def pixels(self) -> Places:
        """(u,) unknown pixels, in reading order."""
        return np.flatnonzero(self.unknown)

    @property
    def numbers(self) -> Places:
        """(h, w) which of the unknown pixels each is."""
        return np.reshape(np.cumsum(self.unknown, dtype=np.int32) - 1, self.unknown.shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class Affinities:
    """Affinities as a system of equations of the u unknown pixels."""

    degree: Floats
    """(u,) sums of each pixel's affinities."""
    arriving: Floats
    """(u,) sums of affinity times alpha over the known pixels."""
    matrix: Any
    """(u, u) sparse, the affinities among unknown pixels."""


def adjacent(pictures: Sequence[Floats], region: Region) -> list[Affinities]:
    """Join pixels to those at most two px away, by the colours of each picture (h, w, 3)."""
    picture, rows_of = torch.from_numpy(np.stack(pictures)), torch.from_numpy(region.unknown)
    laplacian = MattingLaplacian.of(
        picture.permute(0, 3, 1, 2), epsilon=LAPLACIAN_EPSILON, rows_of=rows_of
    )
    pixels, (height, width) = region.pixels[:, None], region.unknown.shape
    ahead = np.array([dy * width + dx for dy, dx in STEPS[1:]])
    # Beyond the border they come in again elsewhere, where their affinities are 0.
    columns = np.concatenate((pixels + ahead, pixels - ahead), axis=1) % (height * width)
    own = np.broadcast_to(pixels, (len(pixels), len(ahead)))
    planes = np.tile(np.arange(1, len(STEPS)), 2) * (height * width)
    places = np.concatenate((own, columns[:, len(ahead) :]), axis=1) + planes
    values = [-plane.take(places) for plane in laplacian.planes.flatten(1).numpy()]
    return _systems(region, np.arange(len(pixels)), columns, values)


def distant(colours: Floats, region: Region) -> Affinities:
    """Join pixels to those most like them in colour (h, w, 3), on every other pixel.

    Known pixels count twice, as if they had chosen the unknown ones too."""
    from scipy.spatial import cKDTree

    unknown, square = region.unknown, np.ones((2 * NEAR_PX + 1,) * 2, np.uint8)
    held = cv2.dilate(unknown.astype(np.uint8), square)
    held[::2, 1::2] = held[1::2, ::2] = 0
    near = np.flatnonzero(held)
    queries = np.flatnonzero(unknown.ravel()[near])
    if not len(queries):
        return _systems(region, queries, queries[:, None], [np.zeros((0, 1))])[0]
    near_colours = colours.reshape(-1, 3)[near]
    place = np.stack(np.divmod(near, unknown.shape[1]), axis=1)
    found = []
    for count, weight in NEIGHBOURS:
        points = np.concatenate((near_colours, weight * place), 1) if weight else near_colours
        tree = cKDTree(points, _LEAF_SIZE, balanced_tree=False, compact_nodes=False)
        ranks = range(1, min(count, len(near)) + 1)
        found.append(tree.query(points[queries], ranks, workers=torch.get_num_threads())[1])
    own, others = near[queries], near[np.concatenate(found, axis=1)]
    values = np.where(unknown.ravel()[others], 1.0, 2.0) * (others != own[:, None])
    chosen = _systems(region, region.numbers.ravel()[own], others, [values])[0]
    choosing = chosen.matrix.T.tocsr()
    return Affinities(
        degree=chosen.degree + np.asarray(choosing.sum(1)).ravel(),
        arriving=chosen.arriving,
        matrix=chosen.matrix + choosing,
    )


def _systems(
    region: Region, rows: Places, columns: Places, values: Sequence[Floats]
) -> list[Affinities]:
    """Join some of the unknown pixels, number `rows` (n,), ascending, to k pixels each.

    Args:
        columns: (n, k) pixels of the picture.
        values: (n, k) affinities of each system.
    """
    import scipy.sparse

    count = np.count_nonzero(region.unknown)
    inside, known = region.unknown.take(columns), region.known.take(columns)
    ends = np.zeros(count + 1, np.int32)
    ends[rows + 1] = np.count_nonzero(inside, axis=1)
    among, ends = region.numbers.take(columns[inside]), ends.cumsum(dtype=np.int32)
    systems = []
    for affinities in values:
        degree, arriving = np.zeros((2, count))
        degree[rows] = affinities.sum(1)
        arriving[rows] = (affinities * known).sum(1)
        matrix = scipy.sparse.csr_matrix((affinities[inside], among, ends), (count, count))
        systems.append(Affinities(degree=degree, arriving=arriving, matrix=matrix))
    return systems


def means(near_by: Sequence[Affinities], far: Affinities, weights: Sequence[float]) -> Floats:
    """Solve alphas of the unknown pixels, each the mean of what it is joined to, n times.

    Solves a_i Σ w_ij = Σ w_ij a_j by conjugate gradients, which need not converge: no result has to
    be exact. The largest weight is solved first and is the start of the others.

    Args:
        near_by: n affinities of neighbours.
        far: those of distant pixels.
        weights: n weights of these.
    Returns:
        (u, n) alphas of the u unknown pixels.
    """
    alphas = np.full((len(far.degree), len(weights)), 0.5)
    start = alphas[:, 0].copy()
    for number in np.argsort(weights)[::-1]:
        start = alphas[:, number] = _solve(near_by[number], far, weights[number], start)
    return alphas


def _solve(near: Affinities, far: Affinities, weight: float, start: Floats) -> Floats:
    """Conjugate gradients, preconditioned by the diagonal."""
    degree = near.degree + weight * far.degree
    right = near.arriving + weight * far.arriving
    joined = near.matrix + weight * far.matrix

    def product(x: Floats) -> Floats:
        result: Floats = degree * x - joined @ x
        return result

    inverse = 1 / np.maximum(degree, _LEAST_DEGREE)
    alphas, _ = conjugate_gradients(
        product,
        right,
        start,
        goal=TOLERANCE * norm(right - product(np.full_like(right, 0.5))),
        steps=ITERATIONS,
        precondition=lambda residual: inverse * residual,
    )
    return alphas
