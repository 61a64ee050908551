"""The paint page on sample shots, with the default weights: the picture in the manual, and a crop
that is painted, judged, saved and run."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.browser import IMAGES, OpenPage, assert_looks_like, picture_of, wait_for_paint
from tests.conftest import write_rgb
from tests.paint.conftest import Painting, Serve, opened
from vfxmatte.io.stills.reading import read_image
from vfxmatte.io.writers import write_labels
from vfxmatte.paint.desk import Desk
from vfxmatte.paint.guesses import guess
from vfxmatte.pipeline.shot import Shot
from vfxmatte.trimaps import labels_from_image
from vfxmatte.types import BACKGROUND, FOREGROUND, Trimap, Window

SHOT = Path(__file__).parents[2] / "sample_shots" / "furry_creature"
NUMBERS = (1001, 1002, 1003)
ROWS, COLUMNS = slice(40, 168), slice(330, 490)  # an ear against the background


@pytest.fixture
def crop(tmp_path: Path) -> Path:
    """Three frames of a part of the sample shot, with the first one's keyframe."""
    folder = tmp_path / "ear"
    window = Window.of_size(COLUMNS.stop - COLUMNS.start, ROWS.stop - ROWS.start)
    for number in NUMBERS:
        pixels = read_image(SHOT / "plate" / f"plate.{number}.exr").pixels[ROWS, COLUMNS]
        write_rgb(folder / "plate" / f"plate.{number}.exr", pixels, display=window)
    trimap = labels_from_image(read_image(SHOT / "trimaps" / "trimap.1001.png").pixels)
    labels = np.ascontiguousarray(trimap[ROWS, COLUMNS])
    painted = Trimap(number=1001, labels=labels, is_keyframe=True)
    write_labels(painted, folder / "trimaps" / "trimap.1001.png", window)
    (folder / "shot.toml").write_text('colorspace = "lin_rec709_scene"\n')
    return folder


def matte_on(painting: Painting) -> np.ndarray:
    """The matte of the crop as the page shows it, 0 to 1, once all that is visible is solved."""
    painting.page.click("#fit")
    painting.value("paintPage.live.request()")
    painting.wait_for("!paintPage.live.isBusy")
    wait_for_paint(painting.page)
    view = painting.value("[paintPage.view.left, paintPage.view.top, paintPage.view.scale]")
    shown = picture_of(painting.page.locator("#result").screenshot())[:, :, 0]
    left, top = round(view[0]), round(view[1])
    part = shown[top : top + round(128 * view[2]), left : left + round(160 * view[2])]
    return cv2.resize(part, (160, 128), interpolation=cv2.INTER_AREA) / 255.0


def test_painting_changes_the_matte_which_is_saved_and_run(
    crop: Path, serve: Serve, open_page: OpenPage
) -> None:
    painting = opened(serve(crop), crop, open_page, viewport={"width": 1000, "height": 700})
    painting.page.click("#grounds [data-ground=alpha]")
    painting.wait_for("paintPage.live.solves > 0")

    alpha = read_image(SHOT / "alpha" / "alpha.1001.exr").pixels[ROWS, COLUMNS, 0]
    solved = matte_on(painting)
    assert np.abs(solved - alpha)[4:-4, 4:-4].mean() < 0.05  # seen through a screenshot

    painting.page.keyboard.press("3")
    painting.brush(16)
    painting.stroke((130, 20), (150, 30))  # background, painted as foreground
    assert matte_on(painting)[20:30, 132:148].mean() > 0.8
    painting.page.keyboard.press("Control+z")
    assert np.abs(matte_on(painting) - solved).mean() < 0.01

    painting.page.keyboard.press("2")
    painting.stroke((130, 20), (150, 30))
    painting.page.keyboard.press("Control+s")
    painting.wait_for("document.querySelector('#message').textContent.startsWith('saved')")
    painting.page.click("#run")
    painting.wait_for("document.querySelector('#run-text').textContent.includes('3 written')")
    written = read_image(crop / "matte" / "matte.1001.exr")
    values = written.alpha if written.alpha is not None else written.pixels[:, :, -1]
    assert np.abs(values - alpha).mean() < 0.05


@pytest.mark.usefixtures("warm_children")
def test_a_portrait_starts_a_frame(tmp_path: Path) -> None:
    folder = tmp_path / "long_hair"
    shutil.copytree(SHOT.with_name("long_hair"), folder, ignore=shutil.ignore_patterns("matte"))
    with Desk(Shot.open(folder), folder) as desk:
        labels = guess(desk, 1005, "portrait", None)
    alpha = read_image(folder / "alpha" / "alpha.1005.exr").pixels[:, :, 0]
    assert (labels == FOREGROUND).mean() > 0.15
    assert alpha[labels == FOREGROUND].mean() > 0.97
    assert alpha[labels == BACKGROUND].mean() < 0.03


def test_the_page_looks_as_in_the_manual(tmp_path: Path, serve: Serve, open_page: OpenPage) -> None:
    folder = tmp_path / "furry_creature"
    shutil.copytree(SHOT, folder, ignore=shutil.ignore_patterns("matte", "alpha"))
    painting = opened(serve(folder), folder, open_page, viewport={"width": 1360, "height": 860})
    painting.wait_for("paintPage.live.solves > 0 && paintPage.plate.isComplete")
    painting.page.mouse.move(*painting.on_screen(330, 90))
    painting.wait_for("paintPage.strip.awaited === 0 && !paintPage.live.isBusy")
    painting.value("document.querySelector('#message').textContent = ''")
    painting.value("document.querySelector('#live').textContent = ''")
    wait_for_paint(painting.page)  # the panes may have another size now
    wait_for_paint(painting.page)
    assert_looks_like(painting.page.screenshot(), IMAGES / "paint.jpg")
