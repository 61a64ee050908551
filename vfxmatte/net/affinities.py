"""Which pixels have like alpha, by their colours, and the alphas that follow from it.

Two kinds: between neighbours, by the matting Laplacian (Levin, Lischinski, Weiss 2008), and between
pixels that are alike wherever they are (Chen, Li, Tang 2013). SciPy does the work where it is
installed; where it is not, on a machine that trains, say, torch does, on a GPU if there is one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vfxmatte.net.laplacian import STEPS, MattingLaplacian
from vfxmatte.trimaps import dilate

NEAR_PX = 24
"""Known pixels take part that lie so near an unknown one."""

_NEIGHBOURS = ((20, 1e-3), (10, 0.0))  # how many, and what a pixel's distance counts as a colour
_EPSILON = 1e-6  # of the matting Laplacian
_TOLERANCE, _ITERATIONS = 1e-4, 500
_DISTANCES_AT_ONCE = 1 << 26

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
Mask = NDArray[np.bool_]
_Product = Callable[[Floats], Floats]


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
    more = (0, max(0, 3 - height)), (0, max(0, 3 - width)), (0, 0)
    picture = torch.from_numpy(np.pad(colours, more, "edge")).permute(2, 0, 1)[None]
    wanted = torch.from_numpy(np.pad(unknown, more[:2], "edge"))
    laplacian = MattingLaplacian.of(picture, epsilon=_EPSILON, wanted=wanted).planes[0].numpy()
    y, x = np.nonzero(unknown)
    rows, columns, values = [], [], []
    for plane, (dy, dx) in zip(laplacian[1:], STEPS[1:], strict=True):
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
    near = np.flatnonzero(dilate(unknown, NEAR_PX))
    open_ = unknown.ravel()[near]
    asked, row_of = np.flatnonzero(open_), np.cumsum(open_) - 1
    near_colours = colours.reshape(-1, 3)[near]
    place = np.stack(np.divmod(near, unknown.shape[1]), axis=1)
    rows, columns, values = [], [], []
    for count, weight in _NEIGHBOURS:
        points = np.concatenate((near_colours, weight * place), 1) if weight else near_colours
        found = _nearest()(points, points[asked], min(count, len(points)))
        one, other = np.repeat(asked, found.size // len(asked)), found.ravel()
        apart = one != other
        one, other = one[apart], other[apart]
        mutual = open_[other]
        rows += [row_of[one], row_of[other[mutual]]]
        columns += [near[other], near[one[mutual]]]
        values += [np.where(mutual, 1.0, 2.0), np.ones(np.count_nonzero(mutual))]
    return _all(rows, columns, values, len(asked))


def means(
    near_by: Affinities,
    far_apart: Affinities,
    weights: Sequence[float],
    unknown: Mask,
    known: Floats,
) -> Floats:
    """(u, n) alphas of the unknown pixels, each the mean of what it is joined to, with n weights of
    the affinities far apart.

    known: (h, w) alphas. Solves a_i Σ w_ij = Σ w_ij a_j by conjugate gradients, as far as they get:
    nothing here has to be exact. What weighs most is solved first, and the others go on from there.
    """
    near, far = (_Joined.of(some, unknown, known) for some in (near_by, far_apart))
    alphas = np.full((near_by.count, len(weights)), 0.5)
    start = alphas[:, 0]
    for number in np.argsort(weights)[::-1]:
        start = alphas[:, number] = _solve(near, far, weights[number], start)
    return alphas


@dataclass(frozen=True, kw_only=True, eq=False)
class _Joined:
    """Affinities as sums: what each unknown pixel has in all and gets from the known ones, (u,),
    and what vectors of the unknown ones give to each other."""

    degree: Floats
    arriving: Floats
    product: _Product

    @classmethod
    def of(cls, some: Affinities, unknown: Mask, known: Floats) -> _Joined:
        inside = unknown.ravel()[some.columns]
        rows, columns, values = some.rows[inside], some.columns[inside], some.values[inside]
        outside = some.values * np.where(unknown, 0.0, known).ravel()[some.columns]
        own = np.cumsum(unknown.ravel()) - 1
        return cls(
            degree=_sums(some.rows, some.values, some.count),
            arriving=_sums(some.rows, outside, some.count),
            product=_product()(rows, own[columns], values, some.count),
        )


def _sums(rows: Places, values: Floats, count: int) -> Floats:
    return np.bincount(rows, values, count).astype(np.float64)


def _solve(near: _Joined, far: _Joined, weight: float, start: Floats) -> Floats:
    """Conjugate gradients, preconditioned by the diagonal."""
    degree = near.degree + weight * far.degree
    right = near.arriving + weight * far.arriving

    def product(x: Floats) -> Floats:
        return degree * x - near.product(x) - weight * far.product(x)

    inverse = 1 / np.maximum(degree, 1e-12)
    goal = _TOLERANCE * float(np.linalg.norm(right - product(np.full_like(right, 0.5))))
    x, residual = start, right - product(start)
    step = z = inverse * residual
    energy = float(residual @ z)
    for _ in range(_ITERATIONS):
        if not float(np.linalg.norm(residual)) > goal:
            break
        moved = product(step)
        length = energy / float(step @ moved)
        x = x + length * step
        residual = residual - length * moved
        z = inverse * residual
        energy, before = float(residual @ z), energy
        step = z + (energy / before) * step
    return x


def _all(rows: list[Places], columns: list[Places], values: list[Floats], count: int) -> Affinities:
    return Affinities(
        rows=np.concatenate(rows),
        columns=np.concatenate(columns),
        values=np.concatenate(values),
        count=count,
    )


# -- with SciPy, and without ----------------------------------------------------------------------


@cache
def _has_scipy() -> bool:
    try:
        import scipy.sparse
        import scipy.spatial  # noqa: F401
    except ImportError:
        return False
    return True


def _nearest() -> Callable[[Floats, Floats, int], Places]:
    """(n, d) points, (m, d) asked ones among them and a count to (m, count) numbers of points."""
    return nearest_by_tree if _has_scipy() else nearest_by_distance


def _product() -> Callable[[Places, Places, Floats, int], _Product]:
    """Rows, columns and values of a matrix of so many rows and columns to its product."""
    return scipy_product if _has_scipy() else torch_product


def nearest_by_tree(points: Floats, asked: Floats, count: int) -> Places:
    from scipy.spatial import cKDTree

    found: Places = cKDTree(points, leafsize=32).query(asked, count)[1]
    return found


def nearest_by_distance(points: Floats, asked: Floats, count: int) -> Places:
    among = _on_device(points)
    squares = among.square().sum(1)
    step = max(1, _DISTANCES_AT_ONCE // len(points))
    found = []
    for start in range(0, len(asked), step):
        some = _on_device(asked[start : start + step])
        distances = torch.addmm(squares, some, among.t(), alpha=-2)
        found.append(distances.topk(count, largest=False, sorted=False).indices.cpu())
    numbers: Places = torch.cat(found).numpy()
    return numbers


def scipy_product(rows: Places, columns: Places, values: Floats, count: int) -> _Product:
    import scipy.sparse

    matrix = scipy.sparse.coo_matrix((values, (rows, columns)), (count, count)).tocsr()
    return lambda vector: matrix @ vector


def torch_product(rows: Places, columns: Places, values: Floats, count: int) -> _Product:
    order = np.argsort(rows, kind="stable")
    starts = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=count))))
    parts = [_on_device(part) for part in (starts, columns[order], values[order])]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        matrix = torch.sparse_csr_tensor(
            parts[0], parts[1], parts[2], size=(count, count), check_invariants=False
        )
    return lambda vector: (matrix @ _on_device(vector)).cpu().numpy()


def _on_device(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(array).to("cuda" if torch.cuda.is_available() else "cpu")
