"""The pace of a whole batch."""

from __future__ import annotations

from dataclasses import dataclass

from vfxmatte.reporting.pace import Pace


@dataclass
class BatchPace(Pace):
    """Counts the results of all shots as they come."""

    finished_before: int = 0
    """Frames of the batch that earlier runs have finished, and that take no time."""
    given_up: int = 0
    """Frames of ended shots that will have no result."""

    @property
    def frames(self) -> int:
        """Number of frames that are over, with a result or without."""
        return super().frames + self.given_up

    def seconds_left(self, frames_left: int) -> float | None:
        """Estimate the seconds for the rest of the batch at the steady pace; None if unknown."""
        kept = max(0, self.finished_before - self.counts["kept"])
        return super().seconds_left(max(0, frames_left - kept))
