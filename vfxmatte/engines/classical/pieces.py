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

from vfxmatte.engines.classical.linear_system import Solved
from vfxmatte.types import Floats, Mask

SolveWhole = Callable[[Floats, Mask, Floats], Solved]
"""(H, W, 3) picture, (H, W) bool unknown, (H, W) alpha of what is known, to unknown pixels' alpha
(n,) in the order of rows."""

OVERLAP_PX = 48
_SMALLEST_CORE_PX = 2 * OVERLAP_PX


@dataclass(frozen=True, kw_only=True, eq=False)
class Pieced:
    """alpha: (n,) of the unknown pixels. residual: the worst of all solves. pieces: 1 where all was
    solved at once."""

    alpha: Floats
    residual: float
    iterations: int
    pieces: int


@dataclass(frozen=True, kw_only=True)
class _Span:
    """Along one axis: a window, ends exclusive, and how each of its places counts."""

    start: int
    stop: int
    weight: Floats


def solve_in_pieces(
    picture: Floats, unknown: Mask, known: Floats, solve: SolveWhole, *, most_px: int
) -> Pieced:
    """All at once where no more than `most_px` pixels are unknown, else coarse, then in pieces."""
    if np.count_nonzero(unknown) <= most_px or min(unknown.shape) < 4:
        solved = solve(picture, unknown, known)
        return Pieced(
            alpha=solved.values, residual=solved.residual, iterations=solved.iterations, pieces=1
        )
    windows = list(_windows(unknown, most_px))
    if len(windows) == 1:  # it is small, however many of its pixels are unknown
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
    """(H, W) alpha from the picture at half its size, exact where it is known."""
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
    """Windows that cover the picture, none with more than `most_px` unknown pixels where that can
    be had, each overlapping its neighbours."""
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
    """Cores side by side, each wider by the overlap; weights fall off towards a window's ends."""
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
    """What a window solves: its unknown pixels but those at its inner border, which count as known
    by the coarse alpha."""
    inside = unknown.copy()
    rows, columns = place
    border = 2
    if rows.start > 0:
        inside[:border] = False
    if rows.stop < shape[0]:
        inside[-border:] = False
    if columns.start > 0:
        inside[:, :border] = False
    if columns.stop < shape[1]:
        inside[:, -border:] = False
    return inside
