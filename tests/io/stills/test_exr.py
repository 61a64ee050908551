"""OpenEXR files: windows, attributes, parts and layers survive; damage is an error."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vfxmatte.errors import OutputError, PlateError
from vfxmatte.io.stills.exr import read_exr_header, read_exr_pixels, write_exr
from vfxmatte.types import Window

corners = st.tuples(st.integers(-40, 40), st.integers(-40, 40))
sizes = st.tuples(st.integers(1, 33), st.integers(1, 20))
windows = st.builds(
    lambda c, s: Window(x_min=c[0], y_min=c[1], x_max=c[0] + s[0] - 1, y_max=c[1] + s[1] - 1),
    corners,
    sizes,
)
COMPRESSIONS = ("none", "rle", "zips", "zip", "piz")


def planes(window: Window, names: str, dtype: type = np.float16) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {name: random.normal(0, 3, window.shape).astype(dtype) for name in names}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    data=windows, display=windows, half=st.booleans(), kind=st.sampled_from(COMPRESSIONS),
    aspect=st.sampled_from([0.5, 1.0, 2.0]), rate=st.fractions(1, 240, max_denominator=1001),
    text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20),
)  # fmt: skip
def test_round_trip(
    tmp_path: Path, data: Window, display: Window, half: bool, kind: str, aspect: float,
    rate: Fraction, text: str,
) -> None:  # fmt: skip
    path = tmp_path / "a é.exr"
    channels = planes(data, "RGBA", np.float16 if half else np.float32)
    attributes = {
        "framesPerSecond": rate, "pixelAspectRatio": aspect, "owner": text,
        "vfxmatte/weights": "ab" * 32, "count": 7, "lens": np.array([1, 2], np.float32),
        "timeCode": OpenEXR.TimeCode(1, 2, 3, 4, *([0] * 14)),
    }  # fmt: skip
    write_exr(path, channels, data_window=data, display_window=display, attributes=attributes,
              compression=kind)  # type: ignore[arg-type]  # fmt: skip
    header = read_exr_header(path)
    assert (header.data_window, header.display_window) == (data, display)
    assert header.value_type == ("half" if half else "float")
    assert header.pixel_aspect == aspect
    assert header.metadata["framesPerSecond"] == rate
    assert header.metadata["owner"] == text
    assert header.metadata["vfxmatte/weights"] == "ab" * 32
    assert str(header.metadata["timeCode"]) == str(attributes["timeCode"])
    np.testing.assert_array_equal(header.metadata["lens"], [1, 2])
    pixels = read_exr_pixels(header)
    np.testing.assert_array_equal(pixels, np.stack([channels[c] for c in "RGBA"], -1))


def write_parts(path: Path) -> Window:
    window = Window.of_size(9, 8)
    beauty = OpenEXR.Part({"type": OpenEXR.scanlineimage}, planes(window, "RGB"), "beauty")
    hair = {f"hair.{k}": v + 5 for k, v in planes(window, "RGBA").items()}
    OpenEXR.File([beauty, OpenEXR.Part({"type": OpenEXR.scanlineimage}, hair, "fg")]).write(
        str(path)
    )
    return window


def test_parts_and_layers(tmp_path: Path) -> None:
    path = tmp_path / "parts.exr"
    write_parts(path)
    assert read_exr_header(path).channels == ("R", "G", "B")
    for header in (
        read_exr_header(path, layer="hair"), read_exr_header(path, layer="fg"),
        read_exr_header(path, part=1), read_exr_header(path, part="fg"),
    ):  # fmt: skip
        assert header.part == 1
        assert header.channels == ("hair.R", "hair.G", "hair.B", "hair.A")
        assert read_exr_pixels(header).mean() > 3
    with pytest.raises(PlateError, match=r"no layer 'skin'[\s\S]*hair\.R"):
        read_exr_header(path, layer="skin")
    with pytest.raises(PlateError, match=r"no part 'x'[\s\S]*beauty"):
        read_exr_header(path, part="x")


def test_tiled_grey_and_alpha_only(tmp_path: Path) -> None:
    window = Window.of_size(50, 40)
    tiled = planes(window, "RGB")
    header = {"type": OpenEXR.tiledimage, "tiles": OpenEXR.TileDescription()}
    OpenEXR.File(header, dict(tiled)).write(str(tmp_path / "tiled.exr"))
    pixels = read_exr_pixels(read_exr_header(tmp_path / "tiled.exr"))
    np.testing.assert_array_equal(pixels, np.stack([tiled[c] for c in "RGB"], -1))
    for name in ("Y", "A"):
        path = tmp_path / f"{name}.exr"
        write_exr(path, planes(window, name), data_window=window, display_window=window)
        assert read_exr_header(path).channels == (name,)


def test_nan_and_infinity_are_kept(tmp_path: Path) -> None:
    window = Window.of_size(3, 1)
    plane = np.array([[np.nan, np.inf, -np.inf]], np.float16)
    write_exr(tmp_path / "a.exr", {"A": plane}, data_window=window, display_window=window)
    values = read_exr_pixels(read_exr_header(tmp_path / "a.exr"))[0, :, 0]
    assert math.isnan(values[0])
    assert values[1:].tolist() == [math.inf, -math.inf]


@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 0.95])
def test_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    window = Window.of_size(200, 200)
    path = tmp_path / "a.exr"
    write_exr(path, planes(window, "RGB"), data_window=window, display_window=window)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(PlateError) as caught:
        read_exr_pixels(read_exr_header(path))
    assert caught.value.path == str(path)


def test_damage_in_the_middle_is_refused(tmp_path: Path) -> None:
    window = Window.of_size(200, 200)
    path = tmp_path / "a.exr"
    write_exr(path, planes(window, "RGB"), data_window=window, display_window=window)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2 : len(damaged) // 2 + 500] = bytes(500)
    path.write_bytes(damaged)
    with pytest.raises(PlateError, match="damaged"):
        read_exr_pixels(read_exr_header(path))


def test_other_files_and_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.exr").write_text("hello, this is no picture")
    with pytest.raises(PlateError, match="another kind of file"):
        read_exr_header(tmp_path / "text.exr")
    window = Window.of_size(2, 2)
    with pytest.raises(OutputError):
        write_exr(tmp_path / "no" / "a.exr", planes(window, "A"), data_window=window,
                  display_window=window)  # fmt: skip


KINDS = {"half": np.float16, "float": np.float32}


@pytest.mark.parametrize("kind", ["half", "float", "mixed"])
@pytest.mark.parametrize(
    "compression", ["none", "rle", "zips", "zip", "piz", "pxr24", "b44", "b44a", "dwaa", "dwab"]
)
def test_both_ways_of_reading_give_the_same_pixels(
    tmp_path: Path, kind: str, compression: str
) -> None:
    window = Window(x_min=-3, y_min=5, x_max=60, y_max=52)
    channels = planes(window, "RGBA", KINDS.get(kind, np.float16))
    channels |= planes(window, "Z", np.float32)
    if kind == "mixed":
        channels["G"] = channels["G"].astype(np.float32)
    path = tmp_path / "a.exr"
    write_exr(path, channels, data_window=window, display_window=window,
              compression=compression)  # type: ignore[arg-type]  # fmt: skip
    header = read_exr_header(path)
    assert header.at_once
    pixels = read_exr_pixels(header)
    assert pixels.dtype == np.float32
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, read_exr_pixels(replace(header, at_once=False)))


def test_a_picture_among_many_channels_is_not_read_with_them(tmp_path: Path) -> None:
    window = Window.of_size(20, 10)
    channels = planes(window, "RGB") | {f"n.{c}": p for c, p in planes(window, "XYZUV").items()}
    path = tmp_path / "a.exr"
    write_exr(path, channels, data_window=window, display_window=window)
    header = read_exr_header(path)
    assert not header.at_once
    np.testing.assert_array_equal(
        read_exr_pixels(header), np.stack([channels[c] for c in "RGB"], -1)
    )


def test_a_damaged_file_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    window = Window.of_size(200, 200)
    path = tmp_path / "a.exr"
    write_exr(path, planes(window, "RGB"), data_window=window, display_window=window)
    header = read_exr_header(path)
    path.write_bytes(path.read_bytes()[:-40_000])
    with pytest.raises(PlateError, match="damaged"):
        read_exr_pixels(header)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(("names", "width"), [("RGB", 19), ("XYZ", 20)])
def test_a_file_that_changes_after_its_header_was_read(
    tmp_path: Path, at_once: bool, names: str, width: int
) -> None:
    path = tmp_path / "a.exr"
    window, other = Window.of_size(20, 10), Window.of_size(width, 10)
    write_exr(path, planes(window, "RGB"), data_window=window, display_window=window)
    header = replace(read_exr_header(path), at_once=at_once)
    write_exr(path, planes(other, names), data_window=other, display_window=other)
    with pytest.raises(PlateError, match="changed while it was read"):
        read_exr_pixels(header)
