"""Cuts for tests, made with OpenTimelineIO itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import opentimelineio as otio
from opentimelineio.opentime import RationalTime, TimeRange

FPS = 24


def span(first: float, count: float, rate: float = FPS) -> TimeRange:
    return TimeRange(RationalTime(first, rate), RationalTime(count, rate))


def plate_of(
    folder: str, *, first: int = 1001, count: int = 5, at: float = 86400, **more: Any
) -> Any:
    """A reference to FOLDER/plate.####.exr whose first frame has the time `at`."""
    values: dict[str, Any] = {"rate": FPS, "available_range": span(at, count), **more}
    return otio.schema.ImageSequenceReference(
        target_url_base=folder,
        name_prefix="plate.",
        name_suffix=".exr",
        start_frame=first,
        frame_zero_padding=4,
        **values,
    )


def clip_of(name: str, media: Any, first: float, count: float, rate: float = FPS) -> Any:
    return otio.schema.Clip(name=name, media_reference=media, source_range=span(first, count, rate))


def timeline_of(*items: Any) -> Any:
    """One video track of these."""
    timeline = otio.schema.Timeline(name="cut")
    timeline.tracks.append(otio.schema.Track(name="V1", kind="Video", children=list(items)))
    return timeline


def saved(timeline: Any, path: Path) -> Path:
    """Written as .otio, so that every test reads what a file holds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    otio.adapters.write_to_file(timeline, str(path))
    return path
