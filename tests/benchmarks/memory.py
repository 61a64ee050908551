"""Whether memory grows with a shot's length: a short and a long run of the same kind of shot."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.run_cost import RunCost, measure_run_apart
from vfxmatte.bench.machine import machine_in_words
from vfxmatte.bench.moving_shot import MovingShot
from vfxmatte.errors import UsageError, VfxmatteError

WANTED_RATIO = 1.05
"""A long shot's peak memory may be so many times that of a short one."""

_MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class MemoryReport:
    """A short and a long run of the same kind of shot, on this machine."""

    width: int
    height: int
    short: RunCost
    long: RunCost
    machine: str

    @property
    def ratio(self) -> float:
        """Raises VfxmatteError where the system does not tell a process' peak memory."""
        if not self.short.peak_rss_bytes or not self.long.peak_rss_bytes:
            raise VfxmatteError(
                "this system does not tell how much memory a process has held",
                hint="measure memory on Linux or macOS",
            )
        return self.long.peak_rss_bytes / self.short.peak_rss_bytes

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio, "wanted_ratio": WANTED_RATIO}

    def __str__(self) -> str:
        verdict = "met" if self.ratio <= WANTED_RATIO else "MISSED"
        lines = [
            f"{cost.frames:5d} frames {self.width}×{self.height}: peak memory "
            f"{(cost.peak_rss_bytes or 0) / _MIB:7.1f} MiB, {cost.seconds:6.1f} s"
            for cost in (self.short, self.long)
        ]
        lines.append(f"ratio {self.ratio:.3f}, wanted at most {WANTED_RATIO}: {verdict}")
        return "\n".join([*lines, f"{self.machine}, {self.long.device}"])


def measure_memory(
    *,
    short: int = 40,
    long: int = 400,
    width: int = 480,
    height: int = 270,
    weights: Path | None = None,
    device: str = "auto",
    folder: Path | None = None,
) -> MemoryReport:
    """Run two made-up shots that differ in length alone, and compare their peak memory.

    folder: where the shots are made; None makes them in a temporary folder.

    Raises:
        UsageError: the long shot is not longer. VfxmatteError: a run failed; its own words are on
            stderr.
    """
    if not 2 <= short < long:
        raise UsageError(f"a short shot of 2 frames or more and a longer one, not {short}, {long}")
    with tempfile.TemporaryDirectory(prefix="vfxmatte-bench-", dir=folder) as name:
        costs = []
        for frames in (short, long):
            shot = MovingShot(frames=frames, width=width, height=height)
            made = shot.write(Path(name) / str(frames))
            costs.append(measure_run_apart(made, weights=weights, device=device))
    return MemoryReport(
        width=width, height=height, short=costs[0], long=costs[1], machine=machine_in_words()
    )
