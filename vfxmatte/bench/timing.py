"""Timing with warm-up and repeats."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
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

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; `raw` holds every repeat."""
        return {
            "raw": list(self.seconds),
            "median": self.median,
            "fastest": min(self.seconds),
            "slowest": max(self.seconds),
            "spread": self.spread,
        }


def timed(
    work: Callable[[], object],
    *,
    repeats: int,
    warmup: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Time a function.

    Args:
        work: the function; GPU work must wait for its result.
        repeats: number of timed calls.
        warmup: number of calls before, which do not count.
        clock: returns seconds.
    """
    if repeats < 1 or warmup < 0:
        raise ValueError(f"repeats must be 1 or more, warmup 0 or more: {repeats}, {warmup}")
    seconds = []
    for _ in range(warmup + repeats):
        started = clock()
        work()
        seconds.append(clock() - started)
    return Timing(seconds=tuple(seconds[warmup:]))
