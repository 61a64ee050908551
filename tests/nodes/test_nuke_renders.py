"""The life of a Nuke node's render: free interface, cancelling, failures, and nodes that go."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_nuke import Node
from nuke_bench import Bench, quiet_bench


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    yield from quiet_bench(tmp_path, monkeypatch)


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
