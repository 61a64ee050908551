"""Previews: right colours, linear compositing, sheets and movies that can be read again."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from vfxmatte.cli import commands
from vfxmatte.colour import ColourConfig
from vfxmatte.errors import OutputError
from vfxmatte.review import preview
from vfxmatte.review.preview import (
    GROUND,
    Panels,
    contact_sheet,
    evenly_chosen,
    make_panels,
    over,
    preview_movie,
    to_display,
    worst_chosen,
)
from vfxmatte.types import FOREGROUND, UNKNOWN, Frame, Window


@pytest.fixture(scope="module")
def colours() -> ColourConfig:
    return ColourConfig.load()


def frame_of(
    value: tuple[float, float, float],
    window: Window,
    canvas: Window | None = None,
    space: str = "Linear Rec.709 (sRGB)",
    pixel_aspect: float = 1.0,
) -> Frame:
    canvas = canvas or window
    pixels = np.broadcast_to(np.array(value, np.float32), (*canvas.shape, 3)).copy()
    return Frame(
        number=1001,
        pixels=pixels,
        canvas=canvas,
        data_window=canvas,
        display_window=window,
        colour_space=space,
        pixel_aspect=pixel_aspect,
    )


def test_display_values_are_srgb_and_bright_light_is_white() -> None:
    linear = np.array([[[0.0, 0.5, 1.0], [4.0, -0.2, 0.214041]]], np.float32)
    assert to_display(linear).tolist() == [[[0, 188, 255], [255, 0, 127]]]


def test_half_alpha_mixes_light_not_display_values(colours: ColourConfig) -> None:
    window = Window.of_size(32, 16)
    alpha = np.full(window.shape, 0.5, np.float32)
    panels = make_panels(frame_of((1, 1, 1), window), alpha, None, colours, width_px=320)
    expected = to_display(np.broadcast_to(0.5 + 0.5 * GROUND, (16, 32, 3)))
    assert np.array_equal(panels.composite, expected)
    assert panels.alpha.max() == panels.alpha.min() == 128
    assert panels.plate.min() == 255


def test_over_is_premultiplied() -> None:
    colour = np.full((2, 2, 3), 0.2, np.float32)
    alpha = np.full((2, 2), 0.25, np.float32)
    assert over(colour, alpha, np.ones((2, 2, 3), np.float32)) == pytest.approx(0.2 + 0.75)


def test_plates_are_converted_from_their_own_space(colours: ColourConfig) -> None:
    window = Window.of_size(8, 8)
    code = 0.5
    frame = frame_of((code, code, code), window, space="sRGB - Texture")
    panels = make_panels(frame, None, None, colours, width_px=8)
    assert np.abs(panels.plate.astype(int) - 128).max() <= 1


def test_scaling_down_averages_light(colours: ColourConfig) -> None:
    window = Window.of_size(64, 32)
    frame = frame_of((0, 0, 0), window)
    frame.pixels[:, ::2] = 1.0  # stripes of one pixel
    alpha = np.ones(window.shape, np.float32)
    panels = make_panels(frame, alpha, None, colours, width_px=32)
    assert panels.composite.shape == (16, 32, 3)
    assert np.abs(panels.composite.astype(int) - 188).max() <= 1


def test_display_window_and_pixel_aspect_are_shown(colours: ColourConfig) -> None:
    window = Window.of_size(40, 30)
    canvas = Window(x_min=-8, y_min=-8, x_max=47, y_max=37)
    frame = frame_of((0.1, 0.1, 0.1), window, canvas, pixel_aspect=2.0)
    frame.pixels[:8] = 1.0  # overscan, which is not shown
    alpha = np.zeros(canvas.shape, np.float32)
    panels = make_panels(frame, alpha, None, colours, width_px=200)
    assert panels.plate.shape == (30, 80, 3)
    assert panels.plate.max() < 255


def test_broken_pixels_are_harmless(colours: ColourConfig) -> None:
    window = Window.of_size(16, 16)
    frame = frame_of((0.2, 0.2, 0.2), window)
    frame.pixels[0, 0] = np.nan
    frame.pixels[0, 1] = np.inf
    alpha = np.ones(window.shape, np.float32)
    panels = make_panels(frame, alpha, None, colours, width_px=16)
    assert panels.composite[0, 0].tolist() == [0, 0, 0]
    assert panels.composite[0, 1].tolist() == [255, 255, 255]
    assert panels.composite[8, 8, 0] == to_display(np.full((1, 1, 3), 0.2, np.float32))[0, 0, 0]


def test_labels_are_told_apart_by_colour(colours: ColourConfig) -> None:
    window = Window.of_size(30, 10)
    labels = np.zeros(window.shape, np.uint8)
    labels[:, 10:20], labels[:, 20:] = UNKNOWN, FOREGROUND
    frame = frame_of((0.2, 0.2, 0.2), window)
    tinted = make_panels(frame, None, labels, colours, width_px=30, is_keyframe=True)
    background, unknown, foreground = (tinted.trimap[5, x].astype(int) for x in (5, 15, 25))
    assert background.argmax() == 2
    assert unknown.argmin() == 2 and unknown[0] > unknown[2] + 50
    assert foreground.argmax() == 1
    assert tinted.caption == "1001 keyframe no matte"


def panels_of(width: int, height: int, level: int = 128) -> Panels:
    picture = np.full((height, width, 3), level, np.uint8)
    return Panels(
        caption="1001", plate=picture, trimap=picture, alpha=picture, composite=picture // 2
    )


def test_contact_sheet_has_a_row_a_frame_and_four_columns(tmp_path: Path) -> None:
    one = contact_sheet([panels_of(60, 40)], tmp_path / "one.png")
    three = contact_sheet([panels_of(60, 40)] * 3, tmp_path / "new folder" / "three.png")
    small, large = (cv2.imread(str(path)) for path in (one, three))
    assert small.shape[1] == large.shape[1] > 4 * 60
    assert large.shape[0] - small.shape[0] > 2 * 40
    assert (large[-20, 30].tolist(), large[-20, -30].tolist()) == ([128] * 3, [64] * 3)


def test_contact_sheet_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([], tmp_path / "sheet.png")


def test_movie_has_all_frames_the_rate_and_the_colours(tmp_path: Path) -> None:
    if preview.h264_encoder() is None:
        pytest.skip("this PyAV has no H.264 encoder")
    rate = Fraction(24000, 1001)
    frames = (panels_of(33, 17, 60 + 20 * i) for i in range(5))  # odd sides
    path = preview_movie(frames, tmp_path / "preview.mp4", rate)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.average_rate == rate
        assert (stream.width, stream.height) == (66, 18)
    assert len(decoded) == 5
    assert abs(int(decoded[4][8, 8].mean()) - 140) <= 4
    assert abs(int(decoded[4][8, 50].mean()) - 70) <= 4
    assert [p.name for p in tmp_path.iterdir()] == ["preview.mp4"]


def test_movie_without_an_encoder_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "H264_ENCODERS", ("no_such_encoder",))
    with pytest.raises(OutputError, match=r"no H\.264 encoder"):
        preview_movie([panels_of(8, 8)], tmp_path / "preview.mp4", 24)


def test_movie_of_nothing_leaves_nothing(tmp_path: Path) -> None:
    if preview.h264_encoder() is None:
        pytest.skip("this PyAV has no H.264 encoder")
    with pytest.raises(OutputError, match="no frames"):
        preview_movie([], tmp_path / "preview.mp4", 24)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("count", "expected"),
    [(3, [1, 5, 9]), (1, [1]), (9, list(range(1, 10))), (20, list(range(1, 10)))],
)
def test_frames_are_chosen_evenly(count: int, expected: list[int]) -> None:
    assert evenly_chosen(range(1, 10), count) == expected


def test_the_ground_is_a_saturated_colour() -> None:
    red, green, blue = to_display(GROUND).tolist()
    assert max(red, green, blue) - min(red, green, blue) > 180


def test_the_worst_frames_are_chosen_apart_from_each_other() -> None:
    confidences = dict.fromkeys(range(1, 61), 1.0)
    confidences |= {20: 0.1, 21: 0.2, 22: 0.3, 40: 0.4, 50: 0.5}
    assert worst_chosen(confidences, 3) == [20, 40, 50]
    assert worst_chosen({1: 1.0, 2: 0.1, 3: 0.2, 4: 1.0}, 3) == [1, 2, 3]
    assert worst_chosen(dict.fromkeys(range(1, 10), 1.0), 3) == [1, 5, 9]
    assert worst_chosen({}, 3) == [] and worst_chosen({7: 0.3}, 3) == [7]


def test_the_sheet_shows_the_worst_frames_with_their_confidence(
    tiny_shot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captions: list[str] = []

    def sheet(rows: list[Panels], path: Path) -> Path:
        captions.extend(row.caption for row in rows)
        return path

    monkeypatch.setattr("vfxmatte.review.delivery.contact_sheet", sheet)
    monkeypatch.setattr("vfxmatte.review.delivery.SHEET_ROWS", 2)
    command = ["run", str(tiny_shot), "--engine", "trimap", "--quiet", "--preview", "sheet"]
    assert CliRunner().invoke(commands, command).exit_code == 0
    assert len(captions) == 2 and all(" confidence " in caption for caption in captions)
