"""Parts of painting by themselves: edges, tiles, live mattes, the engine's process, the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vfxmatte.colour import ColourConfig
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.errors import ColourError, VfxmatteError
from vfxmatte.paint.commands import ask_command
from vfxmatte.paint.desk import Desk
from vfxmatte.paint.edges import band_along
from vfxmatte.paint.engine_process import EngineLostError, EngineProcess
from vfxmatte.paint.guesses import guess
from vfxmatte.paint.live import LiveMatte, changes
from vfxmatte.paint.pictures import Pyramid
from vfxmatte.paint.preferences import Preferences
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import FOREGROUND, UNKNOWN, Window


def test_a_stroke_beside_an_edge_moves_onto_it() -> None:
    height, width = 120, 200
    edge = 60 + 12 * np.sin(np.arange(width) / 25)  # y of the edge for each x
    rows = np.arange(height)[:, None]
    image = np.repeat((rows < edge)[:, :, None], 3, 2).astype(np.float32) * 0.8
    image += np.random.default_rng(2).random(image.shape, np.float32) * 0.1
    columns = np.arange(20, 180, 7)
    stroke = np.stack([columns, edge[columns] + 7 * np.cos(columns)], 1).astype(np.float32)
    labels = np.zeros((height, width), np.uint8)
    drawn = band_along(image, labels, stroke, reach_px=12, width_px=5)
    inside = drawn[:, 30:170] == UNKNOWN
    middle = (inside * rows).sum(0) / inside.sum(0)
    assert np.abs(middle - edge[30:170]).max() < 2
    assert 4 <= np.median(inside.sum(0)) <= 8
    assert not labels.any()


def test_a_click_of_the_edge_tool_is_a_dot_even_in_the_corner() -> None:
    image, labels = np.zeros((10, 12, 3), np.float32), np.zeros((10, 12), np.uint8)
    for x, y in ((0, 0), (11, 9), (5, 5)):
        stroke = np.array([[x, y]], np.float32)
        drawn = band_along(image, labels, stroke, reach_px=9, width_px=3)
        assert drawn[y, x] == UNKNOWN
        assert (drawn == UNKNOWN).sum() <= 16
    line = np.array([[0, 0], [11, 9], [0, 9]], np.float32)
    assert (band_along(image, labels, line, reach_px=30, width_px=1) == UNKNOWN).sum() > 10


def test_levels_lie_exactly_over_the_picture() -> None:
    picture = np.random.default_rng(3).random((611, 1023, 3), np.float32)
    pyramid = Pyramid.of(picture)
    assert [level.shape[:2] for level in pyramid.levels] == [(611, 1023), (306, 512), (153, 256)]
    assert np.allclose(pyramid.levels[1][10, 20], picture[20:22, 40:42].mean((0, 1)), atol=1e-6)
    assert np.allclose(pyramid.levels[2][10, 20], picture[40:44, 80:84].mean((0, 1)), atol=1e-6)


def test_a_view_as_a_table_is_the_view() -> None:
    import PyOpenColorIO as ocio

    colours = ColourConfig.load("ocio://studio-config-latest")
    linear = colours.scene_linear()
    ramp = (2.0 ** np.linspace(-9, 6, 600)).astype(np.float32)
    tints = np.array([[1, 1, 1], [1, 0.7, 0.5], [0.5, 0.8, 1]], np.float32)
    picture = np.ascontiguousarray(ramp[None, :, None] * tints[:, None])
    for name in colours.views("lin_rec709_scene")[:2]:
        shown = colours.display_view(name).apply(picture)
        config = ocio.Config.CreateFromFile("ocio://studio-config-latest")
        display = config.getDefaultDisplay()
        exact = picture.copy()
        transform = ocio.DisplayViewTransform(src=linear, display=display, view=name)
        config.getProcessor(transform).getDefaultCPUProcessor().applyRGB(exact)
        assert np.abs(shown - exact.clip(0, 1) * 255).max() < 4
    with pytest.raises(ColourError, match="no view"):
        colours.display_view("nothing of the kind")


def test_a_configuration_without_displays_is_shown_too(tmp_path: Path) -> None:
    config = tmp_path / "plain.ocio"
    config.write_text(
        "ocio_profile_version: 2\nroles:\n  default: lin\n  scene_linear: lin\ndisplays: {}\n"
        "colorspaces:\n  - !<ColorSpace> {name: lin}\n"
    )
    colours = ColourConfig.load(config)
    assert colours.views("lin") == []
    shown = colours.display_view("").apply(np.full((2, 3, 3), 0.5, np.float32))
    assert np.abs(shown.astype(int) - 127).max() <= 2


def test_a_neighbour_is_carried_along_and_a_missing_one_is_said(tiny_shot: Path) -> None:
    with Desk(Shot.open(tiny_shot), tiny_shot) as desk:
        for method in ("previous", "next"):
            labels = guess(desk, 1003, method, None)
            columns = np.nonzero((labels == FOREGROUND).any(0))[0]
            assert abs(columns.mean() - 30) < 2.5  # where the disc is then
        with pytest.raises(VfxmatteError, match="no keyframe before"):
            guess(desk, 1001, "previous", None)


def test_only_settings_that_differ_are_sent(tiny_weights: Path) -> None:
    from dataclasses import replace

    base = RunSettings()
    assert changes(base, base) == {}
    engine = replace(base.engine, weights=tiny_weights, mode="fast")
    assert changes(base, replace(base, engine=engine, missing="hold")) == {
        "engine.weights": str(tiny_weights),
        "engine.mode": "fast",
        "missing": "hold",
    }


def test_preferences_are_kept_and_never_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VFXMATTE_HOME", str(tmp_path / "home"))
    preferences = Preferences()
    assert preferences.read() == {}
    preferences.write("size", "12")
    preferences.write("soft", "0.5")
    assert Preferences().read() == {"size": "12", "soft": "0.5"}
    for name, value in (("x" * 201, "1"), ("x", "1" * 201)):
        with pytest.raises(VfxmatteError, match="too long"):
            preferences.write(name, value)
    for text in ("[1]", "{", '{"size": 3, "soft": "1"}'):
        (tmp_path / "home" / "paint.json").write_text(text)
        assert preferences.read() == ({"soft": "1"} if "soft" in text else {})
    monkeypatch.setenv("VFXMATTE_HOME", str(tmp_path / "home" / "paint.json"))  # no folder
    Preferences().write("size", "1")


def test_the_engine_is_started_again_and_its_end_is_said(
    tiny_shot: Path, tiny_weights: Path
) -> None:
    said: list[str] = []
    lost = threading.Event()

    def say(state: str, _: str) -> None:
        said.append(state)
        if state == "lost":
            lost.set()

    settings = RunSettings(engine=EngineSettings(weights=tiny_weights))
    engine = EngineProcess(say)
    with Desk(Shot.open(tiny_shot), tiny_shot) as desk:
        live = LiveMatte(engine, desk.pictures, settings)
        labels = desk.draft(1001).labels
        seen = Window(x_min=8, y_min=0, x_max=55, y_max=47)
        alpha, _ = live.solve(1001, labels, seen, 0)
        assert alpha.shape == (48, 48)
        known = labels[:, 8:56] != UNKNOWN
        assert (alpha[known] == labels[:, 8:56][known]).all()
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        assert lost.wait(30)
        again, _ = live.solve(1001, labels, seen, 0)
        assert (again == alpha).all()
    engine.close()
    live.close()
    assert said == ["starting", "ready", "lost", "starting", "ready"]


def test_closing_waits_for_the_matte_under_way(
    tiny_shot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which ends with the engine, and still has its files until then."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folders: list[bool] = []
    begun, ended = threading.Event(), threading.Event()

    class Engine(EngineProcess):
        def request(self, *_: Any, **__: Any) -> dict[str, Any]:
            begun.set()
            ended.wait(30)
            folders.extend(path.is_dir() for path in tmp_path.glob("vfxmatte-paint-*"))
            raise EngineLostError("closed")

    def warm() -> None:
        with pytest.raises(EngineLostError):
            live.warm()

    with Desk(Shot.open(tiny_shot), tiny_shot) as desk:
        live = LiveMatte(Engine(lambda *_: None), desk.pictures, RunSettings())
        solving, closing = threading.Thread(target=warm), threading.Thread(target=live.close)
        solving.start()
        assert begun.wait(30)
        closing.start()
        closing.join(0.2)
        assert closing.is_alive()
        ended.set()
        closing.join(30)
        solving.join(30)
        with pytest.raises(EngineLostError, match="closed"):
            live.warm()
    assert folders == [True] and not [*tmp_path.glob("vfxmatte-paint-*")]


def test_an_engine_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vfxmatte.paint.engine_process.sys.executable", "/bin/false")
    said: list[str] = []
    engine = EngineProcess(lambda state, text: said.append(state))
    with pytest.raises(VfxmatteError, match=r"ended with code 1|takes no requests|has ended"):
        engine.request("devices", {})
    engine.close()
    assert "lost" not in said


def test_an_error_of_another_command_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(VfxmatteError, match="no such shot folder") as caught:
        ask_command(["check", str(tmp_path / "none")])
    assert caught.value.hint


def test_the_command_names_its_address_and_ends_by_ctrl_c(tiny_shot: Path) -> None:
    environment = {**os.environ, "VFXMATTE_HOME": str(tiny_shot / "home")}
    command = [sys.executable, "-m", "vfxmatte", "paint", str(tiny_shot), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(2)]
        assert lines[0].startswith("tiny shot: 1001-1005")
        assert "http://127.0.0.1:" in lines[1]
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 0


def test_painting_is_written_before_a_terminated_server_ends(tiny_shot: Path) -> None:
    from websockets.sync.client import connect

    from tests.paint.test_paint_guard import ask

    environment = {**os.environ, "VFXMATTE_HOME": str(tiny_shot / "home")}
    command = [sys.executable, "-m", "vfxmatte", "paint", str(tiny_shot), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        address = next(line.split()[-1] for line in child.stdout if "http://" in line)
        origin, _, token = address.partition("/#")
        socket = f"ws{origin.removeprefix('http')}/socket"
        with connect(socket, origin=origin, subprotocols=["vfxmatte", token]) as page:  # type: ignore[arg-type,list-item]
            box = {"frame": 1003, "x": 0, "y": 0, "width": 2, "height": 1}
            assert "result" in ask(page, {"method": "paint", "params": box}, b"\x80\xff")
        child.send_signal(signal.SIGTERM)
        assert "next time: frame 1003" in child.stdout.read()
    assert (tiny_shot / "trimaps" / "unsaved" / "trimap.1003.png").is_file()


def test_the_server_loads_no_torch() -> None:
    script = "import sys, vfxmatte.paint.server; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_pixels_that_are_no_numbers_are_shown_all_the_same(
    tiny_shot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Desk(Shot.open(tiny_shot), tiny_shot) as desk:
        frame = desk.pictures.plate.read(1001)
        frame.pixels[:3, :3] = [np.nan, np.inf, -np.inf]
        monkeypatch.setattr(desk.pictures.plate, "read", lambda number: frame)
        assert np.isfinite(desk.pictures.frame(1001).levels[0]).all()
        tile = desk.pictures.tile(1001, 0, 0, 0, view=desk.pictures.views[0], stops=1)
        assert tile.shape == (48, 64, 4)
        assert (tile[:, :, 3] == 255).all()
