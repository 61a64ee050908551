"""Which pixels have like alpha, by their colours, and the alphas that follow from it.

Two kinds: between neighbours, by the matting Laplacian (Levin, Lischinski, Weiss 2008), and between
pixels that are alike wherever they are (Chen, Li, Tang 2013). SciPy does the work where it is
installed; where it is not, on a machine that trains, say, torch does, on a GPU if there is one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Affinities:
    """Of `count` unknown pixels (rows, in reading order) to pixels of the picture (columns); a pair
    may come several times, and counts as often. Three arrays (n,) of one entry each."""

    rows: Places
    columns: Places
    values: Floats
    count: int

    def weighted(self, weight: float) -> Affinities:
        return Affinities(
            rows=self.rows, columns=self.columns, values=weight * self.values, count=self.count
        )

    def joined(self, other: Affinities) -> Affinities:
        return Affinities(
            rows=np.concatenate((self.rows, other.rows)),
            columns=np.concatenate((self.columns, other.columns)),
            values=np.concatenate((self.values, other.values)),
            count=self.count,
        )


def adjacent(colours: Floats, unknown: Mask) -> Affinities:
    """Of unknown pixels to those at most two away. colours: (h, w, 3); unknown: (h, w)."""
    height, width = unknown.shape
    more = (0, max(0, 3 - height)), (0, max(0, 3 - width)), (0, 0)
    picture = torch.from_numpy(np.pad(colours, more, "edge")).permute(2, 0, 1)[None]
    laplacian = MattingLaplacian.of(picture, epsilon=_EPSILON).planes[0].numpy()
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


def means(affinities: Affinities, unknown: Mask, known: Floats) -> Floats:
    """(u,) alphas of the unknown pixels, each the mean of what it is joined to.

    known: (h, w) alphas. Solves a_i Σ w_ij = Σ w_ij a_j by conjugate gradients from 0.5 on, as far
    as they get: nothing here has to be exact.
    """
    rows, columns, values = affinities.rows, affinities.columns, affinities.values
    count = affinities.count
    degree: Floats = np.bincount(rows, values, count).astype(np.float64)
    arriving = values * np.where(unknown, 0.0, known).ravel()[columns]
    right: Floats = np.bincount(rows, arriving, count).astype(np.float64)
    inside = unknown.ravel()[columns]
    own = np.cumsum(unknown.ravel())[columns[inside]] - 1
    diagonal = np.arange(count)
    product = _product()(
        np.concatenate((diagonal, rows[inside])),
        np.concatenate((diagonal, own)),
        np.concatenate((degree, -values[inside])),
        count,
    )
    return _conjugate_gradients(product, right, 1 / np.maximum(degree, 1e-12))


def _all(rows: list[Places], columns: list[Places], values: list[Floats], count: int) -> Affinities:
    return Affinities(
        rows=np.concatenate(rows),
        columns=np.concatenate(columns),
        values=np.concatenate(values),
        count=count,
    )


_Product = Callable[[Floats], Floats]


def _conjugate_gradients(product: _Product, right: Floats, inverse: Floats) -> Floats:
    """inverse: of the matrix's diagonal."""
    x = np.full_like(right, 0.5)
    residual = right - product(x)
    goal = _TOLERANCE * float(np.linalg.norm(residual))
    z = inverse * residual
    step, energy = z, float(residual @ z)
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

    found: Places = cKDTree(points).query(asked, count)[1]
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
