"""Which pixels have like alpha, by their colours, and the alphas that follow from it.

Two kinds: between neighbours, by the matting Laplacian (Levin, Lischinski, Weiss 2008), and between
pixels that are alike wherever they are (Chen, Li, Tang 2013). `torch_prior` does
the same without SciPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vfxmatte.common.sums import dot, norm
from vfxmatte.prior.constants import (
    ITERATIONS,
    LAPLACIAN_EPSILON,
    NEAR_PX,
    NEIGHBOURS,
    TOLERANCE,
)
from vfxmatte.prior.laplacian import STEPS, MattingLaplacian

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Affinities:
    """Of `count` unknown pixels (rows, in reading order) to pixels of the picture (columns); a pair
    may come several times, and counts as often. Three arrays (n,) of one entry each."""

    rows: Places
    columns: Places
    values: Floats
    count: int


def adjacent(colours: Floats, unknown: Mask) -> Affinities:
    """Of unknown pixels to those at most two away. colours: (h, w, 3); unknown: (h, w)."""
    height, width = unknown.shape
    picture, wanted = torch.from_numpy(colours).permute(2, 0, 1)[None], torch.from_numpy(unknown)
    laplacian = MattingLaplacian.of(picture, epsilon=LAPLACIAN_EPSILON, wanted=wanted)
    planes = laplacian.planes[0].numpy()
    y, x = np.nonzero(unknown)
    rows, columns, values = [], [], []
    for plane, (dy, dx) in zip(planes[1:], STEPS[1:], strict=True):
        for sign in (1, -1):
            there_y, there_x = y + sign * dy, x + sign * dx
            inside = (there_y >= 0) & (there_y < height) & (there_x >= 0) & (there_x < width)
            row = np.flatnonzero(inside)
            there = there_y[row], there_x[row]
            rows.append(row)
            columns.append(there[0] * width + there[1])
            values.append(-plane[(y[row], x[row]) if sign == 1 else there])
    return _all(rows, columns, values, len(y))


def distant(colours: Floats, unknown: Mask) -> Affinities:
    """Of unknown pixels to those most like them; known ones count twice, as if these had chosen
    them too. colours: (h, w, 3); unknown: (h, w)."""
    from scipy.spatial import cKDTree

    square = np.ones((2 * NEAR_PX + 1,) * 2, np.uint8)
    near = np.flatnonzero(cv2.dilate(unknown.astype(np.uint8), square))
    open_ = unknown.ravel()[near]
    asked, row_of = np.flatnonzero(open_), np.cumsum(open_) - 1
    near_colours = colours.reshape(-1, 3)[near]
    place = np.stack(np.divmod(near, unknown.shape[1]), axis=1)
    rows, columns, values = [], [], []
    for count, weight in NEIGHBOURS:
        points = np.concatenate((near_colours, weight * place), 1) if weight else near_colours
        tree = cKDTree(points, leafsize=32)
        most = min(count, len(points))
        found = tree.query(points[asked], most, workers=torch.get_num_threads())[1]
        one, other = np.repeat(asked, found.size // len(asked)), found.ravel()
        apart = one != other
        one, other = one[apart], other[apart]
        mutual = open_[other]
        rows += [row_of[one], row_of[other[mutual]]]
        columns += [near[other], near[one[mutual]]]
        values += [np.where(mutual, 1.0, 2.0), np.ones(np.count_nonzero(mutual))]
    return _all(rows, columns, values, len(asked))


def means(
    near_by: Sequence[Affinities],
    far_apart: Affinities,
    weights: Sequence[float],
    unknown: Mask,
    known: Floats,
) -> Floats:
    """(u, n) alphas of the unknown pixels, each the mean of what it is joined to: n times, with
    other affinities near by and another weight of those far apart.

    known: (h, w) alphas. Solves a_i Σ w_ij = Σ w_ij a_j by conjugate gradients, as far as they get:
    nothing here has to be exact. What weighs most is solved first, and the others go on from there.
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
    """Affinities as sums: what each unknown pixel has in all and gets from the known ones, (u,),
    and the rest among themselves, (u, u)."""

    degree: Floats
    arriving: Floats
    matrix: Any

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

    inverse = 1 / np.maximum(degree, 1e-12)
    goal = TOLERANCE * norm(right - product(np.full_like(right, 0.5)))
    x, residual = start, right - product(start)
    step = z = inverse * residual
    energy = dot(residual, z)
    for _ in range(ITERATIONS):
        if not norm(residual) > goal:
            break
        moved = product(step)
        length = energy / dot(step, moved)
        x = x + length * step
        residual = residual - length * moved
        z = inverse * residual
        energy, before = dot(residual, z), energy
        step = z + (energy / before) * step
    return x


def _all(rows: list[Places], columns: list[Places], values: list[Floats], count: int) -> Affinities:
    return Affinities(
        rows=np.concatenate(rows),
        columns=np.concatenate(columns),
        values=np.concatenate(values),
        count=count,
    )
