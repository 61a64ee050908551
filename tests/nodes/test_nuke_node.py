"""The node's buttons and settings, and what they request, against a strict fake of Nuke."""

from __future__ import annotations

import runpy
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fake_nuke import Node
from nuke_bench import Bench, quiet_bench
from nuke_paths import PLUGIN


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    yield from quiet_bench(tmp_path, monkeypatch)


def test_a_read_goes_to_the_engine_as_it_is(bench: Bench) -> None:
    node = bench.matte()
    status = bench.render(node)
    shot = f"{bench.folder}/vfxmatte/comp/VfxMatte1"
    assert bench.requests == [
        {
            "plate": "/show/plate.%04d.exr",
            "trimaps": f"{shot}/trimaps_from_nuke",
            "output": f"{shot}/matte",
            "frames": "1001-1005",
            "colorspace": "lin_rec709_scene",
            "device": "auto",
            "mode": "exact",
            "settings": {"missing": "error"},
        }
    ]
    assert status.startswith("Done: 5 written")
    assert "keyframe would help most on frame 1012" in status
    assert [(n, f) for n, f, _ in bench.nuke.executed] == [
        ("TrimapWrite", 1001), ("TrimapWrite", 1005),
    ]  # fmt: skip
    painted = bench.folder / "vfxmatte/comp/VfxMatte1/trimaps_from_nuke"
    assert sorted(p.name for p in painted.iterdir()) == ["trimap.1001.png", "trimap.1005.png"]


def test_the_result_is_linked_by_frame_number(bench: Bench) -> None:
    node = bench.matte()
    bench.render(node)
    matte = f"{bench.folder}/vfxmatte/comp/VfxMatte1/matte"
    assert node["matte_file"].value() == f"{matte}/matte.%04d.exr"
    assert node["trimap_file"].value() == f"{matte}/trimaps/trimap.%04d.png"
    assert (node["matte_first"].value(), node["matte_last"].value()) == (1001, 1005)
    assert (node["has_matte"].value(), node["rendering"].value()) == (1, 0)
    for name in ("ReadMatte", "ReadTrimap"):
        assert node.node(name)["reload"].executed == 1  # type: ignore[index, union-attr]


def test_a_graded_plate_is_rendered_frame_by_frame(bench: Bench) -> None:
    grade = bench.nuke.add("Grade")
    grade.setInput(0, bench.read)
    grade.size = (1920, 1080)
    node = bench.matte(plate=grade)
    bench.render(node)
    shot = f"{bench.folder}/vfxmatte/comp/VfxMatte1"
    (request,) = bench.requests
    assert request["plate"] == f"{shot}/plate_from_nuke/1920x1080/plate.####.exr"
    assert request["colorspace"] == "lin_rec709_scene"
    plates = [(frame, path) for name, frame, path in bench.nuke.executed if name == "PlateWrite"]
    assert [frame for frame, _ in plates] == [1001, 1002, 1003, 1004, 1005]
    assert all("/unfinished/" in path for _, path in plates)
    folder = Path(shot, "plate_from_nuke/1920x1080")
    assert sorted(p.name for p in folder.iterdir()) == [f"plate.{n}.exr" for n in range(1001, 1006)]
    write = node.node("PlateWrite")
    assert write is not None and write["disable"].value() and write["file"].value() == ""


def test_nodes_that_change_no_pixel_are_seen_through(bench: Bench) -> None:
    dot, off = bench.nuke.add("Dot"), bench.nuke.add("Grade")
    dot.setInput(0, bench.read)
    off.setInput(0, dot)
    off["disable"].setValue(True)
    bench.render(bench.matte(plate=off))
    assert bench.requests[0]["plate"] == "/show/plate.%04d.exr"
    bench.read["disable"].setValue(True)  # a disabled Read is black
    bench.render(bench.matte(plate=off))
    assert "plate_from_nuke" in bench.requests[1]["plate"]


def test_current_frame_renders_its_stretch_and_keeps_the_range(bench: Bench) -> None:
    grade = bench.nuke.add("Grade")
    grade.setInput(0, bench.read)
    node = bench.matte(plate=grade, keyframes="1001 1003 1005")
    bench.nuke.frame = 1002
    bench.render(node, "render_frame")
    assert bench.requests[0]["frames"] == "1002"
    assert [f for n, f, _ in bench.nuke.executed if n == "PlateWrite"] == [1001, 1002, 1003]
    assert (node["matte_first"].value(), node["matte_last"].value()) == (1002, 1002)
    bench.nuke.frame = 1005
    bench.render(node, "render_frame")
    assert (node["matte_first"].value(), node["matte_last"].value()) == (1002, 1005)


