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
class Affinities:
    """A sparse matrix as n entries; a pair may occur several times, and its values add up."""

    rows: Places
    """(n,) unknown pixels, numbered in reading order."""
    columns: Places
    """(n,) pixels of the picture."""
    values: Floats
    """(n,) affinities."""
    count: int
    """Number of unknown pixels."""


def adjacent(colours: Floats, unknown: Mask) -> Affinities:
    """Join unknown pixels (h, w) to those at most two px away, by their colours (h, w, 3)."""
    height, width = unknown.shape
    picture, rows_of = torch.from_numpy(colours).permute(2, 0, 1)[None], torch.from_numpy(unknown)
    laplacian = MattingLaplacian.of(picture, epsilon=LAPLACIAN_EPSILON, rows_of=rows_of)
    planes = laplacian.planes[0].numpy()
    y, x = np.nonzero(unknown)
    rows, columns, values = [], [], []
    for plane, (dy, dx) in zip(planes[1:], STEPS[1:], strict=True):
        for sign in (1, -1):
            other_y, other_x = y + sign * dy, x + sign * dx
            inside = (other_y >= 0) & (other_y < height) & (other_x >= 0) & (other_x < width)
            row = np.flatnonzero(inside)
            other = other_y[row], other_x[row]
            rows.append(row)
            columns.append(other[0] * width + other[1])
            values.append(-plane[(y[row], x[row]) if sign == 1 else other])
    return _all(rows, columns, values, len(y))


def distant(colours: Floats, unknown: Mask) -> Affinities:
    """Join unknown pixels (h, w) to those most like them in colour (h, w, 3).

    Known pixels count twice, as if they had chosen the unknown ones too."""
    from scipy.spatial import cKDTree

    square = np.ones((2 * NEAR_PX + 1,) * 2, np.uint8)
    near = np.flatnonzero(cv2.dilate(unknown.astype(np.uint8), square))
    open_ = unknown.ravel()[near]
    queries, row_of = np.flatnonzero(open_), np.cumsum(open_) - 1
    near_colours = colours.reshape(-1, 3)[near]
    place = np.stack(np.divmod(near, unknown.shape[1]), axis=1)
    rows, columns, values = [], [], []
    for count, weight in NEIGHBOURS:
        points = np.concatenate((near_colours, weight * place), 1) if weight else near_colours
        tree, threads = cKDTree(points, leafsize=_LEAF_SIZE), torch.get_num_threads()
        _, nearest = tree.query(points[queries], min(count, len(points)), workers=threads)
        one, other = np.repeat(queries, nearest.size // len(queries)), nearest.ravel()
        apart = one != other
        one, other = one[apart], other[apart]
        mutual = open_[other]
        rows += [row_of[one], row_of[other[mutual]]]
        columns += [near[other], near[one[mutual]]]
        values += [np.where(mutual, 1.0, 2.0), np.ones(np.count_nonzero(mutual))]
    return _all(rows, columns, values, len(queries))


def means(
    near_by: Sequence[Affinities],
    far_apart: Affinities,
    weights: Sequence[float],
    unknown: Mask,
    known: Floats,
) -> Floats:
    """Solve alphas of the unknown pixels, each the mean of what it is joined to, n times.

    Solves a_i Σ w_ij = Σ w_ij a_j by conjugate gradients, which need not converge: no result has to
    be exact. The largest weight is solved first and is the start of the others.

    Args:
        near_by: n affinities of neighbours.
        far_apart: those of distant pixels.
        weights: n weights of these.
        unknown: (h, w).
        known: (h, w) alphas.
    Returns:
        (u, n) alphas of the u unknown pixels.
    """
    far = _Joined.of(far_apart, unknown, known)
    distinct = {id(near): near for near in near_by}
    joined = {key: _Joined.of(near, unknown, known) for key, near in distinct.items()}
    alphas = np.full((far_apart.count, len(weights)), 0.5)
    start = alphas[:, 0]
    for number in np.argsort(weights)[::-1]:
        near = joined[id(near_by[number])]
        start = alphas[:, number] = _solve(near, far, weights[number], start)
    return alphas


@dataclass(frozen=True, kw_only=True, eq=False)
class _Joined:
    """Affinities as a system of equations of the u unknown pixels."""

    degree: Floats
    """(u,) sums of each pixel's affinities."""
    arriving: Floats
    """(u,) sums of affinity times alpha over the known pixels."""
    matrix: Any
    """(u, u) sparse, the affinities among unknown pixels."""

    @classmethod
    def of(cls, some: Affinities, unknown: Mask, known: Floats) -> _Joined:
        import scipy.sparse

        inside = unknown.ravel()[some.columns]
        rows, columns, values = some.rows[inside], some.columns[inside], some.values[inside]
        outside = some.values * np.where(unknown, 0.0, known).ravel()[some.columns]
        own, shape = np.cumsum(unknown.ravel()) - 1, (some.count, some.count)
        return cls(
            degree=_sums(some.rows, some.values, some.count),
            arriving=_sums(some.rows, outside, some.count),
            matrix=scipy.sparse.coo_matrix((values, (rows, own[columns])), shape).tocsr(),
        )


def _sums(rows: Places, values: Floats, count: int) -> Floats:
    return np.bincount(rows, values, count).astype(np.float64)


def _solve(near: _Joined, far: _Joined, weight: float, start: Floats) -> Floats:
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


def _all(rows: list[Places], columns: list[Places], values: list[Floats], count: int) -> Affinities:
    return Affinities(
        rows=np.concatenate(rows),
        columns=np.concatenate(columns),
        values=np.concatenate(values),
        count=count,
    )
