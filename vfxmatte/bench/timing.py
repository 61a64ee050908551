"""Timing: warm-up, repeats in turns, and what is told of them; every repeat is kept."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The repeats of one piece of work, in seconds, in the order in which they were taken."""

    seconds: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.seconds or min(self.seconds) < 0:
            raise ValueError(f"a timing has repeats of 0 s or more, found {self.seconds}")

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """(slowest - fastest) / median: 0.1 means that the repeats lie within 10 %."""
        return (max(self.seconds) - min(self.seconds)) / self.median if self.median else 0.0

    def per(self, count: int) -> Timing:
        """The same for one of `count` pieces that each repeat consists of."""
        return Timing(seconds=tuple(second / count for second in self.seconds))

    def as_dict(self) -> dict[str, Any]:
        """`raw` holds every repeat."""
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
    """Time several pieces of work in turns, so that a noisy machine treats all of them alike.

    Each repeat goes through all of them, beginning with another one each time. warmup: rounds
    before that, which do not count. clock: seconds. Work on a GPU has to wait for its result.
    """
    if repeats < 1 or warmup < 0:
        raise ValueError(f"repeats must be 1 or more, warmup 0 or more: {repeats}, {warmup}")
    names = list(work)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(-warmup, repeats):
        for name in _from(names, turn):
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
    """One piece of work by itself, see `interleaved`."""
    return interleaved({"": work}, repeats=repeats, warmup=warmup, clock=clock)[""]


def _from(names: Sequence[str], start: int) -> list[str]:
    start %= max(1, len(names))
    return [*names[start:], *names[:start]]
