"""Time codes as EXR holds them: pairs above 30 frames a second, BCD that is none."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.odd_files import cineon, dpx, ramp
from vfxmatte.io.plates import open_plate
from vfxmatte.io.timecode import bcd_timecode, exr_timecode
from vfxmatte.io.writers import OutputSettings, write_matte
from vfxmatte.types import Matte


def made(code: Any) -> tuple[int, ...]:
    return tuple(
        int(v() if callable(v) else v)
        for v in (
            code.hours,
            code.minutes,
            code.seconds,
            code.frame,
            code.dropFrame,
            code.fieldPhase,
        )
    )


@pytest.mark.parametrize(
    ("text", "rate", "expected"),
    [("01:02:03:04", Fraction(24), (1, 2, 3, 4, 0, 0)),
     ("01:00:00:29", None, (1, 0, 0, 29, 0, 0)),
     ("00:01:00;02", Fraction(30000, 1001), (0, 1, 0, 2, 1, 0)),
     ("01:00:00:47", Fraction(48), (1, 0, 0, 23, 0, 1)),
     ("01:00:00:30", Fraction(50), (1, 0, 0, 15, 0, 0)),
     ("01:00:00:31", Fraction(50), (1, 0, 0, 15, 0, 1)),
     ("00:00:59;55", Fraction(60000, 1001), (0, 0, 59, 27, 1, 1)),
     ("00:00:59:59", Fraction(60), (0, 0, 59, 29, 0, 1))],
)  # fmt: skip
def test_held(text: str, rate: Fraction | None, expected: tuple[int, ...]) -> None:
    assert made(exr_timecode(text, rate)) == expected


@pytest.mark.parametrize(
    ("text", "rate"),
    [("01:00:00:99", Fraction(120)), ("01:00:00:10", Fraction(120)), ("01:00:00:30", None),
     ("01:00:00:30", Fraction(25)), ("31:00:00:00", None), ("00:61:00:00", None), ("rubbish", None),
     ("", None), ("00:00:00:0x", None)],
)  # fmt: skip
def test_not_held(text: str, rate: Fraction | None) -> None:
    assert exr_timecode(text, rate) is None


@given(st.integers(0, 2**32 - 1), st.sampled_from([None, Fraction(24), Fraction(50)]))
def test_no_word_raises(word: int, rate: Fraction | None) -> None:
    text = bcd_timecode(word, rate)
    if text is not None:
        exr_timecode(text, rate)


@pytest.mark.parametrize(
    ("word", "rate", "expected", "fps"),
    [(0x01020304, 25.0, (1, 2, 3, 4, 0, 0), Fraction(25)),
     (0x01000049, 50.0, (1, 0, 0, 24, 0, 1), Fraction(50)),
     (0x01000044, 29.97, (1, 0, 0, 4, 1, 0), Fraction(30000, 1001)),
     (0xABCDEF99, float("nan"), None, None), (0xFFFFFFFF, 0.0, None, None)],
)  # fmt: skip
def test_dpx(
    tmp_path: Path, word: int, rate: float, expected: tuple[int, ...] | None, fps: Fraction | None
) -> None:
    dpx(tmp_path / "plate.1001.dpx", word, rate)
    with open_plate(tmp_path) as plate:
        assert plate.info.fps == fps
        frame = plate.read(1001)
    alpha = np.zeros(frame.canvas.shape, np.float32)
    path = write_matte(Matte(number=1, alpha=alpha), frame, OutputSettings(), tmp_path / "m.exr")
    header = OpenEXR.File(str(path), header_only=True).parts[0].header
    assert header.get("framesPerSecond") == fps
    assert ("timeCode" in header) == (expected is not None)
    if expected is not None:
        assert made(header["timeCode"]) == expected


def test_a_dpx_without_film_and_television_headers(tmp_path: Path) -> None:
    """FFmpeg's: the picture lies where they would be."""
    import struct

    path = dpx(tmp_path / "plate.1001.dpx", 0x01020304, 25.0)
    data = bytearray(path.read_bytes())
    struct.pack_into(">I", data, 4, 1664)
    path.write_bytes(bytes(data))
    with open_plate(tmp_path) as plate:
        assert plate.info.fps is None
        frame = plate.read(1001)
    assert not [name for name in frame.metadata if "TimeCode" in name or "FrameRate" in name]


@pytest.mark.parametrize(("rate", "fps"), [(24.0, 24), (float("nan"), None), (-1.0, None)])
def test_cineon(tmp_path: Path, rate: float, fps: int | None) -> None:
    cineon(tmp_path / "plate.1001.cin", rate)
    with open_plate(tmp_path) as plate:
        assert plate.info.fps == fps
        frame = plate.read(1001)
    np.testing.assert_allclose(frame.pixels * 1023, ramp() * 4.0, atol=0.1)
    alpha = np.zeros(frame.canvas.shape, np.float32)
    path = write_matte(Matte(number=1, alpha=alpha), frame, OutputSettings(), tmp_path / "m.exr")
    header = OpenEXR.File(str(path), header_only=True).parts[0].header
    assert header.get("framesPerSecond") == fps
    assert header["cineon:Version"] == "V4.5"
