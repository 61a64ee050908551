"""Fixtures for tests of painting: a server on a shot of its own, and the page in a browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import OpenPage
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.paint.desk import Desk
from vfxmatte.paint.live import LiveMatte
from vfxmatte.paint.server import PaintServer
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import Labels, Window

if TYPE_CHECKING:
    from playwright.sync_api import Page

Serve = Callable[..., PaintServer]

SECONDS = 60  # a busy machine takes long to start an engine


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm_children: None) -> Iterator[Serve]:
    """Return a function that serves a shot's folder; the servers end with the test."""
    monkeypatch.setenv("VFXMATTE_HOME", str(tmp_path / "home"))
    with ExitStack() as stack:

        def serving(folder: Path, settings: RunSettings | None = None) -> PaintServer:
            shot = Shot.open(folder)
            shot = shot if settings is None else replace(shot, settings=settings)
            desk = stack.enter_context(Desk(shot, folder))
            server = PaintServer(desk, warm=False)
            thread = threading.Thread(target=server.serve, kwargs={"browser": False})
            thread.start()
            stack.callback(server.close)
            stack.callback(thread.join)
            stack.callback(server.stop)
            return server

        yield serving


@pytest.fixture
def tiny_settings(tiny_weights: Path) -> RunSettings:
    """Settings with a network that solves in no time."""
    return RunSettings(engine=EngineSettings(weights=tiny_weights, device="cpu"))


@dataclass
class Painting:
    """The page in a browser, and the server behind it."""

    page: Page
    server: PaintServer
    folder: Path

    def value(self, script: str) -> Any:
        return self.page.evaluate(script)

    def wait_for(self, script: str) -> Any:
        """Wait until a script's value is true: the page's policy forbids Playwright's own way."""
        until = time.monotonic() + SECONDS
        while not (value := self.page.evaluate(script)):
            assert time.monotonic() < until, (script, self.message)
            time.sleep(0.05)
        return value

    @property
    def message(self) -> str:
        return self.page.inner_text("#message")

    def on_screen(self, x: float, y: float) -> tuple[float, float]:
        """Return where a place of the picture is on the page."""
        box = self.page.locator("#paint").bounding_box()
        assert box is not None
        view = self.value(
            "({ s: paintPage.view.scale, l: paintPage.view.left, t: paintPage.view.top })"
        )
        return box["x"] + view["l"] + x * view["s"], box["y"] + view["t"] + y * view["s"]

    def stroke(self, *points: tuple[float, float]) -> None:
        """Paint along places of the picture."""
        mouse = self.page.mouse
        mouse.move(*self.on_screen(*points[0]))
        mouse.down()
        for point in points[1:]:
            mouse.move(*self.on_screen(*point), steps=4)
        mouse.up()

    def brush(self, diameter: float) -> None:
        self.value(f"paintPage.easel.resize({diameter / 2})")

    def label(self, x: int, y: int) -> int:
        return int(
            self.value(f"paintPage.easel.frame.labels.values[{y} * paintPage.shot.width + {x}]")
        )

    def labels(self) -> list[int]:
        return list(self.value("[...paintPage.easel.frame.labels.values]"))


@pytest.fixture
def solving(
    tiny_shot: Path, tiny_settings: RunSettings, serve: Serve, open_page: OpenPage
) -> Painting:
    """The page of the tiny shot, opened on its first keyframe, with a real engine behind it."""
    return opened(serve(tiny_shot, tiny_settings), tiny_shot, open_page)


@pytest.fixture
def painting(
    tiny_shot: Path, serve: Serve, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> Painting:
    """A server without an engine, which takes seconds to start: the trimap stands for the matte."""

    def solve(_: LiveMatte, number: int, labels: Labels, visible: Window, level: int) -> Any:
        rows, columns = visible.slices_in(Window.of_size(*labels.shape[::-1]))
        return labels[rows, columns][:: 1 << level, :: 1 << level], 0.0

    monkeypatch.setattr(LiveMatte, "solve", solve)
    return opened(serve(tiny_shot), tiny_shot, open_page)


def opened(server: PaintServer, folder: Path, open_page: OpenPage, **options: Any) -> Painting:
    page = open_page(server.address, **options)
    page.wait_for_selector("html[data-ready=true]", timeout=1000 * SECONDS)
    return Painting(page, server, folder)
