"""The totals of a run that has ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from vfxmatte.common.process_memory import peak_rss_bytes
from vfxmatte.common.wording import frames_text
from vfxmatte.propagation.confidence import suggest_keyframe, suggestion_text
from vfxmatte.reporting.pace import Pace, clock_text
from vfxmatte.reporting.weak_ranges import Changes, WeakRange, trimap_stats_of
from vfxmatte.types import FrameResult, numbers_as_text

SURE = 0.99
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
    """The subject that it would help, where there are several."""
    suggested_confidence: float | None = None
    """The matte's confidence there, 0 to 1."""
    weak: tuple[WeakRange, ...] = ()
    """Ranges of frames with little confidence, worst first."""
    changes: Mapping[str | None, Changes] = field(default_factory=dict)
    """The frames whose mattes have more or less confidence than in the run before, by subject."""
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
        plain: dict[str, Any] = {
            "files": list(self.files),
            "subjects": dict(self.subjects),
            "weak": [one.as_dict() for one in self.weak],
        }
        plain |= {"better": self._changed("better"), "worse": self._changed("worse")}
        fields = asdict(self)
        del fields["changes"]
        return {**fields, **plain}

    def _changed(self, name: str) -> str | dict[str, str]:
        """Return frames as text; of several subjects, by name."""
        texts = {s: numbers_as_text(getattr(one, name)) for s, one in self.changes.items()}
        named = {subject: text for subject, text in texts.items() if subject is not None}
        return named or texts.get(None, "")

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
        number, confidence = self.suggested_keyframe, self.suggested_confidence
        if number is not None and confidence is not None and confidence < SURE:
            lines.append(suggestion_text(number, confidence, self.suggested_subject))
        lines += self._weak_lines()
        mattes = self.subjects.values() or filter(None, [self.mattes])
        lines += [f"mattes   {pattern}" for pattern in mattes]
        lines += [f"to see   {name}" for name in self.files]
        if self.interrupted:
            lines.append(
                "stopped: finished frames are kept, and the same command goes on from here"
            )
        return lines

    def _weak_lines(self) -> list[str]:
        lines = [
            f"weak     {_of(one.subject)}{frames_text(one.numbers)}: confidence down to "
            f"{one.confidence:.2f} on frame {one.worst}"
            for one in self.weak
        ]
        return lines + [
            f"{name:8} {_of(subject)}{frames_text(numbers)} than in the run before"
            for subject, one in self.changes.items()
            for name, numbers in (("better", one.better), ("worse", one.worse))
            if numbers
        ]


def _of(subject: str | None) -> str:
    return "" if subject is None else f"{subject}, "


def suggestion(results: Iterable[FrameResult]) -> dict[str, Any]:
    """Return `suggested_keyframe` and what belongs to it for `Totals`; {} without any.

    Of several subjects the one that needs a keyframe most is suggested.
    """
    subjects: dict[str | None, list[FrameResult]] = {}
    for result in results:
        subjects.setdefault(result.subject, []).append(result)
    stats = {subject: trimap_stats_of(frames) for subject, frames in subjects.items()}
    suggested = {subject: suggest_keyframe(ones.values()) for subject, ones in stats.items()}
    suggestions = [
        (subject, one)
        for subject, ones in stats.items()
        for one in ones.values()
        if one.number == suggested[subject]
    ]
    if not suggestions:
        return {}
    subject, worst = min(suggestions, key=lambda pair: pair[1].confidence)
    of = {} if subject is None else {"suggested_subject": subject}
    return {"suggested_keyframe": worst.number, "suggested_confidence": worst.confidence, **of}
