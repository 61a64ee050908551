"""Dividing a shot's frames among workers, in few pieces, at keyframes where that pays.

A cut inside a segment makes both workers follow the trimaps of the whole segment; a cut moved to a
keyframe makes one piece longer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from functools import cache
from itertools import pairwise

from vfxmatte.propagation.shot_trimaps import Segment, segment_of

_FOLLOWING = 0.5
"""Time to follow the trimaps over one frame, relative to solving it; measured on a GPU."""


def split(
    numbers: Sequence[int], trail: Sequence[int], keyframes: Collection[int], parts: int
) -> list[list[int]]:
    """Divide frames into up to `parts` runs of neighbours so that the longest takes least time.

    Args:
        numbers: frames to solve, ascending.
        trail: all frames that trimaps are carried along.
    """
    if not numbers:
        return []
    parts = min(parts, len(numbers))
    piece = _PieceCost(numbers, trail, keyframes)
    choices = [_cuts(numbers, keyframes, len(numbers) * i / parts) for i in range(1, parts)]

    @cache
    def best(start: int, part: int) -> tuple[float, tuple[int, ...]]:
        """Return the least time of the frames from `start` on, and their cuts."""
        if part == parts - 1:
            return piece.cost(start, len(numbers)), ()
        candidates = []
        for cut in choices[part]:
            if cut > start and len(numbers) - cut >= parts - 1 - part:
                rest, cuts = best(cut, part + 1)
                candidates.append((max(piece.cost(start, cut), rest), (cut, *cuts)))
        return min(candidates, default=(float("inf"), ()))

    cost, cuts = best(0, 0)
    if cost == float("inf"):  # no combination of the choices is possible
        cuts = tuple(len(numbers) * i // parts for i in range(1, parts))
    bounds = [0, *cuts, len(numbers)]
    return [list(numbers[a:b]) for a, b in pairwise(bounds)]


def _cuts(numbers: Sequence[int], keyframes: Collection[int], ideal: float) -> list[int]:
    """Return candidates for a cut: the ideal place, and the keyframes before and after it."""
    even = round(ideal)
    at_keys = sorted(bisect_left(numbers, key) for key in keyframes)
    place = bisect_left(at_keys, even)
    return sorted({even, *at_keys[max(0, place - 1) : place + 1]} & set(range(1, len(numbers))))


class _PieceCost:
    """The cost of pieces, in units of the time to solve one frame."""

    def __init__(
        self, numbers: Sequence[int], trail: Sequence[int], keyframes: Collection[int]
    ) -> None:
        self._segments = [segment_of(number, keyframes) for number in numbers]
        self._lengths: dict[Segment, int] = {}
        for number in trail:
            segment = segment_of(number, keyframes)
            self._lengths[segment] = self._lengths.get(segment, 0) + 1

    def cost(self, start: int, end: int) -> float:
        touched = set(self._segments[start:end])
        followed = sum(self._lengths.get(s, 0) for s in touched if s[0] != s[1])
        return end - start + _FOLLOWING * followed
