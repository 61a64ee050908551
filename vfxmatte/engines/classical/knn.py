"""KNN matting (Chen, Li, Tang 2013): pixels of like colour and place have like alpha.

Each pixel is joined to its 20 nearest neighbours in colour and place, and to 10 more where place
hardly counts, as PyMatting has it. Alpha of the unknown pixels is the mean of what they are joined
to: (D - W)_uu a = W_uk k. Known pixels take part that lie near the unknown ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
from numpy.typing import NDArray

from vfxmatte.engines.classical.framewise import FramewiseEngine, Solution
from vfxmatte.engines.classical.linear_system import Solved, solve
from vfxmatte.engines.classical.optional import check_installed, with_version
from vfxmatte.engines.classical.pieces import solve_in_pieces
from vfxmatte.engines.classical.settings import ClassicalSettings
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.trimaps import box_around, dilate
from vfxmatte.types import FOREGROUND, UNKNOWN, FloatImage, Floats, Labels, Mask

MOST_PX = 1_000_000
"""Default for `max_window_px`: unknown pixels solved at once, which take some 3 GiB."""

_NEAR_PX = 32.0  # known pixels up to so far from unknown ones take part
_NEIGHBOURS = ((20, 2.0), (10, 0.1))  # counts, and weights of place against colour, of PyMatting
_AT_ONCE = 200_000  # queries at once, for memory


def open_knn(settings: EngineSettings) -> FramewiseEngine:
    """Open the engine. Raises UsageError if PyMatting is missing."""
    check_installed("knn")
    method = NearestNeighbours(settings.classical, settings.max_window_px or MOST_PX)
    return FramewiseEngine("knn", method, settings.classical.light)


@dataclass(frozen=True)
class NearestNeighbours:
    """The KNN method."""

    settings: ClassicalSettings
    most_px: int
    """A frame with more unknown pixels is solved in pieces."""

    def describe(self) -> Mapping[str, Any]:
        return {
            "solver": with_version("pymatting"),
            "tolerance": self.settings.tolerance,
            "most_px": self.most_px,
        }

    def solve(self, picture: Floats, labels: Labels) -> Solution:
        unknown = labels == UNKNOWN
        box = box_around(unknown, int(_NEAR_PX))
        known = (labels[box] == FOREGROUND).astype(np.float64)
        size_px = max(labels.shape)

        def whole(part: Floats, open_: Mask, values: Floats) -> Solved:
            return self._solve_whole(part, open_, values, size_px)

        return solve_in_pieces(
            picture[box], unknown[box], known, whole, most_px=self.most_px
        ).solution()

    def _solve_whole(self, picture: Floats, unknown: Mask, known: Floats, size_px: int) -> Solved:
        near = np.flatnonzero(dilate(unknown, _NEAR_PX))
        open_ = unknown.ravel()[near]
        weights = _weights(_features(picture, near, size_px), open_)
        matrix, right = _system(weights, open_, known.ravel()[near])
        return solve(matrix, right, _jacobi, self.settings)


def _features(picture: Floats, near: NDArray[np.intp], size_px: int) -> FloatImage:
    """Return (n, 5) float32: colour, then x and y as a share of the picture's longer side."""
    y, x = np.divmod(near, picture.shape[1])
    place = np.stack((x, y), axis=1) / size_px
    return np.concatenate((picture.reshape(-1, 3)[near], place), axis=1).astype(np.float32)


def _weights(features: FloatImage, open_: Mask) -> Any:
    """Count how often each of u unknown pixels is joined to each of n pixels, (u, n) sparse."""
    rows = np.cumsum(open_) - 1
    shape = int(np.count_nonzero(open_)), len(open_)
    total = scipy.sparse.csr_matrix(shape)
    for count, place_weight in _NEIGHBOURS:
        weighted = features * np.array([1, 1, 1, place_weight, place_weight], np.float32)
        for one, other in _pairs(weighted, np.arange(len(weighted)), weighted, count):
            total = total + _joined(one, other, open_, rows, shape)
    lonely = _lonely(total, open_)
    if lonely.any():
        closed = np.flatnonzero(~open_)
        for one, other in _pairs(features[closed], np.flatnonzero(lonely), features, 10):
            total = total + _joined(one, closed[other], open_, rows, shape)
    return total


def _pairs(
    points: FloatImage, queries: NDArray[np.intp], features: FloatImage, count: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield (index of a query's features, index of a point near it) arrays, chunk by chunk."""
    from pymatting.util.kdtree import KDTree

    tree, count = KDTree(points), min(count, len(points))
    for start in range(0, len(queries), _AT_ONCE):
        chunk = queries[start : start + _AT_ONCE]
        _, nearest = tree.query(np.ascontiguousarray(features[chunk]), count)
        yield np.repeat(chunk, count), nearest.ravel()


def _joined(
    one: NDArray[np.intp],
    other: NDArray[np.intp],
    open_: Mask,
    rows: NDArray[np.intp],
    shape: tuple[int, int],
) -> Any:
    """Return the pairs both ways, as sparse rows of unknown pixels."""
    parts = []
    for first, second in ((one, other), (other, one)):
        counts = open_[first] & (first != second)
        row, column = rows[first[counts]].astype(np.int32), second[counts].astype(np.int32)
        parts.append(scipy.sparse.coo_matrix((np.ones(len(row)), (row, column)), shape).tocsr())
    return parts[0] + parts[1]


def _lonely(weights: Any, open_: Mask) -> Mask:
    """Find unknown pixels without a path to a known one, (n,) bool.

    They are undetermined unless they are joined to the known pixels most like them."""
    among = weights[:, np.flatnonzero(open_)]
    touches = np.asarray(weights[:, np.flatnonzero(~open_)].sum(axis=1)).ravel() > 0
    _, group = scipy.sparse.csgraph.connected_components(among, directed=False)
    reached = np.zeros(group.max() + 1, bool)
    np.logical_or.at(reached, group, touches)
    lonely = np.zeros(len(open_), bool)
    lonely[open_] = ~reached[group]
    return lonely


def _system(weights: Any, open_: Mask, known: Floats) -> tuple[Any, Floats]:
    """Return (D - W)_uu and W_uk k."""
    degree = np.asarray(weights.sum(axis=1)).ravel()
    right = weights @ np.where(open_, 0.0, known)
    matrix = scipy.sparse.diags(degree) - weights[:, np.flatnonzero(open_)]
    return matrix.tocsr(), right


def _jacobi(matrix: Any) -> Callable[[Floats], Floats]:
    inverse = 1.0 / matrix.diagonal()
    return lambda vector: inverse * vector
