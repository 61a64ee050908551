"""The review page in a real browser, opened from disk as a person would."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from tests.browser import OpenPage, picture_of, wait_for_paint, wait_until
from tests.review.moving_matte import alpha_at, half, plate_at, with_hole
from tests.review.review_shots import write_moving_shot
from vfxmatte.cli import commands

if TYPE_CHECKING:
    from playwright.sync_api import Page

SAMPLE = Path(__file__).parents[2] / "sample_shots" / "furry_creature"
Alpha = NDArray[np.float32]


def faint(alpha: Alpha) -> Alpha:
    """Return an alpha that is not quite black in a corner."""
    spoiled = alpha.copy()
    spoiled[4:24, 4:24] = 0.02
    return spoiled


def review(shot: Path, *options: str) -> Path:
    result = CliRunner().invoke(commands, ["review", str(shot), "--workers", "1", *options])
    assert result.exit_code == 0, result.output
    return shot / "matte" / "review.html"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shot of 20 small frames: 1015 is half transparent, 1007 has a hole, 1003 is not black."""
    shot = tmp_path_factory.mktemp("page") / "disc"
    return review(write_moving_shot(shot, {1015: half, 1007: with_hole, 1003: faint}))


@pytest.fixture
def page(page_file: Path, open_page: OpenPage) -> Page:
    return shown(open_page(page_file), 1001)


def shown(page: Page, number: int) -> Page:
    """Wait until the picture of a frame is there."""
    wait_until(page, f"document.documentElement?.dataset.shown === '{number}'")
    return page


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def pixel(page: Page, x: int, y: int) -> tuple[int, int, int]:
    """Return what the picture shows at a pixel of the matte, 0 to 255."""
    wait_for_paint(page)
    red, green, blue = page.evaluate(
        """([x, y]) => {
          const at = review.picture.toHost(x + 0.5, y + 0.5);
          const canvas = document.querySelector('#picture canvas');
          const scale = canvas.width / canvas.clientWidth;
          const context = canvas.getContext('2d');
          return [...context.getImageData(at.x * scale, at.y * scale, 1, 1).data.slice(0, 3)];
        }""",
        [x, y],
    )
    return red, green, blue


def edge_of_disc(index: int) -> tuple[int, int]:
    """A pixel that is half inside the disc."""
    alpha = alpha_at(index)
    column = int(np.argmax(alpha[60] > 0.4))
    return column, 60


INSIDE, OUTSIDE = (60, 60), (150, 10)


def test_the_page_asks_for_nothing_but_itself(page: Page, page_file: Path) -> None:
    assert (
        page.evaluate("document.querySelectorAll('[src]:not([src^=\"data:\"]), link').length") == 0
    )
    press(page, "4", "n")
    shown(page, 1015)
    asked: Any = page.requests  # type: ignore[attr-defined]
    assert {url for url in asked if not url.startswith(("data:", "blob:"))} == {page_file.as_uri()}


def test_n_finds_the_flagged_frames_worst_first(page: Page) -> None:
    order = page.evaluate("review.flagged.map((index) => review.data.frames[index].number)")
    assert set(order) == {1003, 1007, 1015} and order[0] == 1015
    for number in (*order, order[0]):
        press(page, "n")
        shown(page, number)
    press(page, "p")
    shown(page, order[-1])
    press(page, "Home", "ArrowRight", "ArrowRight", "ArrowRight")
    shown(page, 1004)
    assert page.locator("#warnings").inner_text() == "nothing found"
    press(page, "n")
    shown(page, 1015)
    assert "differs from the frames before and after" in page.locator("#warnings").inner_text()
    assert page.locator("#frame-title").inner_text() == "1015"
    page.locator("#flagged button", has_text="1007").click()
    shown(page, 1007)
    assert "holes" in page.locator("#warnings").inner_text()


