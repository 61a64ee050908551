"""Time stamps: the rate that frames come at, and the one to conform them to."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from vfxmatte.io.cadence import conforming_rate, constant_rate
from vfxmatte.io.timecode_counting import advance_timecode, text_of, valid_timecode

MS, FINE = Fraction(1, 1000), Fraction(1, 90_000)
NTSC = {n: Fraction(n * 1000, 1001) for n in (24, 30, 60)}


def stamps(
    rate: Fraction | int, count: int, clock: Fraction, drop: tuple[int, ...] = ()
) -> np.ndarray:
    exact = np.arange(count) / float(rate)
    return np.delete(np.round(exact / float(clock)), list(drop))


@pytest.mark.parametrize("clock", [MS, FINE])
@pytest.mark.parametrize("rate", [24, 25, 30, 50, 60, *NTSC.values(), Fraction(25, 2)])
def test_the_right_rate_among_near_ones(rate: Fraction | int, clock: Fraction) -> None:
    times = stamps(rate, 300, clock)
    assert constant_rate(times, clock, [Fraction(24), Fraction(30), None]) == rate
    assert constant_rate(times, clock, []) == rate


def test_an_uneven_camera_has_its_mean_rate() -> None:
    noise = np.random.default_rng(2).normal(0, 0.01, 400) / 29.9
    times = np.round((np.arange(400) / 29.9 + noise) * 90_000)
    found = constant_rate(times, FINE, [Fraction(299, 10)])
    assert found is not None and float(found) == pytest.approx(29.9, abs=0.02)


@pytest.mark.parametrize("drop", [(5,), (5, 6, 7), (100, 200)])
def test_gaps(drop: tuple[int, ...]) -> None:
    times = stamps(NTSC[30], 300, MS, drop)
    assert constant_rate(times, MS, [NTSC[30]]) is None
    assert constant_rate(times, MS, [NTSC[30]], gaps=True) == NTSC[30]
    assert conforming_rate(times, MS) == (NTSC[30], 0)


def test_uneven_stamps_lose_no_frame() -> None:
    """A phone that takes between 15 and 60 frames a second."""
    steps = np.random.default_rng(4).uniform(1 / 60, 1 / 15, 200)
    times = np.round(np.cumsum(steps) * 90_000)
    rate, lost = conforming_rate(times, FINE)
    slots = np.round((times - times[0]) / 90_000 * float(rate))
    assert lost == 0 == 200 - len(np.unique(slots))


@pytest.mark.parametrize(("rate", "dropped"), [(30, 2), (60, 4), (120, 8)])
def test_drop_frame_for_a_day(rate: int, dropped: int) -> None:
    """Every number that there is comes once, in order, as they are defined."""
    fps = Fraction(rate * 1000, 1001)
    text, count = "00:00:00;00", 0
    for minute in range(25):
        for frame in range(60 * rate):
            seconds, number = divmod(frame, rate)
            if seconds == 0 and number < dropped and minute % 10:
                continue
            if frame in (0, dropped, rate, 60 * rate - 1):
                label = f"{minute // 60:02d}:{minute % 60:02d}:{seconds:02d};{number:02d}"
                assert advance_timecode(text, count, fps) == label
            count += 1
    assert advance_timecode("23:59:59;" + str(rate - 1), 1, fps) == "00:00:00;00"
    assert advance_timecode("00:00:00;00", -1, fps) == "23:59:59;" + str(rate - 1)


@pytest.mark.parametrize(
    ("text", "fps"),
    [("01:00:00:24", 24), ("25:00:00:00", 24), ("01:60:00:00", 24), ("later", 24), ("", 24),
     ("01:00:00:00", Fraction(25, 2)), (None, 24)],
)  # fmt: skip
def test_what_is_no_time_code(text: str | None, fps: Fraction | int) -> None:
    assert valid_timecode(text, Fraction(fps)) is None


def test_an_exr_time_code_counts_pairs_at_high_rates() -> None:
    OpenEXR = pytest.importorskip("OpenEXR")
    code = OpenEXR.TimeCode(1, 2, 3, 14, *([0] * 14))
    assert text_of(code, Fraction(24)) == "01:02:03:14"
    code.fieldPhase = 1
    assert text_of(code, Fraction(50)) == "01:02:03:29"
    code.dropFrame = 1
    assert text_of(code, NTSC[60]) == "01:02:03;29"
    assert text_of("01:02:03:04", Fraction(24)) == "01:02:03:04"
    assert text_of(7, Fraction(24)) is None
