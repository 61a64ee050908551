"""Pictures with more unknown pixels than memory holds: a coarse solve, then overlapping pieces.

The picture at half its size gives a first alpha (by the same rule, if that is still too large).
Then windows are solved at full size, each with the coarse alpha as what is known around it, and
blended where they overlap: what is far away counts through the coarse solve, and no seam is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from vfxmatte.engines.classical.framewise import Solution
from vfxmatte.engines.classical.linear_system import Solved
from vfxmatte.types import Floats, Mask

SolveWhole = Callable[[Floats, Mask, Floats], Solved]
"""Solves the alpha (n,) of unknown pixels, in reading order, from a picture (H, W, 3), unknown
(H, W) bool and the known alpha (H, W)."""

OVERLAP_PX = 48
"""Overlap of a window with its neighbours, to either side of its core."""

_SMALLEST_CORE_PX = 2 * OVERLAP_PX
_BORDER_PX = 2  # known to a window at its inner borders: the reach of a 3×3 patch


@dataclass(frozen=True, kw_only=True, eq=False)
class Pieced:
    """The joined result of all solves."""

    alpha: Floats
    """(n,) of the unknown pixels."""
    residual: float
    """The worst of all solves."""
    iterations: int
    """The sum of all solves."""
    pieces: int
    """1 if everything was solved at once."""

    def solution(self) -> Solution:
        """Return the alpha in single precision, and the statistics of the solver."""
        stats = {
            "solver_residual": self.residual,
            "solver_steps": float(self.iterations),
            "pieces": float(self.pieces),
        }
        return Solution(alpha=self.alpha.astype(np.float32), stats=stats)


@dataclass(frozen=True, kw_only=True)
class _Span:
    """A window along one axis, end exclusive."""

    start: int
    stop: int
    weight: Floats
    """The weight of each of its places in the blend."""


def solve_in_pieces(
    picture: Floats, unknown: Mask, known: Floats, solve: SolveWhole, *, most_px: int
) -> Pieced:
    """Solve at once if at most `most_px` pixels are unknown, else coarsely, then in pieces."""
    if np.count_nonzero(unknown) <= most_px or min(unknown.shape) < 4:
        solved = solve(picture, unknown, known)
        return Pieced(
            alpha=solved.values, residual=solved.residual, iterations=solved.iterations, pieces=1
        )
    windows = list(_windows(unknown, most_px))
    if len(windows) == 1:  # the picture is too small to be cut
        return solve_in_pieces(picture, unknown, known, solve, most_px=unknown.size)
    guess, coarse = _coarse(picture, unknown, known, solve, most_px)
    total = np.zeros(unknown.shape)
    weight = np.zeros(unknown.shape)
    residual, iterations, pieces = coarse.residual, coarse.iterations, 0
    for rows, columns in windows:
        place = slice(rows.start, rows.stop), slice(columns.start, columns.stop)
        inside = _open(unknown[place], place, unknown.shape)
        if not inside.any():
            continue
        solved = solve(picture[place], inside, guess[place])
        share = np.outer(rows.weight, columns.weight)[inside]
        total[place][inside] += share * solved.values
        weight[place][inside] += share
        residual = max(residual, solved.residual)
        iterations, pieces = iterations + solved.iterations, pieces + 1
    filled = np.where(weight > 0, total / np.maximum(weight, 1e-12), guess)
    return Pieced(alpha=filled[unknown], residual=residual, iterations=iterations, pieces=pieces)


def _coarse(
    picture: Floats, unknown: Mask, known: Floats, solve: SolveWhole, most_px: int
) -> tuple[Floats, Pieced]:
    """Solve at half size; return (H, W) alpha, exact where it is known, and the half's result."""
    height, width = unknown.shape
    size = (width + 1) // 2, (height + 1) // 2
    small = _halved(picture, size)
    small_unknown = _halved(unknown.astype(np.float64), size) > 0
    values = _halved(np.where(unknown, 0.0, known), size)
    coarse = solve_in_pieces(small, small_unknown, values, solve, most_px=most_px)
    values[small_unknown] = np.clip(coarse.alpha, 0.0, 1.0)
    guess = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(unknown, guess, known), coarse


def _halved(values: Floats, size: tuple[int, int]) -> Floats:
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float64)


def _windows(unknown: Mask, most_px: int) -> Iterator[tuple[_Span, _Span]]:
    """Yield overlapping windows with at most `most_px` unknown pixels each, where possible."""
    core = max(unknown.shape)
    while core > _SMALLEST_CORE_PX:
        spans = [
            (r, c) for r in _spans(unknown.shape[0], core) for c in _spans(unknown.shape[1], core)
        ]
        counts = (np.count_nonzero(unknown[r.start : r.stop, c.start : c.stop]) for r, c in spans)
        if max(counts) <= most_px:
            break
        core = core * 2 // 3
    for rows in _spans(unknown.shape[0], core):
        for columns in _spans(unknown.shape[1], core):
            if unknown[rows.start : rows.stop, columns.start : columns.stop].any():
                yield rows, columns


def _spans(size: int, core: int) -> list[_Span]:
    """Cut an axis into cores, widened by the overlap; weights fall off towards a window's ends."""
    spans = []
    for first in range(0, size, core):
        start, stop = max(0, first - OVERLAP_PX), min(size, first + core + OVERLAP_PX)
        place = np.arange(start, stop, dtype=np.float64)
        rise = np.ones_like(place) if start == 0 else (place - start + 0.5) / (2 * OVERLAP_PX)
        fall = np.ones_like(place) if stop == size else (stop - place - 0.5) / (2 * OVERLAP_PX)
        weight = np.clip(np.minimum(rise, fall), 1e-3, 1.0)
        spans.append(_Span(start=start, stop=stop, weight=weight))
    return spans


def _open(unknown: Mask, place: tuple[slice, slice], shape: tuple[int, ...]) -> Mask:
    """Return the pixels that a window solves: unknown ones, except at its inner borders, where the
    coarse alpha counts as known."""
    inside = unknown.copy()
    rows, columns = place
    if rows.start > 0:
        inside[:_BORDER_PX] = False
    if rows.stop < shape[0]:
        inside[-_BORDER_PX:] = False
    if columns.start > 0:
        inside[:, :_BORDER_PX] = False
    if columns.stop < shape[1]:
        inside[:, -_BORDER_PX:] = False
    return inside