def test_every_view_shows_what_it_says(page: Page) -> None:
    edge = edge_of_disc(0)
    press(page, "1")
    expected = plate_at(0)[60, 60].astype(int)
    assert np.abs(np.array(pixel(page, *INSIDE)) - expected).max() <= 12
    press(page, "2")
    assert tint(pixel(page, *OUTSIDE)) == "blue" and tint(pixel(page, *INSIDE)) == "green"
    assert tint(pixel(page, *edge)) == "yellow"
    press(page, "3")
    assert pixel(page, *INSIDE) == (255,) * 3 and pixel(page, *OUTSIDE) == (0,) * 3
    assert abs(pixel(page, *edge)[0] - 255 * alpha_at(0)[edge[1], edge[0]]) < 16
    press(page, "5")
    assert pixel(page, *OUTSIDE) == (0,) * 3
    press(page, "7")
    assert {pixel(page, *at) for at in (INSIDE, OUTSIDE, edge)} == {
        (0,) * 3,
        (128,) * 3,
        (255,) * 3,
    }
    press(page, "6")
    assert page.locator("#lacking").inner_text() == "frame 1001 has no difference"
    page.evaluate("location.hash = '#1007'")
    shown(page, 1007)
    middle = (50 + 2 * 6, 60)
    assert pixel(page, *middle)[0] > 200 and pixel(page, *OUTSIDE) == (0,) * 3
    assert page.locator("#lacking").is_hidden()


def tint(colour: tuple[int, int, int]) -> str:
    red, green, blue = colour
    if blue > 1.3 * max(red, green):
        return "blue"
    return "yellow" if red > 1.5 * blue and green > 1.3 * blue else "green" if green > blue else "?"


def test_backgrounds_of_the_composite(page: Page) -> None:
    press(page, "4")
    names = ("black", "white", "grey", "colour", "plate")
    seen = {}
    for name in names:
        page.locator("#backgrounds").get_by_role("button", name=name, exact=True).click()
        seen[name] = pixel(page, *OUTSIDE)
    assert seen["black"] == (0, 0, 0) and seen["white"] == (255, 255, 255)
    assert seen["grey"] == (118, 118, 118) and seen["colour"] == (0, 177, 64)
    assert np.abs(np.array(seen["plate"]) - plate_at(0)[10, 150].astype(int)).max() <= 12
    press(page, "b")  # after the plate: black
    assert pixel(page, *OUTSIDE) == (0, 0, 0)
    press(page, "b", "b", "b")
    squares = {pixel(page, x, 10) for x in (120, 136, 152)}
    assert len(squares) == 2 and all(len(set(one)) == 1 for one in squares)
    press(page, "Shift+B")
    assert pixel(page, *OUTSIDE) == (118, 118, 118)
    page.locator("#colour").fill("#ff0080")
    assert pixel(page, *OUTSIDE) == (255, 0, 128)


def test_gain_looks_into_the_blacks(page: Page) -> None:
    page.evaluate("location.hash = '#1003'")
    shown(page, 1003)
    press(page, "3")
    dark = pixel(page, 14, 14)[0]
    press(page, "g")
    assert pixel(page, *OUTSIDE)[0] == 0 and pixel(page, 14, 14)[0] >= max(24, 6 * dark)
    assert page.locator("#gain-value").inner_text() == "×8.00"
    press(page, "r")
    assert pixel(page, 14, 14)[0] == dark
    page.locator("#gamma").fill("2")
    assert pixel(page, 14, 14)[0] > 4 * dark and pixel(page, *OUTSIDE)[0] == 0


def test_the_wipe_has_two_sides_and_a_handle(page: Page) -> None:
    press(page, "3")
    page.locator("#second").select_option("own plate")
    assert page.locator("#wipe").get_attribute("aria-pressed") == "true"
    left, right = (10, 60), (140, 60)
    assert pixel(page, *left) == (0,) * 3 and max(pixel(page, *right)) > 20
    handle = page.get_by_role("slider", name="Wipe")
    box = handle.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, 300)
    page.mouse.down()
    page.mouse.move(60, 300, steps=4)
    page.mouse.up()
    assert float(handle.get_attribute("aria-valuenow") or 99) < 20
    assert max(pixel(page, 60, 30)) > 20
    handle.focus()
    press(page, *["ArrowRight"] * 50)
    assert pixel(page, *right) == (0,) * 3 and handle.get_attribute("aria-valuenow") == "100"
    press(page, "w", "x")
    assert max(pixel(page, *left)) > 20 and page.locator("#side-a").inner_text() == "B plate"
    press(page, "x")
    assert pixel(page, *left) == (0,) * 3
    assert page.locator("#strip").get_attribute("aria-valuenow") == "1001"


def test_zoom_is_to_the_cursor_and_pixels_have_values(page: Page) -> None:
    press(page, "3")
    at = page.evaluate("review.picture.toHost(60.5, 60.5)")
    stage = page.locator("#stage").bounding_box()
    assert stage is not None
    x, y = stage["x"] + at["x"], stage["y"] + at["y"]
    page.mouse.move(x, y)
    text = page.locator("#pixel").inner_text()
    assert text.startswith("60, 60   rgb ") and "alpha 1   foreground" in text
    before = page.evaluate("review.picture.zoom")
    for _ in range(5):
        page.mouse.wheel(0, -300)
    wait_until(page, f"review.picture.zoom > {3 * before}")
    page.mouse.move(x + 1, y)
    page.mouse.move(x, y)
    assert page.locator("#pixel").inner_text() == text
    press(page, "f")
    assert page.evaluate("review.picture.zoom") == before
    press(page, "z")
    assert page.evaluate("review.picture.zoom") == 1


