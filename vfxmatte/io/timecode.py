"""SMPTE time codes as text: `01:00:00:00`, or `01:00:00;00` for drop-frame."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

_UNDEFINED = 0xFFFFFFFF  # a DPX word that holds no time code
_DROP = 0x40  # the drop-frame bit of a DPX word
_FASTEST = 30  # fps up to which a time code counts single frames; above, pairs (SMPTE 12-1)
_TIMECODE = re.compile(r"(\d+):(\d+):(\d+)([:;.])(\d+)")


def counts_frames(fps: Fraction) -> bool:
    """Return True if time code exists at a frame rate: integer, or N·1000/1001."""
    return fps.denominator == 1 or (fps * 1001 / 1000).denominator == 1


def valid_timecode(text: str | None, fps: Fraction) -> str | None:
    """Return the time code if it is valid at this frame rate, else None."""
    match = _TIMECODE.fullmatch((text or "").strip())
    if match is None or not counts_frames(fps):
        return None
    hours, minutes, seconds, frame = (int(match[i]) for i in (1, 2, 3, 5))
    fits = hours < 24 and minutes < 60 and seconds < 60 and frame < max(1, round(fps))
    return match[0] if fits else None


def text_of(value: Any, fps: Fraction) -> str | None:
    """Convert a frame's time code, text or an OpenEXR.TimeCode, to text; None if invalid."""
    if hasattr(value, "dropFrame"):
        frame = value.frame if fps <= _FASTEST else 2 * value.frame + value.fieldPhase
        separator = ";" if value.dropFrame else ":"
        value = f"{value.hours:02d}:{value.minutes:02d}:{value.seconds:02d}{separator}{frame:02d}"
    return valid_timecode(value, fps) if isinstance(value, str) else None


def recounted(text: str, counted: int, fps: Fraction) -> str:
    """Convert a time code of `counted` numbers a second to frames of a movie twice as fast."""
    match = _TIMECODE.fullmatch(text.strip())
    if match is None or not counted or round(fps) != 2 * counted:
        return text
    return f"{match[1]}:{match[2]}:{match[3]}{match[4]}{2 * int(match[5]):02d}"


def advance_timecode(text: str, frames: int, fps: Fraction) -> str:
    """Return the time code `frames` later.

    `;` or `.` before the frames marks drop-frame, which exists at multiples of 30000/1001: it skips
    two numbers a minute at 29.97 and four at 59.94, except every tenth minute.
    """
    match = _TIMECODE.fullmatch(text.strip())
    if match is None:
        return text
    rate, drop = round(fps), match[4] != ":" and round(fps) % 30 == 0
    hours, minutes, seconds, frame = (int(match[i]) for i in (1, 2, 3, 5))
    dropped = rate // 15 if drop else 0
    total_minutes = hours * 60 + minutes
    count = (total_minutes * 60 + seconds) * rate + frame
    count -= dropped * (total_minutes - total_minutes // 10)
    return _timecode_of(count + frames, rate, dropped, match[4])


def _timecode_of(count: int, rate: int, dropped: int, separator: str) -> str:
    count %= 24 * 6 * (600 * rate - 9 * dropped)  # midnight
    if dropped:
        tens, rest = divmod(count, 600 * rate - 9 * dropped)
        over = max(0, rest - dropped) // (60 * rate - dropped) if rest >= 60 * rate else 0
        count += dropped * (9 * tens + over)
    seconds, frame = divmod(count, rate)
    clock = (seconds // 3600, seconds // 60 % 60, seconds % 60)
    return "{:02d}:{:02d}:{:02d}".format(*clock) + f"{separator}{frame:02d}"


def bcd_timecode(word: int, rate: Fraction | None) -> str | None:
    """Decode a time code of eight binary-coded decimals (DPX); None if it is invalid."""
    if word == _UNDEFINED:
        return None
    separator = ":"
    if word & _DROP and (rate is None or rate <= _FASTEST):  # no tens of frames at this rate
        word, separator = word & ~_DROP, ";"
    digits = f"{word:08x}"
    if not digits.isdecimal():
        return None
    hours, minutes, seconds, frame = (digits[i : i + 2] for i in (0, 2, 4, 6))
    if int(hours) > 23 or int(minutes) > 59 or int(seconds) > 59:
        return None
    return f"{hours}:{minutes}:{seconds}{separator}{frame}"