def test_a_keyframe_that_is_taken_out_is_gone(bench: Bench) -> None:
    node = bench.matte(keyframes="1001 1003 1005")
    bench.render(node)
    bench.nuke.frame = 1003
    bench.actions.remove_keyframe(node)
    assert node["keyframes"].value() == "1001 1005"
    bench.render(node)
    painted = bench.folder / "vfxmatte/comp/VfxMatte1/trimaps_from_nuke"
    assert sorted(p.name for p in painted.iterdir()) == ["trimap.1001.png", "trimap.1005.png"]
    bench.actions.add_keyframe(node)
    assert node["keyframes"].value() == "1001 1003 1005"


def test_unchanged_trimaps_and_plates_keep_their_time_stamps(bench: Bench) -> None:
    node = bench.matte()
    bench.render(node)
    trimap = bench.folder / "vfxmatte/comp/VfxMatte1/trimaps_from_nuke/trimap.1001.png"
    before = trimap.stat().st_mtime_ns
    bench.render(node)
    assert trimap.stat().st_mtime_ns == before
    assert len(bench.nuke.executed) == 4


def test_trimaps_from_a_folder(bench: Bench, tmp_path: Path) -> None:
    painted = tmp_path / "painted"
    painted.mkdir()
    (painted / "roto.1003.png").touch()
    node = bench.matte(keyframes="")
    node["trimaps_from"].setValue("folder")
    assert "no trimap folder" in bench.render(node)
    node["trimap_folder"].setValue(str(tmp_path / "nothing"))
    assert "cannot be read" in bench.render(node)
    node["trimap_folder"].setValue(str(painted))
    bench.render(node)
    assert bench.requests[0]["trimaps"] == str(painted)
    assert bench.nuke.executed == []


def test_proxy_mode_is_refused_where_nuke_would_render(bench: Bench, tmp_path: Path) -> None:
    bench.nuke.root()["proxy"].setValue(True)
    node = bench.matte()
    assert "proxy mode" in bench.render(node)
    assert bench.nuke.executed == []
    (tmp_path / "roto.1001.png").touch()
    node["trimaps_from"].setValue("folder")
    node["trimap_folder"].setValue(str(tmp_path))
    assert bench.render(node).startswith("Done")  # files are what they are


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b, n: n.setInput(0, None), "plate input is not connected"),
        (lambda b, n: n.setInput(1, None), "trimap input is not connected"),
        (lambda b, n: n["keyframes"].setValue(""), "Add current"),
        (lambda b, n: n["keyframes"].setValue("10O1"), "10O1"),
        (lambda b, n: n["last"].setValue(900), "1001-900 is empty"),
        (lambda b, n: n["last"].setValue(1009), "has frames 1001-1005, not 1006-1009"),
        (lambda b, n: b.nuke.root()["name"].setValue(""), "Save the script"),
        (lambda b, n: n["shot_folder"].setValue("/x/[a]"), "takes for code"),
        (lambda b, n: setattr(b.nuke, "executing", True), "Nuke itself is rendering"),
    ],
)
def test_what_is_missing_is_said_in_the_panel(
    bench: Bench, change: Callable[[Bench, Node], Any], message: str
) -> None:
    node = bench.matte()
    change(bench, node)
    assert message in bench.render(node).replace("[", "(")
    assert bench.requests == []


def test_a_movie_that_starts_at_1001(bench: Bench) -> None:
    for name, value in {
        "file": "/show/plate.mov", "first": 1, "last": 5, "frame_mode": "start at",
        "frame": "1001",
    }.items():  # fmt: skip
        bench.read[name].setValue(value)
    node = bench.matte()
    for name, value in {"first": 1001, "last": 1005}.items():
        node[name].setValue(value)
    bench.render(node)
    assert bench.requests[0]["settings"] == {"missing": "error", "first_frame": 1001}
    assert bench.requests[0]["frames"] == "1001-1005"


def test_missing_frames_may_be_held(bench: Bench) -> None:
    node = bench.matte()
    node["last"].setValue(1009)
    node["missing"].setValue("hold")
    bench.render(node)
    assert bench.requests[0]["settings"] == {"missing": "hold"}


def test_make_read(bench: Bench) -> None:
    node = bench.matte()
    assert "no mattes yet" in bench.render(node, "make_read")
    bench.render(node)
    bench.actions.make_read(node)
    root = bench.nuke.root()
    copy, read = root.node("Copy1"), root.node("Read2")
    assert copy is not None and read is not None
    assert copy.input(0) is bench.read and copy.input(1) is read
    values = {name: read[name].value() for name in (
        "file", "first", "last", "origfirst", "origlast", "on_error", "before", "after", "raw",
    )}  # fmt: skip
    assert values == {
        "file": node["matte_file"].value(), "first": 1001, "last": 1005, "origfirst": 1001,
        "origlast": 1005, "on_error": "black", "before": "black", "after": "black", "raw": True,
    }  # fmt: skip
    assert "\\" not in values["file"]


