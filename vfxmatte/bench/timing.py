"""Timing with warm-up and interleaved repeats."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The times of one function."""

    seconds: tuple[float, ...]
    """Every repeat in seconds, in order."""

    def __post_init__(self) -> None:
        if not self.seconds or min(self.seconds) < 0:
            raise ValueError(f"a timing has repeats of 0 s or more, found {self.seconds}")

    @property
    def median(self) -> float:
        """Median in seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """(slowest - fastest) / median: 0.1 means that the repeats lie within 10 %."""
        return (max(self.seconds) - min(self.seconds)) / self.median if self.median else 0.0

    def per(self, count: int) -> Timing:
        """Return the times of one of `count` parts of each repeat."""
        return Timing(seconds=tuple(second / count for second in self.seconds))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; `raw` holds every repeat."""
        return {
            "raw": list(self.seconds),
            "median": self.median,
            "fastest": min(self.seconds),
            "slowest": max(self.seconds),
            "spread": self.spread,
        }


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


def timed(
    work: Callable[[], object],
    *,
    repeats: int,
    warmup: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Time one function, see `interleaved`."""
    return interleaved({"": work}, repeats=repeats, warmup=warmup, clock=clock)[""]
