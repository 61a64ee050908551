"""The time from a stroke to its paint on the paint page, in headless Chromium.

    python -m tests.benchmarks.painting --size 4096x2160

Paints circles on a plate of that size with brushes of several sizes, whole picture and pixel for
pixel. The time of a move is that from the pointer's event, as the browser stamps it, to the end of
its painting on the canvas; "shown" also waits for the frame after it.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from tests.browser import OPTIONS, chromium_path
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.io.writers import write_labels
from vfxmatte.paint.desk import Desk
from vfxmatte.paint.server import PaintServer
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import FOREGROUND, UNKNOWN, Trimap, Window

if TYPE_CHECKING:
    from playwright.sync_api import Page

_NUMBER = 1001
_MOVES = 150  # of a stroke
_PACE_SECONDS = 1 / 120  # between moves, as a tablet sends them
_WATCH = """() => {
  const easel = paintPage.easel;
  easel.latencies = [];
  window.shown = [];
  const moved = (event) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => shown.push(performance.now() - event.timeStamp);
    channel.port2.postMessage(0);
  });
  if (!window.watching) easel.host.addEventListener("pointermove", moved);
  window.watching = true;
}"""


@click.command()
@click.option("--size", default="4096x2160", show_default=True, help="Of the plate.")
@click.option("--diameters", default="20,80,300", show_default=True, help="Of brushes, in px.")
def command(size: str, diameters: str) -> None:
    """Measure how soon a stroke shows on the paint page."""
    from playwright.sync_api import sync_playwright

    width, height = (int(side) for side in size.split("x"))
    folder = Path(tempfile.mkdtemp(prefix="vfxmatte-painting-"))
    write_shot(folder, width, height)
    shot = Shot.open(folder)
    with Desk(shot, folder) as desk, sync_playwright() as playwright:
        server = PaintServer(desk, warm=False)
        serving = threading.Thread(target=server.serve, kwargs={"browser": False})
        serving.start()
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=OPTIONS)
        page = chromium.new_page(viewport={"width": 1440, "height": 900})
        page.goto(server.address)
        page.wait_for_selector("html[data-ready=true]")
        click.echo(f"{size}, {chromium.version}; milliseconds from the pointer's event")
        click.echo("zoom     brush     moves   painted 50 %   95 %   shown 50 %   95 %")
        for zoom in ("fit", "full"):
            page.click(f"#{zoom}")
            for diameter in diameters.split(","):
                painted, shown = measured(page, int(diameter))
                click.echo(f"{zoom:5} {diameter:>6} px  {len(painted):8}"
                           f"{_share(painted, 50):12.1f} {_share(painted, 95):9.1f}"
                           f"{_share(shown, 50):10.1f} {_share(shown, 95):9.1f}")  # fmt: skip
        chromium.close()
        server.stop()
        serving.join()
        server.close()
    shutil.rmtree(folder)


def write_shot(folder: Path, width: int, height: int) -> None:
    """Write a shot of one frame: noise, and a disc with a band around it."""
    window = Window.of_size(width, height)
    noise = np.random.default_rng(1).random((height, width), np.float32).astype(np.float16)
    (folder / "plate").mkdir()
    write_exr(
        folder / "plate" / f"plate.{_NUMBER}.exr",
        dict.fromkeys("RGB", noise),
        data_window=window,
        display_window=window,
        attributes={},
    )
    y, x = np.mgrid[:height, :width]
    away = np.hypot(x - width / 2, y - height / 2) / height
    labels = np.where(away < 0.3, FOREGROUND, np.where(away < 0.36, UNKNOWN, 0)).astype(np.uint8)
    trimap = Trimap(number=_NUMBER, labels=labels, is_keyframe=True)
    write_labels(trimap, folder / "trimaps" / f"trimap.{_NUMBER}.png", window)


def measured(page: Page, diameter: int) -> tuple[list[float], list[float]]:
    """Paint a circle; return milliseconds to the paint, and to the frame that shows it."""
    page.evaluate(f"paintPage.easel.resize({diameter / 2})")
    page.evaluate(_WATCH)
    box: Any = page.locator("#paint").bounding_box()
    centre = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    radius = 0.4 * min(box["width"], box["height"])
    page.mouse.move(centre[0] + radius, centre[1])
    page.mouse.down()
    due = time.monotonic()
    for step in range(_MOVES):
        angle = 4 * math.pi * step / _MOVES
        page.mouse.move(centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle))
        due += _PACE_SECONDS
        time.sleep(max(0.0, due - time.monotonic()))
    page.mouse.up()
    page.wait_for_timeout(200)
    return page.evaluate("paintPage.easel.latencies"), page.evaluate("window.shown")


def _share(values: list[float], percent: float) -> float:
    return float(np.percentile(values, percent))


if __name__ == "__main__":
    command()
