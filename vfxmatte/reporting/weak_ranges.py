"""The weak ranges of a run, and what became better or worse since the run before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vfxmatte.propagation.confidence import WEAK, TrimapStats
from vfxmatte.types import FrameResult, numbers_as_text

CHANGED = 0.05
"""A confidence that changed by less is the same."""

Stats = Mapping[int, Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class WeakRange:
    """Neighbouring weak frames."""

    numbers: tuple[int, ...]
    worst: int
    """The frame with the least confidence."""
    confidence: float
    """The worst frame's confidence, 0 to 1."""

    def as_dict(self) -> dict[str, Any]:
        """Return the values for JSON."""
        return {
            "frames": numbers_as_text(self.numbers),
            "worst": self.worst,
            "confidence": round(self.confidence, 4),
        }


def trimap_stats_of(results: Iterable[FrameResult]) -> dict[int, TrimapStats]:
    """Collect the trimaps' statistics of the frames that have them, by number, ascending."""
    stats = {
        result.number: TrimapStats(
            number=result.number,
            confidence=result.stats["confidence"],
            unknown_share=result.stats["unknown_share"],
            keyframe_distance=int(result.stats["keyframe_distance"]),
        )
        for result in results
        if "keyframe_distance" in result.stats
    }
    return dict(sorted(stats.items()))


def weak_ranges(stats: Mapping[int, TrimapStats]) -> list[WeakRange]:
    """Find the ranges of weak frames, worst first: the one whose frames lack most confidence."""
    ranges: list[list[TrimapStats]] = [[]]
    for one in stats.values():
        if one.confidence >= WEAK:
            ranges.append([])
        else:
            ranges[-1].append(one)
    filled = sorted(filter(None, ranges), key=_lack, reverse=True)
    return [_range(each) for each in filled]


def _lack(frames: Sequence[TrimapStats]) -> float:
    return sum(1.0 - one.confidence for one in frames)


def _range(frames: Sequence[TrimapStats]) -> WeakRange:
    worst = min(frames, key=lambda one: one.confidence)
    numbers = tuple(one.number for one in frames)
    return WeakRange(numbers=numbers, worst=worst.number, confidence=worst.confidence)


def changes(before: Stats, results: Iterable[FrameResult]) -> dict[str, tuple[int, ...]]:
    """Compare confidences with those of the run before.

    Args:
        before: the statistics of the earlier results by frame number.
        results: of this run; only frames that were solved anew are compared.

    Returns:
        The frames that became `better` and `worse`, ascending.
    """
    differences = {
        result.number: result.stats["confidence"] - before[result.number]["confidence"]
        for result in results
        if result.status == "written"
        and "confidence" in result.stats
        and "confidence" in before.get(result.number, {})
    }
    better = (number for number, change in differences.items() if change >= CHANGED)
    worse = (number for number, change in differences.items() if change <= -CHANGED)
    return {"better": tuple(sorted(better)), "worse": tuple(sorted(worse))}
