"""The node's buttons, against a strict fake of Nuke and a fake engine: no call goes untested."""

from __future__ import annotations

import importlib
import runpy
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from nuke_paths import GIZMO, PLUGIN

from fake_client import fake_package  # isort: skip
from fake_nuke import FakeNuke, Group, Node  # isort: skip


class Bench:
    """A Nuke with a saved script, the plug-in loaded, and the engine behind it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, gui: bool) -> None:
        monkeypatch.delenv("OCIO", raising=False)
        for name in [n for n in sys.modules if n.split(".")[0] == "vfxmatte_nuke"]:
            monkeypatch.delitem(sys.modules, name)
        self.nuke = FakeNuke(GIZMO, gui=gui)
        monkeypatch.setitem(sys.modules, "nuke", self.nuke.module)
        self.package = fake_package()
        monkeypatch.setitem(sys.modules, "vfxmatte_nuke.vfxmatte_client", self.package)
        runpy.run_path(str(PLUGIN / "init.py"))
        self.actions: ModuleType = importlib.import_module("vfxmatte_nuke.actions")
        self.renders: ModuleType = importlib.import_module("vfxmatte_nuke.renders")
        self.folder = folder
        self.nuke.root()["name"].setValue(str(folder / "comp.nk"))
        self.read = self.nuke.add("Read", file="/show/plate.%04d.exr")
        for name, value in {"first": 1001, "last": 1005, "origfirst": 1001}.items():
            self.read[name].setValue(value)
        self.roto = self.nuke.add("Roto")

    @property
    def requests(self) -> list[dict[str, Any]]:
        return list(self.package.Client.requests)

    def matte(self, *, plate: Node | None = None, keyframes: str = "1001 1005") -> Group:
        node = self.nuke.add("VfxMatte")
        assert isinstance(node, Group)
        node.setInput(0, plate or self.read)
        node.setInput(1, self.roto)
        node["keyframes"].setValue(keyframes)
        self.actions.range_from_input(node)
        return node

    def render(self, node: Node, button: str = "render") -> str:
        getattr(self.actions, button)(node)
        self.finish()
        return str(node["status"].value())

    def finish(self) -> None:
        self.nuke.pump(lambda: not self.renders._running and self.nuke.waiting.empty())

    def until(self, done: Callable[[], bool]) -> None:
        self.nuke.pump(done)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path, monkeypatch, gui=True)
    yield made
    assert made.nuke.undo_off == 0
    assert not made.renders._running
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("vfxmatte VfxMatte")]


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


def test_every_change_of_a_render_stays_out_of_the_undo_list(bench: Bench) -> None:
    node = bench.matte()
    bench.nuke.changes.clear()
    bench.render(node)
    assert len(bench.nuke.changes) > 10
    assert [name for name, _, hidden in bench.nuke.changes if not hidden] == []


def test_the_interface_is_never_blocked(bench: Bench) -> None:
    bench.package.Client.gate.clear()  # the engine does nothing yet
    node = bench.matte()
    bench.actions.render(node)  # and yet the button returns
    assert node["rendering"].value() == 1
    bench.until(lambda: "Following" in node["status"].value())
    bench.package.Client.gate.set()
    bench.finish()
    assert node["status"].value().startswith("Done")


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


# -- several subjects -----------------------------------------------------------------------------


def paint_subjects(folder: Path) -> Path:
    for subject, numbers in (("dog", (1001, 1004)), ("hero", (1005,))):
        (folder / subject).mkdir(parents=True)
        for number in numbers:
            (folder / subject / f"trimap.{number}.png").touch()
    (folder / "notes").mkdir()
    return folder


def matte_from(bench: Bench, folder: Path, subject: str = "") -> Group:
    bench.package.Client.subjects = ["dog", "hero"]
    node = bench.matte(keyframes="")
    node["trimaps_from"].setValue("folder")
    node["trimap_folder"].setValue(str(folder))
    node["subject"].setValue(subject)
    return node


def test_all_subjects_of_a_folder_are_shown_as_layers(bench: Bench, tmp_path: Path) -> None:
    node = matte_from(bench, paint_subjects(tmp_path / "painted"))
    assert bench.render(node).startswith("Done: 10 written")
    (request,) = bench.requests
    assert request["trimaps"] == str(tmp_path / "painted")
    assert request["subject_layers"] is True and "subject" not in request
    matte = f"{bench.folder}/vfxmatte/comp/VfxMatte1/matte"
    assert node["matte_file"].value() == f"{matte}/matte.%04d.exr"
    assert node["trimap_file"].value() == f"{matte}/hero/trimaps/trimap.%04d.png"
    bench.actions.make_read(node)
    read = bench.nuke.root().node("Read2")
    assert read is not None and read["file"].value() == f"{matte}/matte.%04d.exr"


def test_one_subject_of_a_folder_is_matted_and_shown_alone(bench: Bench, tmp_path: Path) -> None:
    grade = bench.nuke.add("Grade")
    grade.setInput(0, bench.read)
    node = matte_from(bench, paint_subjects(tmp_path / "painted"), " dog ")
    node.setInput(0, grade)
    bench.nuke.frame = 1002
    bench.render(node, "render_frame")
    (request,) = bench.requests
    assert request["subject"] == "dog" and "subject_layers" not in request
    plates = [frame for name, frame, _ in bench.nuke.executed if name == "PlateWrite"]
    assert plates == [1001, 1002, 1003, 1004]  # between the dog's keyframes
    matte = f"{bench.folder}/vfxmatte/comp/VfxMatte1/matte/dog"
    assert node["matte_file"].value() == f"{matte}/matte.%04d.exr"
    assert node["trimap_file"].value() == f"{matte}/trimaps/trimap.%04d.png"
    node["subject"].setValue("hero")
    bench.render(node)
    assert node["matte_file"].value().endswith("/matte/hero/matte.%04d.exr")


def test_nodes_that_share_a_shot_folder_paint_a_subject_each(bench: Bench) -> None:
    shot = f"{bench.folder}/pair"
    for subject, keyframes in (("hero", "1001 1005"), ("dog", "1003")):
        node = bench.matte(keyframes=keyframes)
        node["shot_folder"].setValue(shot)
        node["subject"].setValue(subject)
        assert bench.render(node).startswith("Done")
        assert node["matte_file"].value() == f"{shot}/matte/{subject}/matte.%04d.exr"
    assert {(r["trimaps"], r["output"], r["subject"]) for r in bench.requests} == {
        (f"{shot}/subjects_from_nuke", f"{shot}/matte", name) for name in ("hero", "dog")
    }
    painted = Path(shot, "subjects_from_nuke")
    found = {f"{p.parent.name}/{p.name}" for p in painted.rglob("*.png")}
    assert found == {"hero/trimap.1001.png", "hero/trimap.1005.png", "dog/trimap.1003.png"}


def test_a_subject_that_is_not_there_is_named_with_those_that_are(
    bench: Bench, tmp_path: Path
) -> None:
    folder = paint_subjects(tmp_path / "painted")
    status = bench.render(matte_from(bench, folder, "cat"))
    assert "no folder of trimaps for the subject 'cat'" in status and "dog, hero" in status
    (folder / "trimap.1001.png").touch()  # then it has a single subject
    assert "lie in the folder itself" in bench.render(matte_from(bench, folder, "dog"))
    assert "'2nd dog' cannot be a subject" in bench.render(matte_from(bench, folder, "2nd dog"))
    assert not bench.requests


def test_a_frame_that_fails_for_two_subjects_says_both(bench: Bench, tmp_path: Path) -> None:
    bench.package.Client.failing.add(1003)
    status = bench.render(matte_from(bench, paint_subjects(tmp_path / "painted")))
    assert "dog: this frame is damaged. Look. hero: this frame is damaged. Look." in status


def test_cancel_while_nuke_renders(bench: Bench) -> None:
    grade = bench.nuke.add("Grade")
    grade.setInput(0, bench.read)
    node = bench.matte(plate=grade)
    bench.actions.render(node)
    bench.until(lambda: len(bench.nuke.executed) == 3)
    bench.actions.cancel(node)
    bench.finish()
    assert len(bench.nuke.executed) < 7
    assert bench.requests == []
    assert "Press Render to go on" in node["status"].value()
    assert not list(bench.folder.rglob("unfinished"))


def test_cancel_while_the_engine_works(bench: Bench) -> None:
    bench.package.Client.gate.clear()
    node = bench.matte()
    bench.actions.render(node)
    bench.until(lambda: bool(bench.requests))
    bench.actions.cancel(node)
    bench.finish()
    assert node["status"].value().startswith("Stopped")
    assert node["rendering"].value() == 0
    assert "Nothing is rendering" in bench.render(node, "cancel")


def test_failed_frames_are_named_and_the_others_delivered(bench: Bench) -> None:
    bench.package.Client.failing = {1003}
    status = bench.render(bench.matte())
    assert status.startswith("Done: 4 written")
    assert "frame 1003: this frame is damaged. Look." in status


def test_the_engines_error_stands_in_the_panel(bench: Bench) -> None:
    bench.package.Client.error = bench.package.ClientError(
        "vfxmatte is not installed", kind="NotInstalled", hint="pip install vfxmatte", shot="x"
    )
    node = bench.matte()
    assert bench.render(node) == "vfxmatte is not installed (shot x)\n  pip install vfxmatte"
    assert node["has_matte"].value() == 0


def test_a_bug_does_not_leave_the_panel_at_starting(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Any, **what: Any) -> Any:
        raise KeyError("frames")

    bench.package.Client.start_run = broken
    node = bench.matte()
    assert bench.render(node) == "This should not happen: KeyError('frames')"
    assert node["rendering"].value() == 0
    assert "Traceback" in caplog.text


def test_a_word_that_comes_late_does_not_hide_the_end(bench: Bench) -> None:
    node = bench.matte()
    bench.actions.render(node)
    (job,) = bench.renders._running
    bench.finish()
    job._event({"event": "note", "text": "late"})
    bench.nuke.pump(bench.nuke.waiting.empty)
    assert node["status"].value().startswith("Done")


def test_an_error_of_nuke_ends_the_render_and_leaves_nothing_behind(bench: Bench) -> None:
    def fail(write: Node, frame: int, path: str) -> None:
        Path(path).write_text("half")
        raise RuntimeError("Read1: no such file")

    bench.nuke.render = fail
    node = bench.matte()
    status = bench.render(node)
    assert "Nuke could not render frame 1001: Read1: no such file" in status
    assert not [p for p in bench.folder.rglob("*") if p.is_file()]
    write = node.node("TrimapWrite")
    assert write is not None and write["disable"].value()


def test_cancel_in_nukes_own_progress_window(bench: Bench) -> None:
    def cancelled(write: Node, frame: int, path: str) -> None:
        raise RuntimeError("Cancelled")

    bench.nuke.render = cancelled
    assert bench.render(bench.matte()) == "Stopped. Press Render to go on."
    assert bench.requests == []


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


def test_two_nodes_render_at_once_and_one_folder_has_one_writer(bench: Bench) -> None:
    bench.package.Client.gate.clear()
    one, two = bench.matte(), bench.matte()
    bench.actions.render(one)
    bench.actions.render(one)
    assert "already" in one["status"].value()
    bench.actions.render(two)
    bench.until(lambda: len(bench.requests) == 2)
    third = bench.matte()
    third["shot_folder"].setValue("vfxmatte/comp/VfxMatte1")
    bench.actions.render(third)
    assert "VfxMatte1 is rendering into" in third["status"].value()
    bench.package.Client.gate.set()
    bench.finish()
    assert len(bench.requests) == 2
    assert one["matte_file"].value() != two["matte_file"].value()


def test_a_pasted_node_is_not_rendering(bench: Bench) -> None:
    """Paste and re-open make a node with the saved knobs, then call its onCreate."""
    node = bench.matte()
    node["rendering"].setValue(1)
    node["status"].setValue("3 of 48 frames")
    bench.nuke.call_back("create", node)
    assert node["rendering"].value() == 0
    assert "Press Render to go on" in node["status"].value()


def test_a_copy_has_a_folder_of_its_own(bench: Bench) -> None:
    bench.render(bench.matte())
    bench.render(bench.matte())
    assert [a["output"].rsplit("/", 2)[1] for a in bench.requests] == ["VfxMatte1", "VfxMatte2"]


@pytest.mark.parametrize("how", ["delete", "close"])
def test_a_node_or_script_that_goes_stops_its_render(bench: Bench, how: str) -> None:
    bench.package.Client.gate.clear()
    node = bench.matte()
    bench.actions.render(node)
    bench.until(lambda: bool(bench.requests))
    if how == "close":
        bench.nuke.call_back("close")
    bench.nuke.delete(node)
    bench.finish()
    assert not bench.renders._running


def test_a_node_may_be_renamed_while_it_renders(bench: Bench) -> None:
    bench.package.Client.gate.clear()
    node = bench.matte()
    bench.actions.render(node)
    bench.until(lambda: bool(bench.requests))
    node["name"].setValue("Hero")
    bench.actions.cancel(node)
    bench.finish()
    assert node["status"].value().startswith("Stopped")


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


def test_the_panel_shows_a_fit(bench: Bench) -> None:
    bench.package.Client.fit_steps = [(20, 120)]
    bench.package.Client.gate.clear()
    node = bench.matte()
    bench.actions.render(node)
    bench.until(lambda: "step 20 of 120" in node["status"].value())
    assert node["status"].value().splitlines()[0] == "Fitting to the shot: step 20 of 120"
    bench.package.Client.gate.set()
    bench.finish()
    assert node["status"].value().startswith("Done")


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


def test_terminal_mode_renders_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, monkeypatch, gui=False)
    node = bench.matte()
    bench.actions.render(node)  # returns when all is done
    assert node["status"].value().startswith("Done: 5 written")
    assert bench.nuke.printed[0] == "VfxMatte1: Starting"
    assert bench.nuke.waiting.empty()  # nothing was left to an interface that is not there


def test_terminal_mode_fails_loudly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, monkeypatch, gui=False)
    bench.package.Client.failing = {1003}
    with pytest.raises(RuntimeError, match=r"VfxMatte1: .*4 written"):
        bench.actions.render(bench.matte())
    node = bench.matte(keyframes="")
    with pytest.raises(RuntimeError, match="no keyframe"):
        bench.actions.render(node)


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
