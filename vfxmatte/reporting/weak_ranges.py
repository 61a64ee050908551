"""The weak ranges of a run, and what became better or worse since the run before.

Confidence is measured by the keyframes' painted area. Where that has changed, earlier frames are
rated anew by today's, so that the same matte has the same confidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vfxmatte.propagation.confidence import WEAK, TrimapStats, matte_confidence
from vfxmatte.types import FrameResult, numbers_as_text

CHANGED = 0.05
"""A confidence that changed by less is the same."""

Stats = Mapping[str, float]
BySubject = Mapping[str | None, Mapping[int, FrameResult]]
"""The results of a run by subject (None for a shot with a single one) and frame number."""


@dataclass(frozen=True, kw_only=True)
class WeakRange:
    """Neighbouring weak frames."""

    numbers: tuple[int, ...]
    worst: int
    """The frame with the least confidence."""
    confidence: float
    """The worst frame's confidence, 0 to 1."""
    lack: float
    """The confidence that all of its frames lack."""
    subject: str | None = None
    """Whose frames they are, where there are several."""

    def as_dict(self) -> dict[str, Any]:
        """Return the values for JSON."""
        of = {} if self.subject is None else {"subject": self.subject}
        return {
            "frames": numbers_as_text(self.numbers),
            "worst": self.worst,
            "confidence": round(self.confidence, 4),
            **of,
        }


def trimap_stats_of(results: Iterable[FrameResult]) -> dict[int, TrimapStats]:
    """Collect the statistics of the frames that have them, by number, ascending."""
    listed = [result for result in results if "keyframe_distance" in result.stats]
    painted_px = _painted_px(listed)
    stats = {
        result.number: TrimapStats(
            number=result.number,
            confidence=_confidence(result.stats, painted_px),
            unknown_share=result.stats["unknown_share"],
            keyframe_distance=int(result.stats["keyframe_distance"]),
        )
        for result in listed
    }
    return dict(sorted(stats.items()))


def weak_ranges(results: BySubject) -> list[WeakRange]:
    """Find the ranges of weak frames, worst first: the one whose frames lack most confidence."""
    found = [
        _range(frames, subject)
        for subject, ones in results.items()
        for frames in _runs(trimap_stats_of(ones.values()).values())
    ]
    return sorted(found, key=lambda one: one.lack, reverse=True)


def _runs(stats: Iterable[TrimapStats]) -> list[list[TrimapStats]]:
    runs: list[list[TrimapStats]] = [[]]
    for one in stats:
        if one.confidence >= WEAK:
            runs.append([])
        else:
            runs[-1].append(one)
    return [run for run in runs if run]


def _range(frames: Sequence[TrimapStats], subject: str | None) -> WeakRange:
    worst = min(frames, key=lambda one: one.confidence)
    return WeakRange(
        numbers=tuple(one.number for one in frames),
        worst=worst.number,
        confidence=worst.confidence,
        lack=sum(1.0 - one.confidence for one in frames),
        subject=subject,
    )


@dataclass(frozen=True, kw_only=True)
class Changes:
    """The frames of one subject whose confidence changed since the run before, ascending."""

    better: tuple[int, ...] = ()
    worse: tuple[int, ...] = ()


def changes(before: Mapping[int, Stats], results: Iterable[FrameResult]) -> Changes:
    """Compare confidences with those of the run before.

    Args:
        before: the statistics of the earlier results by frame number.
        results: of this run; only frames that were solved anew are compared.
    """
    solved = [result for result in results if result.status == "written"]
    painted_px = _painted_px(solved)
    differences = {
        result.number: _confidence(result.stats, painted_px) - _confidence(earlier, painted_px)
        for result in solved
        if "confidence" in result.stats
        and "confidence" in (earlier := before.get(result.number, {}))
    }
    better = (number for number, change in differences.items() if change >= CHANGED)
    worse = (number for number, change in differences.items() if change <= -CHANGED)
    return Changes(better=tuple(sorted(better)), worse=tuple(sorted(worse)))


def _painted_px(results: Iterable[FrameResult]) -> float:
    """Return the painted area that this run rates mattes by; 0 if it rated none."""
    written = (result.stats for result in results if result.status == "written")
    return next((stats["painted_px"] for stats in written if "painted_px" in stats), 0.0)


def _confidence(stats: Stats, painted_px: float) -> float:
    doubtful = stats.get("doubtful_px")
    if doubtful is None or not painted_px:
        return stats["confidence"]
    return matte_confidence(doubtful, painted_px)
