"""A stand-in Nuke with a saved script, the plug-in loaded, and a fake engine behind it."""

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


def quiet_bench(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Yield a bench, and check afterwards that nothing goes on."""
    made = Bench(folder, monkeypatch, gui=True)
    yield made
    assert made.nuke.undo_off == 0
    assert not made.renders._running
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("vfxmatte VfxMatte")]


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
