"""Determine the frame rate from time stamps: a constant one, or one that keeps all frames."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from vfxmatte.io.rates import frame_rate, known_rate
from vfxmatte.types import Floats

_STANDARD = tuple(
    frame_rate(text)
    for text in ("24000/1001", "24", "25", "30000/1001", "30", "48000/1001", "48", "50",
                 "60000/1001", "60", "100", "120000/1001", "120", "240000/1001", "240")
)  # fmt: skip
_TICKS = 1.5  # tolerance in clock ticks: a 1 ms clock rounds every stamp
_JITTER = 0.1  # tolerance in frames from one picture to the next
_DRIFT = 0.25  # tolerance in frames over the whole movie


def constant_rate(
    times: Floats,
    time_base: Fraction,
    proposals: Iterable[Fraction | None],
    *,
    gaps: bool = False,
) -> Fraction | None:
    """Find the constant rate of pictures; None if it varies.

    Args:
        times: time stamps in units of `time_base`, ascending.
        proposals: rates that the movie states, best first; the measured rate is tried last.
        gaps: allow missing pictures, as in an incomplete file.
    Returns:
        The first rate that matches every picture.
    """
    rates = [rate for rate in map(known_rate, proposals) if rate is not None]
    measured = _measured(times, time_base)
    if measured is not None:
        rates += [frame_rate(measured), measured]
    for drift in (0.0, _DRIFT):  # prefer a rate exact to the tick
        for rate in rates:
            if _keeps(times, rate * time_base, gaps, drift):
                return rate
    return None


def conforming_rate(
    times: Floats, time_base: Fraction, base: Fraction | None = None
) -> tuple[Fraction, int]:
    """Find the standard rate nearest to the pictures' own that loses none of them.

    Args:
        base: the finest rate that all stamps lie on, as the movie states.
    Returns:
        The rate, and how many pictures it loses (only if no standard rate keeps all).
    """
    seconds = (times - times[0]) * float(time_base)
    nominal = _nominal(seconds)
    near = sorted(_STANDARD, key=lambda rate: abs(np.log(float(rate) / nominal)))
    exact = known_rate(base)
    if exact is not None and exact not in near and exact < 2 * nominal:
        near.append(exact)
    lost = {rate: len(seconds) - _distinct(seconds, rate) for rate in near}
    rate = min(near, key=lambda rate: lost[rate])  # the nearest of those that lose least
    return rate, lost[rate]


def _keeps(times: Floats, frames_per_tick: Fraction, gaps: bool, most_drift: float) -> bool:
    period = float(1 / frames_per_tick)
    if gaps:
        turns = np.round((times - times[0]) / period)
    else:
        turns = np.arange(len(times), dtype=np.float64)
    if np.any(np.diff(turns) < 1):
        return False
    steps = np.abs(np.diff(times) - period * np.diff(turns))
    drift = np.abs(times - times[0] - period * turns)
    return bool(
        np.all(steps <= max(_JITTER * period, _TICKS))
        and np.all(drift <= max(most_drift * period, _TICKS))
    )


def _measured(times: Floats, time_base: Fraction) -> Fraction | None:
    ticks = round(times[-1] - times[0]) if len(times) > 1 else 0
    if ticks <= 0:
        return None
    rate = Fraction(len(times) - 1, ticks) / time_base
    return None if known_rate(rate) is None else rate


def _nominal(seconds: Floats) -> float:
    """Estimate pictures per second by a line through the stamps over integer steps."""
    steps = np.diff(seconds)
    typical = float(np.median(steps[steps > 0])) if np.any(steps > 0) else 1 / 24
    turns = np.concatenate(([0.0], np.cumsum(np.maximum(1, np.round(steps / typical)))))
    slope = np.polyfit(turns, seconds, 1)[0] if len(seconds) > 2 else typical
    return 1 / slope if slope > 0 else 1 / typical


def _distinct(seconds: Floats, rate: Fraction) -> int:
    return len(np.unique(np.round(seconds * float(rate))))
