"""The paint page in a real browser: tools, mattes, saving, running, the engine's end."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.browser import OpenPage, wait_for_paint
from tests.paint.conftest import SECONDS, Painting, Serve, opened
from vfxmatte.pipeline.settings import RunSettings


def test_the_token_leaves_the_address(painting: Painting) -> None:
    assert painting.page.url == f"http://127.0.0.1:{painting.server.port}/"
    painting.page.reload()
    painting.page.wait_for_selector("html[data-ready=true]")


def test_the_bare_address_says_what_it_lacks(painting: Painting, open_page: OpenPage) -> None:
    page = open_page(f"http://127.0.0.1:{painting.server.port}/")
    assert "needs the address that vfxmatte paint has printed" in page.inner_text("#message")
    assert page.inner_text("#engine") == "not connected"


def test_keys_choose_labels_and_a_stroke_paints_them(painting: Painting) -> None:
    painting.brush(6)
    for key, label in (("1", 0), ("2", 128), ("3", 255)):
        painting.page.keyboard.press(key)
        painting.stroke((5, 40), (30, 40))
        assert [painting.label(x, 40) for x in (5, 20, 29)] == [label] * 3
    assert painting.label(5, 30) == 0


def test_a_hundred_strokes_are_undone_and_done_again(painting: Painting) -> None:
    before = painting.labels()
    painting.brush(4)
    painting.page.keyboard.press("2")
    (x, y), (right, _) = painting.on_screen(2, 3), painting.on_screen(3, 3)
    for column in range(105):
        painting.page.mouse.click(
            x + (right - x) * (column % 60), y + (right - x) * 40 * (column // 60)
        )
    after = painting.labels()
    keyboard = painting.page.keyboard
    keyboard.down("Control")
    for _ in range(99):
        keyboard.press("z")
    assert painting.page.is_enabled("#undo")
    keyboard.press("z")
    assert painting.page.is_disabled("#undo")
    assert painting.labels() not in (before, after)  # the first five cannot be undone
    keyboard.down("Shift")
    for _ in range(100):
        keyboard.press("Z")
    assert painting.labels() == after
    painting.wait_for("paintPage.connection.backlog === 0")
    on_server = painting.server._methods.desk.draft(1001).labels  # type: ignore[attr-defined]
    painting.wait_for("document.querySelector('#redo').disabled")
    assert on_server.ravel().tolist() == after


def test_brush_size_by_keys_and_by_dragging_with_a_modifier(painting: Painting) -> None:
    painting.brush(10)
    painting.page.keyboard.press("]")
    assert painting.value("paintPage.easel.size") == pytest.approx(5 * 1.18)
    painting.page.keyboard.press("[")
    labels = painting.labels()
    for key in ("Control", "Alt"):
        painting.brush(10)
        painting.page.keyboard.down(key)
        x, y = painting.on_screen(30, 20)
        painting.page.mouse.move(x, y)
        painting.page.mouse.down()
        painting.page.mouse.move(x + 120, y, steps=5)
        painting.page.mouse.up()
        painting.page.keyboard.up(key)
        assert painting.value("paintPage.easel.size") == pytest.approx(5 * np.e, rel=0.01)
    assert painting.labels() == labels


def test_shift_draws_a_line_from_the_last_stroke(painting: Painting) -> None:
    painting.brush(4)
    painting.page.keyboard.press("3")
    painting.stroke((4, 4), (5, 4))
    assert painting.label(4, 25) == 0
    painting.page.keyboard.down("Shift")
    painting.stroke((4, 44))
    painting.page.keyboard.up("Shift")
    assert [painting.label(4, y) for y in (10, 25, 40)] == [255] * 3


def test_a_soft_edge_is_a_rim_of_unknown(painting: Painting) -> None:
    painting.brush(20)
    painting.value("paintPage.easel.soft = 0.5")
    painting.page.keyboard.press("3")
    painting.stroke((10, 12), (11, 12))
    assert painting.label(10, 12) == 255
    assert painting.label(10, 4) == 128
    assert painting.label(2, 40) == 0


def test_fill_eraser_and_pen_pressure(painting: Painting) -> None:
    base = painting.labels()
    painting.page.keyboard.press("g")
    painting.page.keyboard.press("2")
    painting.stroke((1, 1))
    assert painting.label(62, 46) == 128
    assert painting.label(26, 24) == 255
    painting.page.keyboard.press("e")
    painting.brush(200)
    painting.stroke((10, 10), (12, 12))
    assert painting.labels() == base
    painting.page.keyboard.press("b")
    painting.brush(20)
    painting.value(
        """[["pointerdown", 0.25], ["pointerup", 0]].forEach(([type, pressure]) => {
          const host = document.querySelector("#paint");
          host.setPointerCapture = () => {};
          const { view } = paintPage, box = host.getBoundingClientRect();
          host.dispatchEvent(new PointerEvent(type, { pointerId: 9, pointerType: "pen", pressure,
            clientX: box.x + view.left + 50.5 * view.scale,
            clientY: box.y + view.top + 8.5 * view.scale }));
        })"""
    )
    assert [painting.label(50, y) for y in (8, 10, 13)] == [128, 128, 0]  # a quarter of 10 px


def test_zoom_goes_to_the_cursor_and_space_pans(painting: Painting) -> None:
    x, y = painting.on_screen(40, 12)
    painting.page.mouse.move(x, y)
    painting.page.mouse.wheel(0, -300)
    painting.wait_for("paintPage.view.scale > 10")
    assert painting.on_screen(40, 12) == pytest.approx((x, y), abs=0.5)
    labels = painting.labels()
    painting.page.keyboard.down("Space")
    painting.page.mouse.down()
    painting.page.mouse.move(x - 50, y + 20)
    painting.page.mouse.up()
    painting.page.keyboard.up("Space")
    assert painting.on_screen(40, 12) == pytest.approx((x - 50, y + 20), abs=0.5)
    assert painting.labels() == labels


def test_keys_stay_the_brush_s_after_a_click_on_a_control(painting: Painting) -> None:
    page = painting.page
    page.click("[data-tool=eraser]")
    page.click("#soft", position={"x": 5, "y": 5})
    page.keyboard.press("ArrowRight")  # the next frame, not a softer edge
    painting.wait_for("paintPage.easel.frame.number === 1002")
    page.click("[data-tool=fill]")
    page.keyboard.press("b")
    page.keyboard.press("Space")  # pans, and presses no button
    assert painting.value("paintPage.easel.tool") == "brush"


def test_the_band_grows_and_an_edge_is_found(painting: Painting) -> None:
    unknown = painting.labels().count(128)
    painting.page.keyboard.press("+")
    painting.wait_for("paintPage.easel.frame.history.canUndo")
    grown = painting.labels().count(128)
    assert grown > unknown
    painting.page.keyboard.press("-")
    painting.wait_for(
        f"[...paintPage.easel.frame.labels.values].filter((v) => v === 128).length < {grown}"
    )
    painting.page.keyboard.press("1")
    painting.brush(120)
    painting.stroke((30, 24), (31, 24))  # all is background now
    painting.brush(8)
    painting.page.keyboard.press("d")
    painting.stroke((26, 40), (20, 36), (16, 30), (15, 24))  # outside of the disc's edge, 12.5 px
    painting.wait_for("paintPage.easel.frame.labels.values.includes(128)")
    values = np.array(painting.labels()).reshape(48, 64)
    rows, columns = np.nonzero(values == 128)
    away = np.hypot(columns - 26, rows - 24)
    assert abs(np.median(away) - 12.5) < 2


def test_painting_by_keyboard_alone(painting: Painting) -> None:
    page = painting.page
    page.focus("#paint")
    page.keyboard.press("3")
    painting.brush(4)
    x, y = painting.value("[paintPage.view.left, paintPage.view.top]")
    for _ in range(int(x // 8) + 2):
        page.keyboard.press("Alt+ArrowRight")
    for _ in range(int(y // 8) + 2):
        page.keyboard.press("Alt+ArrowDown")
    page.keyboard.press("Enter")
    assert painting.label(0, 0) == 255 or painting.label(1, 1) == 255


def test_a_box_and_an_edge_by_keyboard_alone(painting: Painting) -> None:
    page = painting.page
    page.focus("#paint")
    page.keyboard.press("m")
    for _ in range(10):
        page.keyboard.press("Alt+Shift+ArrowRight")
        page.keyboard.press("Alt+ArrowDown")
    assert page.is_visible("#brush")
    page.keyboard.press("Enter")
    for _ in range(5):
        page.keyboard.press("Alt+Shift+ArrowDown")
        page.keyboard.press("Alt+ArrowLeft")
    page.keyboard.press("Enter")
    box = painting.value("paintPage.easel.box")
    scale = painting.value("paintPage.view.scale")
    assert box["width"] == pytest.approx(40 / scale, abs=2)
    assert box["height"] == pytest.approx(200 / scale, abs=2)
    page.keyboard.press("d")
    page.keyboard.press("Enter")
    for _ in range(5):
        page.keyboard.press("Alt+Shift+ArrowUp")
    page.keyboard.press("Enter")
    painting.wait_for(
        "document.querySelector('#message').textContent.startsWith('unknown along the edge: ')"
    )


def test_box_grabcut_and_the_neighbour_start_a_frame(painting: Painting) -> None:
    page = painting.page
    page.focus("#strip")
    page.keyboard.press("ArrowRight")
    painting.wait_for("paintPage.easel.frame.number === 1002")
    assert set(painting.labels()) == {0}
    page.click("[data-guess=previous]")
    painting.wait_for("paintPage.easel.frame.history.canUndo")
    carried = np.array(painting.labels()).reshape(48, 64)
    assert carried[24, 28] == 255
    assert carried[2, 2] == 0
    page.click("[data-guess=box]")
    assert "draw a box" in painting.message
    painting.stroke((8, 8), (50, 44))
    painting.wait_for("paintPage.easel.frame.labels.values.filter((v) => v === 128).length > 1400")
    assert painting.label(10, 10) == 128
    assert painting.label(4, 4) == 0
    page.click("[data-guess=grabcut]")
    painting.stroke((8, 6), (50, 46))
    painting.wait_for("document.querySelector('#message').textContent.includes('GrabCut: ')")
    assert painting.label(28, 24) == 255


def test_the_matte_is_solved_saved_run_and_the_engine_started_again(solving: Painting) -> None:
    """One engine for all of these: it takes seconds to start."""
    painting = solving
    page, folder = painting.page, painting.folder
    painting.wait_for("paintPage.live.solves > 0")
    before = page.locator("#result").screenshot()

    page.keyboard.press("3")
    painting.brush(14)
    painting.stroke((54, 8), (56, 10))
    solves = painting.value("paintPage.live.solves")
    assert page.locator("#result").screenshot() != before  # what is known shows at once
    page.keyboard.press("2")
    painting.stroke((54, 8), (56, 10))
    painting.wait_for(f"paintPage.live.solves > {solves}")

    old = (folder / "trimaps" / "trimap.1001.png").read_bytes()
    page.keyboard.press("Control+s")
    painting.wait_for("document.querySelector('#message').textContent.startsWith('saved')")
    saved = cv2.imread(str(folder / "trimaps" / "trimap.1001.png"), cv2.IMREAD_GRAYSCALE)
    assert saved is not None and saved.ravel().tolist() == painting.labels()
    (copy,) = (folder / "trimaps" / "replaced").iterdir()
    assert copy.read_bytes() == old

    page.click("#run")
    painting.wait_for("document.querySelector('#run-text').textContent.includes('5 written')")
    assert len(list((folder / "matte").glob("matte.*.exr"))) == 5
    assert painting.value("paintPage.shot.mattes.length") == 5
    page.keyboard.press("Control+z")  # a run leaves what can be undone
    assert painting.label(55, 9) == 255
    page.keyboard.press("Control+Shift+z")
    page.keyboard.press("Control+s")
    painting.wait_for("paintPage.unsaved.length === 0")
    page.click("#run")
    painting.wait_for("document.querySelector('#run-text').textContent.includes('5 kept')")

    pid = painting.server.engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    painting.wait_for("document.querySelector('#message').textContent.includes('engine has died')")
    painting.wait_for("document.querySelector('#engine').dataset.state === 'ready'")
    assert painting.server.engine.pid not in (None, pid)
    solves = painting.value("paintPage.live.solves")
    painting.stroke((10, 8), (12, 10))
    painting.wait_for(f"paintPage.live.solves > {solves}")


def test_a_stroke_that_another_frame_ends_is_kept(painting: Painting) -> None:
    page = painting.page
    painting.brush(4)
    page.keyboard.press("3")
    page.mouse.move(*painting.on_screen(5, 40))
    page.mouse.down()
    page.mouse.move(*painting.on_screen(15, 40), steps=4)
    page.keyboard.press("ArrowRight")
    painting.wait_for("paintPage.easel.frame.number === 1002")
    page.mouse.move(*painting.on_screen(25, 40), steps=4)
    page.mouse.up()
    assert set(painting.labels()) == {0}
    page.keyboard.press("ArrowLeft")
    painting.wait_for("paintPage.easel.frame.number === 1001")
    assert [painting.label(x, 40) for x in (5, 14, 24)] == [255, 255, 128]
    on_server = painting.server._methods.desk.draft(1001)  # type: ignore[attr-defined]
    painting.wait_for("paintPage.connection.backlog === 0")
    assert on_server.labels.ravel().tolist() == painting.labels()
    assert not page.is_disabled("#undo")
    assert "not saved" in page.inner_text("#source")


def test_what_is_painted_while_a_keyframe_is_saved_is_not_saved(
    painting: Painting, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, may_answer = painting.server._methods.desk, threading.Event()  # type: ignore[attr-defined]

    def save(number: int) -> Any:
        saved = type(desk).save(desk, number)
        may_answer.wait(SECONDS)
        return saved

    monkeypatch.setattr(desk, "save", save)
    painting.page.keyboard.press("2")
    painting.stroke((5, 5), (15, 5))
    painting.page.keyboard.press("Control+s")
    painting.stroke((5, 40), (15, 40))
    may_answer.set()
    painting.wait_for("document.querySelector('#message').textContent.startsWith('saved')")
    painting.wait_for("paintPage.connection.backlog === 0")
    assert "painted, not saved" in painting.page.inner_text("#source")
    assert painting.value("paintPage.unsaved") == [1001]


def test_a_run_can_be_cancelled(solving: Painting) -> None:
    painting, page = solving, solving.page
    page.click("#run")
    page.click("#cancel")
    painting.wait_for("document.querySelector('#run-text').textContent === 'cancelled'")
    painting.wait_for("document.querySelector('#cancel').hidden")
    assert not page.is_disabled("#run")
    page.click("#run")
    painting.wait_for("paintPage.shot.mattes.length > 0")
    # At once, if it still runs: a click by the mouse waits until the button is at rest.
    page.evaluate("(button => button.hidden || button.click())(document.querySelector('#cancel'))")
    painting.wait_for("document.querySelector('#cancel').hidden")
    text = page.inner_text("#run-text")
    assert text.startswith("cancelled: ") or text == "5 written"


def test_the_review_has_the_options_of_the_page(
    tiny_shot: Path, serve: Serve, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def ask(words: list[str]) -> str:
        asked.extend(words)
        return '{"frames": 5, "flagged": [], "files": ["review.html"]}'

    monkeypatch.setattr("vfxmatte.paint.methods.ask_command", ask)
    settings = RunSettings(colorspace="ACEScg", first_frame=7)
    painting = opened(serve(tiny_shot, settings), tiny_shot, open_page)
    painting.value("paintPage.review()")
    painting.wait_for("document.querySelector('#message').textContent.startsWith('5 frames')")
    assert 'colorspace="ACEScg"' in asked
    assert "first_frame=7" in asked


def test_running_asks_about_what_is_not_saved(painting: Painting) -> None:
    painting.page.keyboard.press("2")
    painting.stroke((10, 10), (20, 20))
    painting.page.click("#run")
    assert "Frame 1001 is painted and not saved as a keyframe" in painting.page.inner_text("#ask")
    painting.page.click("#ask button[value='']")
    assert painting.value("paintPage.isRunning") is False


def test_drafts_outlive_a_reload_and_a_second_page_takes_over(
    painting: Painting, open_page: OpenPage
) -> None:
    painting.page.keyboard.press("2")
    painting.stroke((5, 5), (15, 5))
    labels = painting.labels()
    painting.page.reload()
    painting.page.wait_for_selector("html[data-ready=true]")
    assert painting.labels() == labels
    second = opened(painting.server, painting.folder, open_page)
    assert second.labels() == labels
    painting.wait_for("document.querySelector('#message').textContent.includes('another page')")


def test_the_end_of_the_server_is_said(painting: Painting) -> None:
    painting.value("paintPage.fail(new Error('nothing stands out'))")
    painting.value("{ paintPage.connection.request('progress').catch((e) => paintPage.fail(e)) }")
    painting.server.stop()
    painting.wait_for("document.querySelector('#engine').textContent === 'not connected'")
    assert "The server has ended" in painting.message


def test_the_brush_is_as_it_was_the_next_time(
    painting: Painting, serve: Serve, open_page: OpenPage
) -> None:
    painting.page.keyboard.press("}")
    painting.brush(33)
    painting.page.click("#grounds [data-ground=white]")
    kept = "paintPage.connection.request('shot').then((a) => a.result.preferences.size === '16.5')"
    painting.wait_for(kept)
    again = opened(serve(painting.folder), painting.folder, open_page)  # on another port
    assert again.value("paintPage.easel.size") == 16.5
    assert again.value("paintPage.easel.soft") == 0.1
    assert again.page.get_attribute("#result", "data-ground") == "white"


def test_the_picture_stays_fitted_when_the_window_changes(painting: Painting) -> None:
    painting.page.set_viewport_size({"width": 700, "height": 600})
    painting.wait_for("paintPage.paintPane.width < 520")
    box = painting.page.locator("#paint").bounding_box()
    assert box is not None
    corners = [*painting.on_screen(0, 0), *painting.on_screen(64, 48)]
    assert corners[0] >= box["x"] and corners[1] >= box["y"]
    assert corners[2] <= box["x"] + box["width"] and corners[3] <= box["y"] + box["height"]


def test_exposure_and_view_change_the_plate_alone(painting: Painting) -> None:
    painting.wait_for("paintPage.plate.isComplete")
    labels, dark = painting.labels(), painting.page.locator("#paint").screenshot()
    painting.value(
        """(() => { const one = document.querySelector("#exposure"); one.value = "3";
        one.dispatchEvent(new Event("input")); })()"""
    )
    painting.wait_for("paintPage.plate.isComplete && paintPage.plate.stops === 3")
    wait_for_paint(painting.page)
    bright = painting.page.locator("#paint").screenshot()
    assert _mean(bright) > _mean(dark) + 10
    assert painting.labels() == labels
    names = painting.page.locator("#view option").all_inner_texts()
    assert names[0].startswith("ACES")


def _mean(png: bytes) -> float:
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return float(picture.mean())


def test_a_large_plate_comes_in_tiles(tmp_path: Path, serve: Serve, open_page: OpenPage) -> None:
    from tests.benchmarks.painting import write_shot

    folder = tmp_path / "large"
    folder.mkdir()
    write_shot(folder, 1700, 1300)
    painting = opened(serve(folder, RunSettings()), folder, open_page)
    painting.wait_for("paintPage.plate.isComplete")
    painting.page.click("#full")
    painting.brush(100)
    painting.page.keyboard.press("1")
    painting.stroke((850, 650), (900, 650))
    assert painting.label(880, 650) == 0
    assert painting.label(1190, 650) == 255
    on_server = painting.server._methods.desk  # type: ignore[attr-defined]
    painting.wait_for("paintPage.connection.backlog === 0")
    painting.page.keyboard.press("Control+s")
    painting.wait_for("document.querySelector('#message').textContent.startsWith('saved')")
    assert on_server.draft(1001).labels[650, 880] == 0
