"""Timing of several functions in turn, so that noise affects all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from vfxmatte.bench.timing import Timing


def per(timing: Timing, count: int) -> Timing:
    """Return the times of one of `count` parts of each repeat."""
    return Timing(seconds=tuple(second / count for second in timing.seconds))


def interleaved(
    work: Mapping[str, Callable[[], object]],
    *,
    repeats: int,
    warmup: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Time several functions in turn, so that noise affects all of them alike.

    Args:
        work: functions by name; GPU functions must wait for their result.
        repeats: rounds through all functions, each round beginning with another one.
        warmup: rounds before, which do not count.
        clock: returns seconds.
    """
    if repeats < 1 or warmup < 0:
        raise ValueError(f"repeats must be 1 or more, warmup 0 or more: {repeats}, {warmup}")
    names = list(work)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(-warmup, repeats):
        start = turn % max(1, len(names))
        for name in (*names[start:], *names[:start]):
            started = clock()
            work[name]()
            spent = clock() - started
            if turn >= 0:
                taken[name].append(spent)
    return {name: Timing(seconds=tuple(seconds)) for name, seconds in taken.items()}
