"""The film strip in a real browser: selecting by keys and clicks, lanes, what a reader hears."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.browser import OpenPage, picture_of, wait_for_paint
from vfxmatte.pages import page_file

if TYPE_CHECKING:
    from playwright.sync_api import Page

COUNT = 40


@pytest.fixture
def strip(tmp_path: Path, open_page: OpenPage) -> Page:
    """A page with nothing but a strip of 40 frames, with a mark and bars."""
    page = tmp_path / "strip.html"
    page.write_text(
        f"""<!doctype html><meta charset="utf-8"><style>{page_file("theme.css")}</style>
        <div id="strip"></div><script>{page_file("film_strip.js")}</script><script>
        const strip = new FilmStrip(document.querySelector("#strip"), {{ label: "Frames" }});
        const numbers = Array.from({{ length: {COUNT} }}, (_, i) => 1001 + i);
        strip.show(numbers, [
          {{ name: "keyframe", kind: "marks", colour: "--lane-keyframe",
             values: numbers.map((n) => (n === 1011 ? 1 : 0)) }},
          {{ name: "flicker", kind: "bars", colour: "--lane-flicker",
             values: numbers.map((_, i) => i / {COUNT}),
             describe: (i) => `flicker ${{i}}` }},
        ]);
        const heard = [];
        strip.addEventListener("select", () => heard.push(strip.number));
        </script>""",
        encoding="utf-8",
    )
    return open_page(page)


def test_keys_and_clicks_select_frames(strip: Page) -> None:
    host = strip.locator("#strip")
    host.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "PageDown", "End", "Home"):
        strip.keyboard.press(key)
    assert strip.evaluate("heard") == [1002, 1003, 1002, 1012, 1040, 1001]
    box = host.bounding_box()
    assert box is not None
    room = box["width"] - 86
    strip.mouse.click(box["x"] + 86 + room * 20.5 / COUNT, box["y"] + 5)
    assert strip.evaluate("strip.number") == 1021
    strip.mouse.move(box["x"] + 86 + room * 20.5 / COUNT, box["y"] + 5)
    strip.mouse.down()
    strip.mouse.move(box["x"] + 86 + room * 25.5 / COUNT, box["y"] + 5, steps=3)
    strip.mouse.up()
    assert strip.evaluate("strip.number") == 1026
    strip.evaluate("strip.select(3, { quiet: true })")
    assert strip.evaluate("heard.at(-1)") == 1026


def test_a_reader_hears_the_frame_and_its_lanes(strip: Page) -> None:
    host = strip.get_by_role("slider", name="Frames")
    strip.evaluate("strip.select(10)")
    assert host.get_attribute("aria-valuenow") == "1011"
    assert host.get_attribute("aria-valuetext") == "frame 1011, keyframe, flicker 10"


def test_bars_rise_and_both_themes_are_drawn(strip: Page) -> None:
    strip.wait_for_function("document.querySelector('canvas').height > 40")
    for theme, is_dark in (("dark", True), ("light", False)):
        strip.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        wait_for_paint(strip)
        shot = picture_of(strip.locator("#strip").screenshot()).astype(float)
        assert (shot.mean() < 128) == is_dark
        saturated = np.ptp(shot, axis=2) > 40
        left, right = (saturated[:, 86 + k * 300 : 386 + k * 300].sum() for k in (1, 2))
        assert right > left
