"""The file of the review page: its size, what it shows first, and its picture in the README."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.browser import IMAGES, OpenPage, assert_looks_like, wait_for_paint, wait_until
from tests.pages.test_review_page import press, review, shown
from tests.review.test_proxies import SIZE, difference, grainy_frame
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.io.writers import write_labels
from vfxmatte.journal.chunks import main_journal
from vfxmatte.journal.records import FrameRecord, append
from vfxmatte.review.figures import CHECKS
from vfxmatte.review.flags import FrameReview
from vfxmatte.review.page import MOST_BYTES, PICTURES_BYTES, PageContent, write_page
from vfxmatte.review.proxies import Proxies
from vfxmatte.trimaps import from_matte
from vfxmatte.types import Trimap, Window

SAMPLE = Path(__file__).parents[2] / "sample_shots" / "furry_creature"


@pytest.fixture(scope="module")
def long_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 frames of HD: a few as costly as footage, over and over."""
    numbers = range(1001, 1201)
    proxies = Proxies(len(numbers), SIZE, PICTURES_BYTES, takes=1)
    few = [proxies.add(grainy_frame(i), difference(i)) for i in range(4)]
    values: dict[str, float | None] = dict.fromkeys(CHECKS, 0.123456)
    frames = [
        FrameReview(number=n, is_keyframe=False, values=values, flags=(), problems=())
        for n in numbers
    ]
    page = tmp_path_factory.mktemp("long") / "review.html"
    write_page(
        page,
        PageContent(
            shot="long",
            take="matte",
            other=None,
            facts=(),
            notes=(),
            size=proxies.size,
            full_size=(1920, 1080),
            fps=24,
            frames=frames,
            other_frames=None,
            planes={n: few[n % len(few)] for n in numbers},
            failures={},
        ),
    )
    return page


def test_200_frames_of_hd_are_one_small_file(long_page: Path) -> None:
    assert 5_000_000 < long_page.stat().st_size <= MOST_BYTES


class StallingServer:
    """Serves a page up to a mark, and the rest once `released` is set."""

    def __init__(self, page: bytes, mark: bytes) -> None:
        self.released = released = threading.Event()
        end = page.index(mark)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(page[:end])
                self.wfile.flush()
                released.wait(60)
                self.wfile.write(page[end:])

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}/"

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def stalling(long_page: Path) -> Iterator[StallingServer]:
    """The long page, of which two frames have come."""
    server = StallingServer(long_page.read_bytes(), b'<script type="text/plain" id="1003-')
    yield server
    server.close()


def test_the_first_picture_does_not_wait_for_the_others(
    stalling: StallingServer, open_page: OpenPage
) -> None:
    page = shown(open_page(stalling.address, wait_until="commit"), 1001)
    assert page.evaluate("document.readyState") == "loading"
    press(page, "End")
    assert page.evaluate("document.documentElement.dataset.shown") == "1001"
    stalling.released.set()
    shown(page, 1200)
    wait_until(page, "document.readyState === 'complete'")
    assert page.evaluate("review.store.kept") <= 16


@pytest.fixture(scope="module")
def sample_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of a sample shot with their exact alpha as mattes, and a leak in one of them."""
    shot = tmp_path_factory.mktemp("sample") / "furry_creature"
    shutil.copytree(SAMPLE / "trimaps", shot / "trimaps")
    (shot / "shot.toml").write_text('colorspace = "lin_rec709_scene"\nfps = 24\n', encoding="utf-8")
    window, records = Window.of_size(640, 360), []
    for number in range(1001, 1013):
        (shot / "plate").mkdir(exist_ok=True)
        shutil.copy(SAMPLE / "plate" / f"plate.{number}.exr", shot / "plate")
        alpha = read_matte(SAMPLE / "alpha" / f"alpha.{number}.exr", window)
        labels = from_matte(alpha, erode_px=7, dilate_px=7)
        if number == 1007:
            cv2.ellipse(labels, (165, 215), (70, 48), 60, 0, 360, 128, -1)
            cv2.ellipse(alpha, (165, 215), (62, 40), 60, 0, 360, 0.85, -1, cv2.LINE_AA)
            alpha = np.maximum(alpha, cv2.GaussianBlur(alpha, (0, 0), 9) * (labels == 128))
        trimap = Trimap(number=number, labels=labels, is_keyframe=False)
        write_labels(trimap, shot / "matte" / "trimaps" / f"trimap.{number}.png", window)
        records.append(
            FrameRecord(
                number=number, fingerprint="", stats={"confidence": 1 - 0.06 * (number - 1001)}
            )
        )
        write_exr(
            shot / "matte" / f"matte.{number}.exr",
            {"A": alpha.astype(np.float16)},
            data_window=window,
            display_window=window,
            attributes={},
        )
    journal = main_journal(shot / "matte")
    journal.parent.mkdir()
    append(journal, records)
    return review(shot)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_it_looks_as_in_the_readme(sample_page: Path, open_page: OpenPage, theme: str) -> None:
    page = shown(open_page(sample_page, color_scheme=theme, reduced_motion="reduce"), 1001)
    press(page, "n")
    shown(page, 1007)
    page.locator("#backgrounds").get_by_role("button", name="colour", exact=True).click()
    page.locator("#second").select_option("own plate")
    page.evaluate("review.wipe = 0.62; review.picture.redraw(); document.activeElement.blur()")
    wait_until(page, "review.strip.awaited === 0")
    wait_for_paint(page)
    name = "review.jpg" if theme == "dark" else "review_light.jpg"
    assert_looks_like(page.screenshot(), IMAGES / name)
