"""Frame rates as exact fractions; NTSC's N·1000/1001 is recognised however it is rounded."""

from __future__ import annotations

from fractions import Fraction
from math import isfinite
from numbers import Rational
from typing import Any

from vfxmatte.errors import UsageError

DEFAULT_FPS = Fraction(24)
"""Rate of what is played or written where neither the settings nor the plate have one."""

_SLOWEST, _FASTEST = Fraction(1, 100), Fraction(10_000)
_INTEGER_TOLERANCE = 1e-4  # relative; clocks of 1 ms or 1 µs turn 24 into 23.9998
_BROADCAST_TOLERANCE = 0.005  # absolute; 23.976 is often written as 23.98
_NTSC_TOLERANCE = 5e-4  # absolute, for rates that no broadcaster has (24.975)
_MAX_DENOMINATOR = 1001


def frame_rate(value: Any) -> Fraction:
    """Convert a frame rate to an exact fraction.

    Args:
        value: an int, float, Fraction, NumPy number, or text such as `23.976` or `24000/1001`.
    Returns:
        An integer or N·1000/1001 where the value is one of these up to rounding; otherwise
        the nearest fraction with a denominator of at most 1001.
    Raises:
        UsageError: not a number, not above 0, or not between 1/100 and 10,000.
    """
    exact = _fraction(value)
    if exact is None or not _SLOWEST <= exact <= _FASTEST:
        raise UsageError(
            f"{value!r} is no frame rate",
            hint="write a number between 0.01 and 10000, such as 24, 23.976 or 30000/1001",
        )
    whole = round(exact)
    if abs(exact - whole) <= _INTEGER_TOLERANCE * exact:
        return Fraction(whole)
    base = round(exact * 1001 / 1000)
    ntsc = Fraction(base * 1000, 1001)
    broadcast = base % 12 == 0 or base % 15 == 0
    if abs(exact - ntsc) <= (_BROADCAST_TOLERANCE if broadcast else _NTSC_TOLERANCE):
        return ntsc
    return exact.limit_denominator(_MAX_DENOMINATOR)


def known_rate(value: Any) -> Fraction | None:
    """Convert a rate from a file's metadata; None if it is no frame rate."""
    try:
        return frame_rate(value)
    except UsageError:
        return None


def _fraction(value: Any) -> Fraction | None:
    if isinstance(value, bool):
        return None
    try:
        if isinstance(value, Rational):
            return Fraction(int(value.numerator), int(value.denominator))
        if isinstance(value, str):
            return Fraction("".join(value.split()))
        number = float(value)
        return Fraction(number) if isfinite(number) else None
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
