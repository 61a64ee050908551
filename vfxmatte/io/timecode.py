"""SMPTE time codes from text and from binary-coded decimals, as EXR holds them."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import OpenEXR

_TEXT = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})([:;.,])(\d{1,3})")
_UNDEFINED = 0xFFFFFFFF
_DROP = 0x40
_FASTEST = 30  # frames that a time code counts in a second; above, each count is a pair
_FASTEST_PAIRS = 60


def exr_timecode(text: str, rate: Fraction | None) -> Any:
    """An OpenEXR.TimeCode; None where it cannot hold this one.

    text: `01:02:03:04`; `;` before the frames marks drop-frame. rate: frames a second. Above 30 a
    second the time code counts pairs of frames, and the field mark says which of both it is
    (SMPTE 12-1); there is no such way above 60.
    """
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        return None
    hours, minutes, seconds, frame = (int(match[i]) for i in (1, 2, 3, 5))
    nominal = round(rate) if rate is not None else _FASTEST
    if nominal > _FASTEST_PAIRS:
        return None
    second_of_pair = 0
    if nominal > _FASTEST:
        frame, second_of_pair = divmod(frame, 2)
    drop = int(match[4] != ":")
    try:
        return OpenEXR.TimeCode(
            hours, minutes, seconds, frame, drop, 0, second_of_pair, *([0] * 11)
        )
    except (RuntimeError, ValueError, TypeError):
        return None


def bcd_timecode(word: int, rate: Fraction | None) -> str | None:
    """Text of a time code of eight binary-coded decimals (DPX); None where it is none."""
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
