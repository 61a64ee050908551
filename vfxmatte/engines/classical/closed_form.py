"""Closed-form matting (Levin, Lischinski, Weiss 2006) by PyMatting's Laplacian.

Alpha of the unknown pixels solves L_uu a = -L_uk k, with L the matting Laplacian of the picture and
k the known alpha. L is made in strips, and of it only the rows of unknown pixels are kept: memory
goes with their number and not with the picture's size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse

from vfxmatte.engines.classical.framewise import FramewiseEngine, Solution
from vfxmatte.engines.classical.linear_system import Solved, solve
from vfxmatte.engines.classical.optional import check_installed, with_version
from vfxmatte.engines.classical.pieces import solve_in_pieces
from vfxmatte.engines.classical.settings import ClassicalSettings
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.io.quiet import quiet_thread
from vfxmatte.trimaps import box_around
from vfxmatte.types import FOREGROUND, UNKNOWN, Floats, Labels, Mask

MOST_PX = 1_000_000
"""Default for `max_window_px`: unknown pixels solved at once, which take 3 GiB (measured)."""

_REACH_PX = 2  # two pixels of one 3×3 patch are no further apart
_STRIP_PX = 400_000  # pixels of a strip; the Laplacian takes 400 bytes for each


def open_closed_form(settings: EngineSettings) -> FramewiseEngine:
    """Open the engine. Raises UsageError if PyMatting is missing."""
    check_installed("closed-form")
    method = ClosedForm(settings.classical, settings.max_window_px or MOST_PX)
    return FramewiseEngine("closed-form", method, settings.classical.light)


@dataclass(frozen=True)
class ClosedForm:
    """The closed-form method."""

    settings: ClassicalSettings
    most_px: int
    """A frame with more unknown pixels is solved in pieces."""

    def describe(self) -> Mapping[str, Any]:
        return {
            "solver": with_version("pymatting"),
            "epsilon": self.settings.epsilon,
            "tolerance": self.settings.tolerance,
            "most_px": self.most_px,
        }

    def solve(self, picture: Floats, labels: Labels) -> Solution:
        unknown = labels == UNKNOWN
        box = box_around(unknown, _REACH_PX)
        known = (labels[box] == FOREGROUND).astype(np.float64)
        return solve_in_pieces(
            picture[box], unknown[box], known, self._solve_whole, most_px=self.most_px
        ).solution()

    def _solve_whole(self, picture: Floats, unknown: Mask, known: Floats) -> Solved:
        picture, unknown, known, kept = _at_least_one_patch(picture, unknown, known)
        rows = _laplacian_rows(picture, unknown, self.settings.epsilon)
        right = -(rows @ np.where(unknown, 0.0, known).ravel())
        matrix = rows[:, np.flatnonzero(unknown)].tocsc()
        solved = solve(matrix, right, _incomplete_cholesky, self.settings)
        return replace(solved, values=solved.values[kept])


def _at_least_one_patch(
    picture: Floats, unknown: Mask, known: Floats
) -> tuple[Floats, Mask, Floats, Mask]:
    """Repeat the edge of a picture with a side under 3 px, which has no 3×3 patch.

    Returns:
        Picture, unknown and known, and which of the unknown pixels are the picture's own.
    """
    height, width = unknown.shape
    more = ((0, max(0, 3 - height)), (0, max(0, 3 - width)))
    own = np.pad(np.ones(unknown.shape, bool), more)
    picture = np.pad(picture, (*more, (0, 0)), mode="edge")
    unknown, known = np.pad(unknown, more, mode="edge"), np.pad(known, more, mode="edge")
    return picture, unknown, known, own[unknown]


def _laplacian_rows(picture: Floats, unknown: Mask, epsilon: float) -> Any:
    """Compute the Laplacian's rows of the n unknown pixels, (n, H·W) sparse."""
    height, width = unknown.shape
    step = max(1, _STRIP_PX // width)
    strips = [
        _strip(picture, unknown, top, min(top + step, height), epsilon)
        for top in range(0, height, step)
    ]
    return scipy.sparse.vstack([strip for strip in strips if strip is not None], format="csr")


def _strip(picture: Floats, unknown: Mask, top: int, bottom: int, epsilon: float) -> Any:
    """Compute the rows of unknown pixels between `top` and `bottom`; None without any."""
    from pymatting import cf_laplacian

    height, width = unknown.shape
    if not unknown[top:bottom].any():
        return None
    first, last = max(0, top - _REACH_PX), min(height, bottom + _REACH_PX)
    if last - first < 3:  # a strip at the border needs a whole patch
        first = max(0, last - 3)
    local = cf_laplacian(
        np.ascontiguousarray(picture[first:last]),
        epsilon=epsilon,
        is_known=~unknown[first:last],
    )
    own = np.zeros((last - first, width), bool)
    own[top - first : bottom - first] = unknown[top:bottom]
    rows = local[np.flatnonzero(own)]
    rows.sum_duplicates()
    rows.eliminate_zeros()
    indices = (rows.indices + first * width).astype(np.int32)
    return scipy.sparse.csr_matrix(
        (rows.data, indices, rows.indptr.astype(np.int32)), (rows.shape[0], height * width)
    )


def _incomplete_cholesky(matrix: Any) -> Any:
    """Factorise approximately. Raises ValueError if that is impossible."""
    from pymatting import ichol

    with quiet_thread():  # it prints where its first attempt fails
        return ichol(matrix)
