"""A first trimap from a box or a mask: what is found, where it is written, what is refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.conftest import tiny_alpha
from vfxmatte.cli import commands
from vfxmatte.errors import TrimapError
from vfxmatte.io.plates import open_plate
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.keyframes import grabcut as first_guess
from vfxmatte.keyframes.grabcut import cut_out, default_band_px, trimap_around
from vfxmatte.pipeline.shot import Shot, read_keyframe
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, Window

BOX = "8,6,38,38"


def guessed(shot: Path, *arguments: object) -> Result:
    return CliRunner().invoke(commands, ["trimap", "grabcut", str(shot), *map(str, arguments)])


def subject(height: int = 90, width: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """A warm disc on a cold ground with some noise, and where it is."""
    y, x = np.mgrid[0:height, 0:width]
    inside = np.hypot(y - height / 2, x - width / 2) < height / 4
    noise = np.random.default_rng(0).normal(0, 0.03, (height, width, 3))
    colours = np.where(inside[..., None], (0.9, 0.5, 0.1), (0.1, 0.3, 0.6))
    return (colours + noise).astype(np.float32), inside


def box(height: int, width: int, margin: int) -> np.ndarray:
    region = np.zeros((height, width), bool)
    region[margin:-margin, margin:-margin] = True
    return region


@pytest.mark.parametrize("most_px", [640_000, 5000])  # with the second it is solved at 0.4 of it
def test_the_subject_is_found(most_px: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_guess, "_MOST_PX", most_px)
    image, inside = subject(150, 200)
    cut = cut_out(image, box(150, 200, 16))
    assert np.count_nonzero(cut != inside) < 0.06 * np.count_nonzero(inside)
    np.testing.assert_array_equal(cut, cut_out(image, box(150, 200, 16)))


def test_the_band_lies_on_the_edge_and_within_reach_of_the_region() -> None:
    _, inside = subject()
    labels = trimap_around(inside, box(90, 120, 10), 4)
    assert (labels[inside] != BACKGROUND).all() and (labels[~inside] != FOREGROUND).all()
    row = labels[45]
    assert (np.flatnonzero(row == UNKNOWN) < 60).sum() in range(7, 11)
    tight = inside.copy()
    assert np.array_equal(trimap_around(inside, tight, 4), labels)
    assert default_band_px(1080) == 16 and default_band_px(48) == 3


def test_results_without_anything_certain_are_refused() -> None:
    image, inside = subject()
    flat = np.full_like(image, 0.4)
    with pytest.raises(TrimapError, match="the region is empty"):
        cut_out(image, np.zeros_like(inside))
    with pytest.raises(TrimapError, match="the whole picture"):
        cut_out(image, np.ones_like(inside))
    few = np.zeros_like(inside)
    few[4:7, 4:7] = True
    with pytest.raises(TrimapError, match="nothing stands out"):
        cut_out(flat, few)
    with pytest.raises(TrimapError, match="thinner than twice 30 px"):
        trimap_around(inside, box(90, 120, 10), 30)


def test_a_keyframe_is_written_that_a_run_takes(tiny_shot: Path) -> None:
    result = guessed(tiny_shot, "--frame", 1003, "--box", BOX, "--band", 2)
    assert result.exit_code == 0, result.output
    assert "% unknown, band 2 px" in result.output and "paint over" in result.output
    shot = Shot.open(tiny_shot)
    assert list(shot.keyframes) == [1001, 1003, 1005]
    with open_plate(shot.plate) as plate:
        labels = read_keyframe(shot.keyframes[1003], 1003, plate.info).labels
    alpha = tiny_alpha(2)
    assert (alpha[labels == FOREGROUND] > 0.5).mean() > 0.97
    assert (alpha[labels == BACKGROUND] < 0.5).mean() > 0.97
    again = guessed(tiny_shot, "--frame", 1003, "--box", BOX)
    assert again.exit_code == 3 and "have a keyframe already" in again.output
    run = ["run", str(tiny_shot), "--engine", "trimap", "--quiet"]
    assert CliRunner().invoke(commands, run).exit_code == 0


def test_a_mask_does_what_a_box_does(tiny_shot: Path, tmp_path: Path) -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[6:44, 8:46] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    by_mask = guessed(
        tiny_shot, "--frame", 1003, "--mask", tmp_path / "mask.png", "-o", tmp_path / "m"
    )
    by_box = guessed(tiny_shot, "--frame", 1003, "--box", BOX, "-o", tmp_path / "b")
    assert by_mask.exit_code == by_box.exit_code == 0
    first, second = (cv2.imread(str(tmp_path / x / "trimap.1003.png"), 0) for x in "mb")
    np.testing.assert_array_equal(first, second)
    cv2.imwrite(str(tmp_path / "small.png"), mask[:24])
    wrong = guessed(tiny_shot, "--frame", 1002, "--mask", tmp_path / "small.png")
    assert wrong.exit_code == 3 and "64x24" in wrong.output and "small.png" in wrong.output


def test_the_canvas_of_a_plate_with_overscan_is_covered(tmp_path: Path) -> None:
    """Data window 8 px wider than the display window: boxes count from what is shown."""
    image, inside = subject()
    data = Window(x_min=-8, y_min=-8, x_max=111, y_max=81)
    planes = {name: image[:, :, i].astype(np.float16) for i, name in enumerate("RGB")}
    plate = tmp_path / "plate"
    plate.mkdir()
    write_exr(plate / "plate.1001.exr", planes, data_window=data,
              display_window=Window.of_size(104, 74), attributes={})  # fmt: skip
    result = guessed(tmp_path, "--frame", 1001, "--box", "12,12,80,50", "--band", 3)
    assert result.exit_code == 0, result.output
    labels = cv2.imread(str(tmp_path / "trimaps" / "trimap.1001.png"), 0)
    assert labels.shape == (90, 120)
    assert (inside[labels == FOREGROUND]).all() and not (inside[labels == BACKGROUND]).any()
    outside = guessed(tmp_path, "--frame", 1001, "--box", "12,12,93,50", "-o", tmp_path / "x")
    assert outside.exit_code == 2 and "which is 104x74" in outside.output


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "either --box or --mask"),
        (["--box", "1,2,3"], 2, "is not understood"),
        (["--box", "1,2,0,3"], 2, "is empty"),
        (["--box", "-1,0,20,20"], 2, "outside of the picture"),
        (["--box", "0,0,65,20"], 2, "64x48"),
        (["--box", "0,0,64,48"], 3, "the whole picture"),
        (["--box", BOX, "--band", "-2"], 2, "must not be negative"),
        (["--box", BOX, "--band", "20"], 3, "thinner than twice 20 px"),
        (["--box", BOX, "--frame", "1009"], 3, "1009"),
    ],
)
def test_wrong_use_is_refused_and_nothing_written(
    tiny_shot: Path, arguments: list[str], code: int, message: str
) -> None:
    result = guessed(tiny_shot, "--frame", "1003", *arguments)
    assert result.exit_code == code and message in result.output, result.output
    assert len(list((tiny_shot / "trimaps").iterdir())) == 2
