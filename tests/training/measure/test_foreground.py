"""Measuring foreground colours: CIEDE2000 as published, and what is better measures better."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from training.cli import cli
from training.measure import foreground
from training.measure.colour_difference import ciede2000, lab_of
from training.measure.foreground import (
    METHODS,
    Case,
    boiling,
    measure,
    plate_colour,
    seconds_of_a_frame,
)
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.types import FloatImage, Window

# From Sharma, Wu, Dalal: The CIEDE2000 Color-Difference Formula, table 1.
PUBLISHED = [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, -1.1848, -84.8006), (50, 0, -82.7485), 1.0000),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
    ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
    ((50, -0.001, 2.49), (50, 0.0009, -2.49), 4.8045),
    ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((50, 2.5, 0), (56, -27, -3), 31.9030),
    ((50, 2.5, 0), (58, 24, 15), 19.4535),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((36.4612, 47.8580, 18.3852), (36.2715, 50.5065, 21.2231), 1.4146),
    ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.mark.parametrize(("first", "second", "expected"), PUBLISHED)
def test_published_pairs(first: object, second: object, expected: float) -> None:
    pair = np.array(first, np.float64), np.array(second, np.float64)
    assert abs(float(ciede2000(*pair)) - expected) < 1e-4
    assert abs(float(ciede2000(*reversed(pair))) - expected) < 1e-4


def test_lab_of_known_colours() -> None:
    found = lab_of(np.array([[1, 1, 1], [0.18418652] * 3, [1, 0, 0], [9, 9, 9]], np.float32))
    expected = [(100, 0, 0), (50, 0, 0), (53.24, 80.09, 67.2), (100, 0, 0)]
    np.testing.assert_allclose(found, expected, atol=0.02)


def scene(shift: int = 0) -> tuple[FloatImage, FloatImage, FloatImage]:
    """The plate, alpha and true foreground of a soft orange ball before a blue wall."""
    y, x = np.mgrid[:48, :64].astype(np.float32)
    alpha = np.clip((18 - np.hypot(x - 28 - shift, y - 24)) / 8, 0, 1).astype(np.float32)
    front = np.broadcast_to(np.array((0.8, 0.4, 0.1), np.float32), (48, 64, 3)).copy()
    plate = alpha[:, :, None] * front + (1 - alpha[:, :, None]) * np.array((0.1, 0.2, 0.7))
    return plate.astype(np.float32), alpha, front


def test_what_is_right_has_no_error_and_the_plate_has_most() -> None:
    plate, alpha, front = scene()
    case = Case(name="ball", plate=plate, alpha=alpha, truth=front, band=(alpha > 0) & (alpha < 1))
    methods = {name: METHODS[name] for name in ("plate", "vfxmatte")}
    errors = measure([case], {**methods, "truth": lambda plate, alpha: front})
    means = {name: one.band[0] for name, one in errors.items()}
    assert means["truth"] == 0 and means["plate"] > 5
    assert means["vfxmatte"] < 0.1 * means["plate"]
    assert errors["plate"].soft[0] >= errors["plate"].band[0]


def write_shot(folder: Path) -> Path:
    window = Window.of_size(64, 48)
    for index, number in enumerate((1001, 1002, 1003)):
        plate, alpha, front = scene(index)
        files = {"plate": plate, "alpha": alpha, "foreground": front}
        for name, pixels in files.items():
            planes = {"A": pixels} if pixels.ndim == 2 else _planes(pixels)
            path = folder / name / f"{name}.{number}.exr"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_exr(path, planes, data_window=window, display_window=window)
    return folder


def _planes(pixels: FloatImage) -> dict[str, FloatImage]:
    return {name: pixels[:, :, index] for index, name in enumerate("RGB")}


def test_the_command_prints_a_table_and_writes_figures_and_a_picture(tmp_path: Path) -> None:
    shot = write_shot(tmp_path / "ball")
    figures, sheet = tmp_path / "figures.json", tmp_path / "sheet.png"
    options = ["--no-time", "--json", str(figures), "--sheet", str(sheet)]
    result = CliRunner().invoke(cli, ["foreground", str(shot), *options])
    assert result.exit_code == 0, result.output
    assert "ball (3)" in result.output and "of the plate's" in result.output
    found = json.loads(figures.read_text(encoding="utf-8"))["sets"]["ball"]
    assert len(found["vfxmatte"]["band"]) == 3 and found["vfxmatte"]["boil"] >= 0
    assert np.mean(found["vfxmatte"]["band"]) < np.mean(found["plate"]["band"])
    assert sheet.stat().st_size > 1000


def test_a_shot_without_true_foregrounds_is_named(tmp_path: Path) -> None:
    (tmp_path / "shot").mkdir()
    result = CliRunner().invoke(cli, ["foreground", str(tmp_path / "shot")])
    assert result.exit_code != 0 and "there is no true foreground" in result.output


def test_boiling_is_what_changes_beside_the_motion(tmp_path: Path) -> None:
    shot = write_shot(tmp_path / "ball")
    random = np.random.default_rng(0)

    def steady(plate: FloatImage, alpha: FloatImage) -> FloatImage:
        return np.full_like(plate, 0.5)

    def boiling_colour(plate: FloatImage, alpha: FloatImage) -> FloatImage:
        return random.random(plate.shape, np.float32)

    assert boiling(shot, steady) < 1e-6 < 0.1 < boiling(shot, boiling_colour)


def test_time_is_the_least_of_some_and_for_the_share_that_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[float] = []
    clock = iter([0.0, 5.0, 10.0, 12.0, 20.0, 23.0])
    monkeypatch.setattr(foreground, "time", SimpleNamespace(process_time=lambda: next(clock)))

    def watching(plate: FloatImage, alpha: FloatImage) -> FloatImage:
        seen.append(float(((alpha > 0) & (alpha < 1)).mean()))
        return plate

    assert seconds_of_a_frame(watching, size=(90, 160), repeats=3) == 2
    assert len(seen) == 4 and all(abs(share - 0.1) < 0.01 for share in seen)
    assert plate_colour(np.ones((1, 1, 3), np.float32), np.ones((1, 1), np.float32)).all()
