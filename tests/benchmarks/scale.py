"""What a long shot, or a whole show, would take at the pace that was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_WEEK = 7 * 24 * 3600.0
_UNITS = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


@dataclass(frozen=True, kw_only=True)
class Work:
    """So many shots of so many frames."""

    shots: int
    frames: int

    def __str__(self) -> str:
        many = f"{self.shots:,} shots" if self.shots > 1 else "a shot"
        return f"{many} of {self.frames:,} frames"


SCALES = (Work(shots=1, frames=2_000), Work(shots=10_000, frames=120))


@dataclass(frozen=True, kw_only=True)
class Need:
    """seconds: on one machine like the measured one. Bytes: on disk."""

    seconds: float
    result_bytes: float
    plate_bytes: float

    @property
    def machines_in_a_week(self) -> float:
        """Machines that work day and night and are done in seven days."""
        return self.seconds / _WEEK


def need_of(work: Work, row: Mapping[str, Any]) -> Need:
    """From one row of the end-to-end measurement."""
    count = work.shots * work.frames
    return Need(
        seconds=count / row["fps"],
        result_bytes=count * row["results_bytes_per_frame"],
        plate_bytes=count * row["plate_bytes_per_frame"],
    )


def time_text(seconds: float) -> str:
    """`3.5 hours`."""
    size, unit = next((pair for pair in _UNITS if seconds >= 2 * pair[0]), _UNITS[-1])
    return f"{seconds / size:,.1f} {unit}"


def bytes_text(count: float) -> str:
    """`1.2 TB`, of a thousand gigabytes each."""
    return f"{count / 1e12:,.2f} TB" if count >= 1e12 else f"{count / 1e9:,.2f} GB"
