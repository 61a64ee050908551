"""Frame rates: the exact fraction, however it was written or rounded."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from vfxmatte.errors import UsageError
from vfxmatte.io.rates import frame_rate, known_rate
from vfxmatte.io.writers import exr_attributes
from vfxmatte.pipeline.settings import RunSettings

NTSC = {n: Fraction(n * 1000, 1001) for n in (12, 15, 24, 25, 30, 48, 50, 60, 72, 90, 96, 120, 240)}


@pytest.mark.parametrize(("base", "exact"), NTSC.items())
def test_ntsc_rates_however_rounded(base: int, exact: Fraction) -> None:
    rounded = round(float(exact), 3)
    forms = [exact, float(exact), rounded, np.float32(rounded), np.float64(rounded), f"{rounded}",
             f"{exact.numerator}/{exact.denominator}", f" {rounded} ",
             Fraction(rounded).limit_denominator(1001)]  # fmt: skip
    assert [frame_rate(form) for form in forms] == [exact] * len(forms)
    assert frame_rate(base) == base


@pytest.mark.parametrize(
    ("value", "exact"),
    [(23.98, NTSC[24]), (29.97, NTSC[30]), (47.95, NTSC[48]), (59.94, NTSC[60]),
     (119.88, NTSC[120]), (Fraction(2997, 125), NTSC[24]), (Fraction(2997, 100), NTSC[30]),
     (Fraction(19001, 317), NTSC[60]), (24, 24), (24.0, 24), ("25", 25), (23.9998, 24), (1, 1),
     (Fraction(1000000, 33333), 30), (12.5, Fraction(25, 2)), (7.5, Fraction(15, 2)),
     (0.5, Fraction(1, 2)), (23.81, Fraction(2381, 100)), (1000, 1000)],
)  # fmt: skip
def test_other_rates(value: Any, exact: Any) -> None:
    assert frame_rate(value) == exact


@pytest.mark.parametrize(
    "value",
    [0, 0.0, -24, -23.976, float("nan"), float("inf"), 1e9, 90_000, 1e-6, "", "fast", "24/0", "0/1",
     None, True, [24], Fraction(0), 10**400],
)  # fmt: skip
def test_what_is_no_rate_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="no frame rate"):
        frame_rate(value)
    assert known_rate(value) is None


def test_rates_of_files_are_exact() -> None:
    for name in ("framesPerSecond", "FramesPerSecond"):
        assert exr_attributes({name: 23.976})["framesPerSecond"] == NTSC[24]
        assert "framesPerSecond" not in exr_attributes({name: float("nan")})
    with pytest.raises(UsageError, match="no frame rate"):
        RunSettings(fps=float("1e9"))
