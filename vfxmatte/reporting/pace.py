"""The pace of a run: frames done, frames per second, and the slowest stage."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from vfxmatte.types import FrameResult, FrameStatus

_STAGE_SUFFIX = "_ms"


@dataclass
class Pace:
    """Counts results as they come."""

    clock: Callable[[], float] = time.monotonic
    """Returns seconds since any moment."""
    counts: Counter[FrameStatus] = field(default_factory=Counter)
    stages_ms: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._started = self.clock()
        self._first: float | None = None
        self._latest = self._started

    def add(self, result: FrameResult) -> None:
        """Count a result; frames of an earlier run do not count as work."""
        self.counts[result.status] += 1
        if result.status not in ("written", "failed"):
            return
        self._latest = self.clock()
        if self._first is None:
            self._first = self._latest
        for name, value in result.stats.items():
            if name.endswith(_STAGE_SUFFIX):
                stage = name.removesuffix(_STAGE_SUFFIX)
                self.stages_ms[stage] = self.stages_ms.get(stage, 0.0) + value

    @property
    def frames(self) -> int:
        """Number of results so far, also of frames finished earlier or left out."""
        return sum(self.counts.values())

    @property
    def worked(self) -> int:
        """Number of frames that this run itself tried."""
        return self.counts["written"] + self.counts["failed"]

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self.clock() - self._started

    @property
    def fps(self) -> float:
        """Frames tried per second, start-up included; 0 before the first."""
        seconds = self._latest - self._started
        return self.worked / seconds if seconds > 0 else 0.0

    @property
    def steady_fps(self) -> float | None:
        """Frames per second since the first one; None before there are two."""
        if self._first is None or self.worked < 2 or self._latest <= self._first:
            return None
        return (self.worked - 1) / (self._latest - self._first)

    def seconds_left(self, frames_left: int) -> float | None:
        """Estimate the seconds for further frames at the steady pace; None if unknown."""
        return None if self.steady_fps is None else frames_left / self.steady_fps

    @property
    def slowest_stage(self) -> str | None:
        """The stage that took the most time: trimap, read, colour, solve or write."""
        return max(self.stages_ms, key=self.stages_ms.__getitem__) if self.stages_ms else None


def clock_text(seconds: float | None) -> str:
    """Format seconds as `1:05` or `2:00:00`; None as `-:--`."""
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
