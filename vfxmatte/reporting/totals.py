"""What a whole run came to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vfxmatte.common.process_memory import peak_rss_bytes
from vfxmatte.propagation.confidence import TrimapStats, suggest_keyframe
from vfxmatte.reporting.pace import Pace, clock_text
from vfxmatte.types import FrameResult

_SURE = 0.99  # a trimap this sure of itself needs no further keyframe


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Numbers of a run that has ended.

    frames: all that have a result; written, kept (finished before), failed and skipped (not on
    the plate) are parts of it. fps: written and failed ones over seconds. peak_rss_bytes: most
    memory that the process held; None where the system does not tell.
    suggested_keyframe: where a further keyframe would help most, and the trimap's confidence there.
    files: a preview or a movie that was made. interrupted: stopped by Ctrl-C.
    """

    frames: int
    written: int
    kept: int
    failed: int
    skipped: int
    seconds: float
    fps: float
    peak_rss_bytes: int | None
    device: str | None
    mattes: str | None = None
    suggested_keyframe: int | None = None
    suggested_confidence: float | None = None
    files: tuple[str, ...] = ()
    interrupted: bool = False

    @classmethod
    def of(cls, pace: Pace, *, device: str | None, **more: Any) -> Totals:
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
        return {**asdict(self), "files": list(self.files)}

    def lines(self) -> list[str]:
        """For the screen; [] where nothing came of the run and an error has said why."""
        if self.frames == 0 and not self.interrupted:
            return []
        parts = [f"{self.written} written"]
        parts += [f"{self.kept} kept from before"] if self.kept else []
        parts += [f"{self.failed} failed"] if self.failed else []
        parts += [f"{self.skipped} left out"] if self.skipped else []
        where = f" on {self.device}" if self.device else ""
        memory = "" if self.peak_rss_bytes is None else f", {self.peak_rss_bytes / 2**30:.1f} GiB"
        pace = f"{clock_text(self.seconds)}, {self.fps:.2f} fps{where}{memory}"
        said = [f"{', '.join(parts)} in {pace}"]
        if self.suggested_confidence is not None and self.suggested_confidence < _SURE:
            said.append(
                f"a further keyframe would help most on frame {self.suggested_keyframe} "
                f"(confidence there {self.suggested_confidence:.2f})"
            )
        if self.mattes:
            said.append(f"mattes   {self.mattes}")
        said += [f"to see   {name}" for name in self.files]
        if self.interrupted:
            said.append("stopped: finished frames are kept, and the same command goes on from here")
        return said


def suggestion(results: Iterable[FrameResult]) -> dict[str, Any]:
    """`suggested_keyframe` and `suggested_confidence` for `Totals`."""
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
    number = suggest_keyframe(stats.values())
    if number is None:
        return {}
    return {"suggested_keyframe": number, "suggested_confidence": stats[number].confidence}


def matte_pattern(folder: Path, padding: int, suffix: str) -> str:
    """`matte/matte.####.exr`, for the screen."""
    return str(folder / f"matte.{'#' * max(4, padding)}{suffix}")
