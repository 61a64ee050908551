"""A real browser for tests of pages: Chromium through Playwright, and pictures of what it shows.

The fixtures `browser` and `open_page` are imported once, in `tests/conftest.py`: Playwright allows
one of itself in a process. Without Chromium, tests that use them are skipped; under CI=true a
Chromium that is installed must also start.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

IMAGES = Path(__file__).parents[1] / "docs" / "images"
RENEW = "VFXMATTE_NEW_SCREENSHOTS"
"""The variable with which `assert_looks_like` writes its pictures instead of comparing."""

OpenPage = Callable[..., "Page"]

_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb", "--hide-scrollbars"]


def chromium_path() -> str | None:
    """Return the path of the system's Chromium; None where there is none."""
    return next((found for found in map(shutil.which, _NAMES) if found), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, started once."""
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium-headless-shell)")
    required = os.environ.get("CI") == "true"
    if not required:
        pytest.importorskip("playwright", reason="Playwright is missing: pip install playwright")
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        except Error as error:
            if required:
                raise
            pytest.skip(f"{path} does not start: {error.message.splitlines()[0]}")
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Return a function that opens a path or address in a context of its own.

    Keyword arguments are those of `Browser.new_context` (color_scheme, java_script_enabled, …);
    1280×800 and dark by default; `wait_until` is that of `Page.goto`. `page.requests` lists the
    addresses the page has asked for, itself included. Errors of the page's scripts fail the test
    when it ends.
    """
    errors: list[str] = []
    contexts = []

    def opened(address: str | Path, *, wait_until: Any = "load", **options: Any) -> Page:
        usual = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"}
        context = browser.new_context(**{**usual, **options})
        contexts.append(context)
        page = context.new_page()
        page.requests = requests = []  # type: ignore[attr-defined]
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.goto(address.as_uri() if isinstance(address, Path) else address, wait_until=wait_until)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not errors


def wait_until(page: Page, expression: str, *, seconds: float = 30.0) -> None:
    """Wait until an expression is true; pages whose policy forbids eval refuse Playwright's own."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never true: {expression}"
        time.sleep(0.02)


def wait_for_paint(page: Page) -> None:
    """Wait until what is to be drawn with the next animation frame is on screen."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def picture_of(png: bytes) -> np.ndarray:
    """Decode a screenshot: (h, w, 3) uint8 RGB."""
    decoded = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)


def assert_looks_like(png: bytes, path: Path, *, tolerance: float = 10.0) -> None:
    """Compare a screenshot with a stored one, apart from fonts and rounding.

    Both are reduced to a width of 160 px, which levels text out; of 8×8 tiles, one in eight may
    differ by more than the tolerance (a mean, 0 to 255), since lines break elsewhere in another
    font.
    """
    if os.environ.get(RENEW):
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = cv2.cvtColor(picture_of(png), cv2.COLOR_RGB2BGR)
        encoded = cv2.imencode(path.suffix, picture, [cv2.IMWRITE_JPEG_QUALITY, 82])[1]
        path.write_bytes(encoded.tobytes())
        return
    ours, stored = (_small(picture_of(data)) for data in (png, path.read_bytes()))
    assert ours.shape == stored.shape, f"{path.name}: the size has changed"
    difference = cv2.resize(
        np.abs(ours - stored).mean(axis=2), (8, 8), interpolation=cv2.INTER_AREA
    )
    worst = float(np.sort(difference.ravel())[-1 - difference.size // 8])
    assert worst <= tolerance, (
        f"the page no longer looks like {path} (differs by {worst:.1f}); if it is right, run the "
        f"test again with {RENEW}=1"
    )


def _small(picture: np.ndarray) -> np.ndarray:
    height = round(picture.shape[0] * 160 / picture.shape[1])
    return cv2.resize(picture.astype(np.float32), (160, height), interpolation=cv2.INTER_AREA)