def test_an_aces_project(bench: Bench) -> None:
    root = bench.nuke.root()
    for name, value in {
        "colorManagement": "OCIO", "OCIO_config": "custom",
        "customOCIOConfigPath": "/show/config.ocio", "workingSpaceLUT": "scene_linear (ACEScg)",
    }.items():  # fmt: skip
        root[name].setValue(value)
    bench.read["colorspace"].setValue("Input/ARRI LogC4")
    bench.render(bench.matte())
    assert (bench.requests[0]["ocio"], bench.requests[0]["colorspace"]) == (
        "/show/config.ocio", "ARRI LogC4",
    )  # fmt: skip
    node = bench.matte()
    node["plate_from"].setValue("always render")
    bench.render(node)
    assert bench.requests[1]["colorspace"] == "ACEScg"


def test_engine_tab_reaches_the_engine(bench: Bench) -> None:
    node = bench.matte()
    for name, value in {
        "colorspace": "ACEScct", "ocio": "/my.ocio", "layer": "fg", "device": "cuda:1",
        "quality": "fast", "foreground": "premultiplied",
    }.items():  # fmt: skip
        node[name].setValue(value)
    bench.render(node)
    request = bench.requests[0]
    assert (request["colorspace"], request["ocio"], request["device"], request["mode"]) == (
        "ACEScct", "/my.ocio", "cuda:1", "fast",
    )  # fmt: skip
    assert request["settings"] == {"missing": "error", "layer": "fg"}
    assert request["foreground"] == "premultiplied"


@pytest.mark.parametrize(
    ("text", "sent"), [("", None), ("auto", None), (" Off", "off"), ("2.5", "2.5"), (".5 ", ".5")]
)
def test_the_fit_to_the_shot(bench: Bench, text: str, sent: str | None) -> None:
    node = bench.matte()
    node["shot_fit"].setValue(text)
    bench.render(node)
    assert bench.requests[0].get("fit") == sent


@pytest.mark.parametrize("text", ["long", "-1", "1 minute", "on"])
def test_a_fit_that_is_none_is_refused(bench: Bench, text: str) -> None:
    node = bench.matte()
    node["shot_fit"].setValue(text)
    bench.render(node)
    assert not bench.requests and "fit to the shot" in node["status"].value()


def test_a_script_does_not_choose_the_program(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    node = bench.matte()
    node["command"].setValue("/tmp/evil.sh")  # a hidden knob, so that older scripts load
    status = bench.render(node)
    assert status.startswith("Done: 5 written") and "vfxmatte command is ignored" in status
    assert "/tmp/evil.sh" in caplog.text


def test_paths_in_quotes_and_from_home_are_understood(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(bench.folder))
    painted = bench.folder / "keys"
    painted.mkdir()
    (painted / "trimap.1001.png").touch()
    node = bench.matte()
    node["trimaps_from"].setValue("folder")
    for name, value in {
        "trimap_folder": ' "~/keys" ', "shot_folder": "\u202a'~/a shot'\n", "ocio": "“~/c.ocio”",
    }.items():  # fmt: skip
        node[name].setValue(value)
    bench.render(node)
    request, folder = bench.requests[0], str(bench.folder)
    assert (request["trimaps"], request["output"], request["ocio"]) == (
        f"{folder}/keys", f"{folder}/a shot/matte", f"{folder}/c.ocio",
    )  # fmt: skip


def test_a_layer_needs_the_read_itself(bench: Bench) -> None:
    node = bench.matte()
    node["layer"].setValue("fg")
    node["plate_from"].setValue("always render")
    assert "EXR layer" in bench.render(node)


def test_the_menu_is_for_the_interface_alone(bench: Bench) -> None:
    assert bench.nuke.menu_commands == []
    runpy.run_path(str(PLUGIN / "menu.py"))
    assert bench.nuke.menu_commands == [("Keyer/VfxMatte", "nuke.createNode('VfxMatte')")]


def test_the_fake_is_strict(bench: Bench) -> None:
    node = bench.matte()
    with pytest.raises(NameError):
        node["keyframe"]
    with pytest.raises(AttributeError):
        bench.nuke.module.executeInMainthread(print)
    with pytest.raises(TypeError):
        bench.nuke.module.execute(node, 1)
    with pytest.raises(TypeError):
        node["device"].setValue("gpu")
    caught: list[BaseException] = []

    def elsewhere() -> None:
        try:
            node["status"].value()
        except AssertionError as error:
            caught.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "another thread" in str(caught[0])
