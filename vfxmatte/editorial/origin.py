"""The start time of media without available range: by time code, frame numbers or length."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vfxmatte.editorial.package import opentimelineio
from vfxmatte.errors import ShotError, VfxmatteError
from vfxmatte.io.mattes import read_attributes
from vfxmatte.types import numbers_as_text

_TIMECODE = re.compile(r"(\d+:\d+:\d+[:;.]\d+)")
ROUNDING = 1e-3
"""Frames that rounding of rates may lose."""


def start_of(
    needed: Any, numbers: Sequence[int], plate: Path, timecode: str | None
) -> tuple[Any, str]:
    """Find the time of the first frame of media from the range that a clip needs.

    Args:
        needed: the TimeRange that the clip shows.
        numbers: the frames on disk, ascending.
        timecode: time code of the first frame, None where the media has none.
    Returns:
        The RationalTime of the first frame, and how it was found.
    Raises:
        ShotError: the range fits no time code, frame numbers or length.
    """
    opentime, rate = opentimelineio().opentime, needed.start_time.rate
    start, count = needed.start_time.value, needed.duration.value
    extent = numbers[-1] - numbers[0] + 1
    origins = [(numbers[0], "counted by the files' frame numbers"), (0, "counted from the first")]
    coded = _frames_of(timecode, rate)
    if coded is not None:
        origins.insert(0, (coded, f"counted by time code, from {timecode}"))
    for origin, why in origins:
        inside = origin - ROUNDING <= start and start + count <= origin + extent + ROUNDING
        if inside and (origin != 0 or coded == 0 or round(start) == 0):
            return opentime.RationalTime(origin, rate), why
    if round(count) == extent:
        return opentime.RationalTime(
            start, rate
        ), "the media is exactly as long as the clip, so all of it is taken"
    raise ShotError(
        f"the cut shows {count:g} frames from {start:g} ({_as_timecode(needed.start_time)}) on, "
        "and the media does not say its available range: neither its time code"
        + (f" ({timecode})" if timecode else " (it has none)")
        + f" nor its frame numbers ({numbers_as_text(numbers)}) hold them, nor is it as long",
        path=plate,
        hint="export the cut with available ranges, or deliver the whole media",
    )


def header_timecode(path: Path) -> str | None:
    """Return the time code in an image's header, if any."""
    try:
        value = read_attributes(path).get("timeCode")
    except VfxmatteError:
        return None
    if value is None:
        return None
    if all(hasattr(value, name) for name in ("hours", "minutes", "seconds", "frame")):
        mark = ";" if getattr(value, "dropFrame", False) else ":"
        clock = f"{value.hours:02d}:{value.minutes:02d}:{value.seconds:02d}"
        return f"{clock}{mark}{value.frame:02d}"
    match = _TIMECODE.search(str(value))
    return match[1] if match else None


def _frames_of(timecode: str | None, rate: float) -> int | None:
    """Convert a time code to a number of frames; None where it is invalid at this rate."""
    if timecode is None:
        return None
    try:
        time = opentimelineio().opentime.from_timecode(timecode, rate)
        return round(float(time.value))
    except ValueError:
        return None


def _as_timecode(time: Any) -> str:
    try:
        return str(opentimelineio().opentime.to_timecode(time))
    except ValueError:
        return "no time code at this rate"