def test_everything_can_be_reached_by_keyboard(page: Page) -> None:
    reached = set()
    for _ in range(45):
        press(page, "Tab")
        reached.add(
            page.evaluate("document.activeElement.id || document.activeElement.textContent")
        )
    assert {"plate", "monitor", "checker", "colour", "gain", "gamma", "second", "wipe", "swap",
            "theme", "help-button", "strip"} <= reached  # fmt: skip
    press(page, "?")
    dialog = page.get_by_role("dialog")
    assert dialog.is_visible() and "matte monitor" in dialog.inner_text()
    press(page, "n", "Escape")
    assert dialog.is_hidden() and page.evaluate("review.frame.number") == 1001


def test_playing_shows_a_frame_each_24th_of_a_second(page: Page) -> None:
    page.clock.install(time=0)
    page.clock.pause_at(1)  # from here on the page's time goes on by `run_for` alone
    press(page, " ")
    for number in (1002, 1003, 1004):
        shown(page, number)
        page.clock.run_for(40)
        assert page.evaluate("review.frame.number") == number
        page.clock.run_for(2)
    shown(page, 1005)
    press(page, " ")
    page.clock.run_for(1000)
    assert page.evaluate("review.frame.number") == 1005


def test_a_theme_can_be_chosen(page: Page, open_page: OpenPage, page_file: Path) -> None:
    def brightness(one: Page) -> float:
        return float(picture_of(one.locator("aside").screenshot()).mean())

    assert brightness(page) < 90
    page.locator("#theme").click()
    assert brightness(page) > 170
    light = shown(open_page(page_file, color_scheme="light"), 1001)
    assert brightness(light) > 170


def test_without_scripts_the_report_says_the_essential(
    open_page: OpenPage, page_file: Path
) -> None:
    page = open_page(page_file, java_script_enabled=False)
    assert page.locator("#viewer").is_hidden()
    text = page.locator("#report").inner_text()
    assert "3 of 20 frames flagged" in text and "2 keyframes" in text
    first = page.locator("#report tbody tr").first
    assert first.inner_text().startswith("1015") and "differs from" in first.inner_text()
    assert page.locator("#report figure img").count() >= 3
    assert "confidence" in text and "holes" in text


def test_it_prints_the_report(page: Page) -> None:
    press(page, "n")
    shown(page, 1015)
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#viewer").is_hidden() and page.locator("#report").is_visible()
    assert page.locator("#printed figcaption").inner_text() == "frame 1015: alpha"
    paper = picture_of(page.screenshot(full_page=True))
    assert paper[-5:].mean() > 250


def test_two_takes_can_be_wiped(tmp_path: Path, open_page: OpenPage) -> None:
    shot = write_moving_shot(tmp_path / "disc", {1007: with_hole})
    other = write_moving_shot(tmp_path / "other")
    page = shown(open_page(review(shot, "--against", str(other))), 1001)
    press(page, "n")
    shown(page, 1007)
    middle = (50 + 2 * 6, 60)
    assert pixel(page, *middle) == (0,) * 3
    press(page, "x")
    assert pixel(page, *middle) == (255,) * 3
    assert page.locator("#side-a").inner_text() == "B other/matte alpha"
    press(page, "7")
    assert pixel(page, *middle) == (255,) * 3  # the other take follows the view
    press(page, "x", "w")
    assert page.locator("#side-b").inner_text() == "B other/matte monitor"
    assert page.locator("#report th", has_text="other/matte").count() == 1


def test_a_frame_without_a_matte_says_so(tmp_path: Path, open_page: OpenPage) -> None:
    shot = write_moving_shot(tmp_path / "disc")
    (shot / "matte" / "matte.1001.exr").unlink()
    page = shown(open_page(review(shot)), 1001)
    assert page.locator("#lacking").inner_text() == "frame 1001 has no alpha"
    assert "no matte: none was written" in page.locator("#warnings").inner_text()
    press(page, "1")
    assert page.locator("#lacking").is_hidden() and max(pixel(page, *INSIDE)) > 20
