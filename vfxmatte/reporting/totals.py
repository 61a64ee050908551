"""The totals of a run that has ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from vfxmatte.common.process_memory import peak_rss_bytes
from vfxmatte.propagation.confidence import TrimapStats, suggest_keyframe
from vfxmatte.reporting.pace import Pace, clock_text
from vfxmatte.types import FrameResult

_SURE = 0.99
"""Confidence from which no further keyframe is suggested on screen."""


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The totals of a run that has ended."""

    frames: int
    """Frames with a result: the sum of the four that follow."""
    written: int
    kept: int
    """Finished by an earlier run."""
    failed: int
    skipped: int
    """Missing from the plate, and left out."""
    seconds: float
    fps: float
    """Written and failed frames per second."""
    peak_rss_bytes: int | None
    """The most memory that the process has held; None if the system does not report it."""
    device: str | None
    mattes: str | None = None
    """The pattern of the mattes' paths; of several subjects, those of the first."""
    subjects: Mapping[str, str] = field(default_factory=dict)
    """The patterns of each of several subjects' mattes, by name."""
    suggested_keyframe: int | None = None
    """The frame where a further keyframe would help most."""
    suggested_subject: str | None = None
    """Of several subjects, the one that it would help."""
    suggested_confidence: float | None = None
    """The trimap's confidence there, 0 to 1."""
    files: tuple[str, ...] = ()
    """Previews and movies that were made."""
    interrupted: bool = False

    @classmethod
    def of(cls, pace: Pace, *, device: str | None, **more: Any) -> Totals:
        """Make the totals of the results counted so far.

        Args:
            more: further fields, by name.
        """
        return cls(
            frames=pace.frames,
            written=pace.counts["written"],
            kept=pace.counts["kept"],
            failed=pace.counts["failed"],
            skipped=pace.counts["skipped"],
            seconds=round(pace.seconds, 3),
            fps=round(pace.fps, 4),
            peak_rss_bytes=peak_rss_bytes(),
            device=device,
            **more,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them."""
        return {**asdict(self), "files": list(self.files), "subjects": dict(self.subjects)}

    def lines(self) -> list[str]:
        """Return lines for the screen; [] without any result, since an error was reported."""
        if self.frames == 0 and not self.interrupted:
            return []
        parts = [f"{self.written} written"]
        parts += [f"{self.kept} kept from before"] if self.kept else []
        parts += [f"{self.failed} failed"] if self.failed else []
        parts += [f"{self.skipped} left out"] if self.skipped else []
        where = f" on {self.device}" if self.device else ""
        memory = "" if self.peak_rss_bytes is None else f", {self.peak_rss_bytes / 2**30:.1f} GiB"
        pace = f"{clock_text(self.seconds)}, {self.fps:.2f} fps{where}{memory}"
        lines = [f"{', '.join(parts)} in {pace}"]
        if self.suggested_confidence is not None and self.suggested_confidence < _SURE:
            of = f" of {self.suggested_subject}" if self.suggested_subject else ""
            lines.append(
                f"a further keyframe{of} would help most on frame {self.suggested_keyframe} "
                f"(confidence there {self.suggested_confidence:.2f})"
            )
        mattes = self.subjects.values() or filter(None, [self.mattes])
        lines += [f"mattes   {pattern}" for pattern in mattes]
        lines += [f"to see   {name}" for name in self.files]
        if self.interrupted:
            lines.append(
                "stopped: finished frames are kept, and the same command goes on from here"
            )
        return lines


def suggestion(results: Iterable[FrameResult]) -> dict[str, Any]:
    """Return `suggested_keyframe` and what belongs to it for `Totals`; {} without any.

    Of several subjects the one that needs a keyframe most is suggested.
    """
    stats: dict[str | None, list[TrimapStats]] = {}
    for result in results:
        if "keyframe_distance" in result.stats:
            stats.setdefault(result.subject, []).append(_trimap_stats(result))
    suggested = {subject: suggest_keyframe(frames) for subject, frames in stats.items()}
    found = [
        (subject, one)
        for subject, frames in stats.items()
        for one in frames
        if one.number == suggested[subject]
    ]
    if not found:
        return {}
    subject, worst = min(found, key=lambda pair: pair[1].confidence)
    of = {} if subject is None else {"suggested_subject": subject}
    return {"suggested_keyframe": worst.number, "suggested_confidence": worst.confidence, **of}


def _trimap_stats(result: FrameResult) -> TrimapStats:
    return TrimapStats(
        number=result.number,
        confidence=result.stats["confidence"],
        unknown_share=result.stats["unknown_share"],
        keyframe_distance=int(result.stats["keyframe_distance"]),
    )
