"""Plates: one canvas for a shot, frames by number, a bad frame is only its own error."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vfxmatte.errors import (
    ColourError,
    MissingFrameError,
    PlateError,
    ShotError,
)
from vfxmatte.io.exr import write_exr
from vfxmatte.io.plates import open_plate
from vfxmatte.types import Frame, Window

DISPLAY = Window.of_size(40, 30)


def write_frame(
    folder: Path, number: int, data: Window = DISPLAY, display: Window = DISPLAY, names: str = "RGB"
) -> Path:
    """Every pixel of frame n is n / 1000, with a value below 0 and one far above 1."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"plate.{number:04d}.exr"
    plane = np.full(data.shape, number / 1000, np.float32)
    plane[0, 0], plane[-1, -1] = -0.5, 80.0
    write_exr(path, dict.fromkeys(names, plane), data_window=data, display_window=display,
              attributes={"framesPerSecond": Fraction(24), "owner": "us"})  # fmt: skip
    return path


boxes = st.tuples(
    st.integers(-20, 50), st.integers(-20, 40), st.integers(1, 60), st.integers(1, 50)
).map(lambda b: Window(x_min=b[0], y_min=b[1], x_max=b[0] + b[2] - 1, y_max=b[1] + b[3] - 1))


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(boxes, min_size=1, max_size=4))
def test_canvas_holds_every_frame(tmp_path_factory: pytest.TempPathFactory, data: list) -> None:
    folder = tmp_path_factory.mktemp("shot é")
    for number, window in enumerate(data, 1001):
        write_frame(folder, number, window)
    with open_plate(folder) as plate:
        canvas = plate.info.canvas
        assert canvas.contains(DISPLAY)
        for number, window in enumerate(data, 1001):
            frame = plate.read(number)
            assert (frame.canvas, frame.data_window, frame.display_window) == (
                canvas, window, DISPLAY)  # fmt: skip
            rows, columns = window.slices_in(canvas)
            outside = frame.pixels.copy()
            outside[rows, columns] = 0
            assert not outside.any()
            assert frame.pixels[rows, columns][-1, -1, 0] == 80.0


def test_info_says_what_it_is(tmp_path: Path) -> None:
    for number in (1001, 1002, 1004):
        write_frame(tmp_path, number)
    info = open_plate(tmp_path / "plate.%04d.exr").info
    assert (info.kind, info.numbers, info.missing) == ("sequence", (1001, 1002, 1004), (1003,))
    assert (info.fps, info.colour_space, info.padding) == (24, "ACEScg", 4)
    assert "floating-point" in info.colour_reason
    assert info.description == "EXR float ZIP, channels R G B"


def test_a_bad_frame_is_its_own_error(tmp_path: Path) -> None:
    for number in range(1, 9):
        write_frame(tmp_path, number)
    cut = tmp_path / "plate.0003.exr"
    cut.write_bytes(cut.read_bytes()[:-40])
    (tmp_path / "plate.0004.exr").write_bytes(b"")
    huge = Window.of_size(400, 300)
    write_frame(tmp_path, 5, huge, huge)
    write_frame(tmp_path, 6, names="Y")
    with open_plate(tmp_path) as plate:
        assert plate.info.canvas == DISPLAY
        assert plate.info.unreadable == (4, 5, 6)
        found = dict(plate.frames(range(1, 11), workers=3))
        assert list(found) == list(range(1, 11))
        good = [number for number, item in found.items() if isinstance(item, Frame)]
        assert good == [1, 2, 7, 8]
        expected = {3: "damaged", 4: "empty file", 5: "changes size", 6: "changes channels",
                    9: "not on disk"}  # fmt: skip
        for number, words in expected.items():
            error = found[number]
            assert isinstance(error, PlateError)
            assert words in str(error)
            assert (error.frame, error.path is not None) == (number, True)
        with pytest.raises(MissingFrameError):
            plate.read(9)


def test_a_damaged_first_frame_does_not_stop_the_shot(tmp_path: Path) -> None:
    write_frame(tmp_path, 1).write_bytes(b"junk")
    write_frame(tmp_path, 2)
    with open_plate(tmp_path) as plate:
        assert [isinstance(item, Frame) for _, item in plate.frames([1, 2])] == [False, True]


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(ShotError, match="no images"):
        open_plate(tmp_path)
    write_frame(tmp_path, 1).write_bytes(b"junk")
    with pytest.raises(PlateError, match="another kind of file"):
        open_plate(tmp_path)
    write_frame(tmp_path, 1)
    with pytest.raises(ColourError, match="unknown colour space"):
        open_plate(tmp_path, colour_space="ACESzz")
    assert open_plate(tmp_path, colour_space="arri logc4").info.colour_space == "ARRI LogC4"


def test_signature_follows_the_file(tmp_path: Path) -> None:
    for number in (1, 2):
        write_frame(tmp_path, number)
    with open_plate(tmp_path) as plate:
        before = plate.signature(1), plate.signature(2)
        write_frame(tmp_path, 1, names="RGBA")
        assert plate.signature(1) != before[0]
        assert plate.signature(2) == before[1]


def test_nan_pixels_are_kept(tmp_path: Path) -> None:
    plane = np.full(DISPLAY.shape, np.nan, np.float16)
    write_exr(tmp_path / "a.1.exr", dict.fromkeys("RGB", plane), data_window=DISPLAY,
              display_window=DISPLAY)  # fmt: skip
    assert np.isnan(open_plate(tmp_path).read(1).pixels).all()


def test_movie_plate(tmp_path: Path) -> None:
    path = tmp_path / "plate" / "shot 01 é.mov"
    path.parent.mkdir()
    with av.open(str(path), "w") as container:
        container.metadata["timecode"] = "01:00:00:00"
        stream = container.add_stream("prores_ks", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv422p10le"
        for i in range(5):
            grey = np.full((48, 64, 3), i * 40, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    with open_plate(path.parent, first_frame=1001) as plate:
        info = plate.info
        assert (info.kind, info.numbers, info.fps) == ("movie", tuple(range(1001, 1006)), 24)
        found = list(plate.frames([1004, 1002]))
        assert [number for number, _ in found] == [1002, 1004]
        for number, frame in found:
            assert isinstance(frame, Frame)
            np.testing.assert_allclose(frame.pixels, (number - 1001) * 40 / 255, atol=6e-3)
            assert frame.metadata["framesPerSecond"] == 24
        with pytest.raises(MissingFrameError, match="1001-1005"):
            plate.read(1)


def test_a_damaged_frame_among_good_ones_is_named_and_leaves_no_thread(tmp_path: Path) -> None:
    window = Window.of_size(64, 64)
    plane = np.random.default_rng(0).random(window.shape).astype(np.float16)
    for number in range(1001, 1009):
        write_exr(tmp_path / f"p.{number}.exr", dict.fromkeys("RGB", plane), data_window=window,
                  display_window=window)  # fmt: skip
    broken = tmp_path / "p.1003.exr"
    with open_plate(tmp_path) as plate:
        broken.write_bytes(broken.read_bytes()[:-4000])
        found = plate.frames(plate.info.numbers, workers=3)
        taken = [next(found) for _ in range(4)]
        assert [number for number, _ in taken] == [1001, 1002, 1003, 1004]
        error = taken[2][1]
        assert isinstance(error, PlateError)
        assert (error.frame, error.path) == (1003, str(broken))
        assert all(isinstance(taken[i][1], Frame) for i in (0, 1, 3))
        found.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name.startswith("vfxmatte")]
