"""A first trimap from a box or a mask: what is found, where it is written, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.conftest import tiny_alpha, write_rgb
from tests.subjects import write_subjects
from tests.tiny_movie import write_tiny_movie
from vfxmatte.cli import commands
from vfxmatte.errors import TrimapError
from vfxmatte.io.plates import open_plate
from vfxmatte.keyframes import grabcut as first_guess
from vfxmatte.keyframes.grabcut import cut_out, default_band_px, trimap_around
from vfxmatte.keyframes.strokes import Hints, parsed_shape
from vfxmatte.pipeline.keyframes import read_keyframe
from vfxmatte.pipeline.shot import Shot
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
    assert again.exit_code == 3 and "frame 1003 has a keyframe already" in again.output
    run = ["run", str(tiny_shot), "--engine", "trimap", "--quiet"]
    assert CliRunner().invoke(commands, run).exit_code == 0


def test_a_movies_frames_and_colours_are_read_as_a_run_reads_them(tiny_shot: Path) -> None:
    shutil.rmtree(tiny_shot / "plate")
    write_tiny_movie(tiny_shot / "plate.mp4")
    place = ["--frame", 1003, "--box", BOX, "--band", 2]
    plain = guessed(tiny_shot, *place)
    assert plain.exit_code == 3 and "1003" in plain.output  # its frames are 1 to 5
    result = guessed(tiny_shot, *place, "--first-frame", 1001)
    assert result.exit_code == 0 and Shot.open(tiny_shot).keyframes.keys() == {1001, 1003, 1005}
    wrong = guessed(tiny_shot, "--frame", 2, "--box", BOX, "--colorspace", "no such space")
    assert wrong.exit_code == 3 and "no such space" in wrong.output


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
    display = Window.of_size(104, 74)
    write_rgb(tmp_path / "plate" / "plate.1001.exr", image, display=display, data=data)
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
        ([], 2, "give --box, --polygon, --mask or strokes"),
        (["--box", "1,2,3"], 2, "is not understood"),
        (["--box", "1,2,0,3"], 2, "is empty"),
        (["--box", "-1,0,20,20"], 2, "outside of the picture"),
        (["--box", "0,0,65,20"], 2, "64x48"),
        (["--box", "0,0,64,48"], 3, "the whole picture"),
        (["--box", BOX, "--band", "-2"], 2, "must not be negative"),
        (["--box", BOX, "--band", "0"], 2, "--band 0 would leave nothing unknown"),
        (["--box", BOX, "--band", "nan"], 2, "--band must be a number of pixels, found nan"),
        (["--box", BOX, "--band", "inf"], 2, "--band must be a number of pixels, found inf"),
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


# -- polygons and strokes ----------------------------------------------------------------------

FG, BG = "26,16,34,32:2", "4,4,60,4:2"
AROUND = ("2,44,62,44:2", "60,8,60,40:2", "3,8,3,40:2")


def labels_of(folder: Path) -> np.ndarray:
    return np.asarray(cv2.imread(str(folder / "trimap.1003.png"), 0))


def test_a_polygon_does_what_a_box_does(tiny_shot: Path, tmp_path: Path) -> None:
    corners = "8,6,46,6,46,44,8,44"  # of BOX
    halves = ["--polygon", "8,6 46,6 46,25 8,25", "--polygon", "8,25,46,25,46,44,8,44"]
    for name, words in (("b", ["--box", BOX]), ("p", ["--polygon", corners]), ("h", halves)):
        made = guessed(tiny_shot, "--frame", 1003, *words, "-o", tmp_path / name)
        assert made.exit_code == 0, made.output
        np.testing.assert_array_equal(labels_of(tmp_path / name), labels_of(tmp_path / "b"))
    triangle = Hints(polygons=(parsed_shape("0,0,8,0,0,8", "it"),))
    window = Window.of_size(10, 10)
    assert triangle.masks(window, window)[2].sum() == 28  # pixels whose centres lie in it


def test_strokes_without_an_outline_find_the_subject(tiny_shot: Path, tmp_path: Path) -> None:
    ground = [word for text in (BG, *AROUND) for word in ("--bg-stroke", text)]
    words = ["--frame", 1003, "--band", 2, "--fg-stroke", FG, *ground]
    result = guessed(tiny_shot, *words, "-o", tmp_path / "typed")
    assert result.exit_code == 0, result.output
    labels, alpha = labels_of(tmp_path / "typed"), tiny_alpha(2)
    assert (alpha[labels == FOREGROUND] > 0.5).mean() > 0.97
    assert (alpha[labels == BACKGROUND] < 0.5).mean() > 0.97
    assert (labels == FOREGROUND).sum() > 0.7 * (alpha > 0.98).sum()
    strokes = {
        "foreground": [{"points": [[26, 16], [34, 32]], "radius": 2}],
        "background": [
            {"points": [[4, 4], [60, 4]], "radius": 2},
            {"points": [[2, 44], [62, 44]], "radius": 2},
            {"points": [[60, 8], [60, 40]], "radius": 2},
            {"points": [[3, 8], [3, 40]], "radius": 2},
        ],
    }
    (tmp_path / "strokes.json").write_text(json.dumps(strokes))
    words = ["--frame", 1003, "--band", 2, "--strokes", tmp_path / "strokes.json"]
    assert guessed(tiny_shot, *words, "-o", tmp_path / "read").exit_code == 0
    np.testing.assert_array_equal(labels_of(tmp_path / "read"), labels)


def test_strokes_are_certain_wherever_they_are(tiny_shot: Path, tmp_path: Path) -> None:
    """One in the ground, outside of the box, and one across the subject."""
    words = ["--box", BOX, "--fg-stroke", "56,10:2", "--bg-stroke", "30,20,30,28:2"]
    result = guessed(tiny_shot, "--frame", 1003, "--band", 2, *words, "-o", tmp_path / "k")
    assert result.exit_code == 0, result.output
    labels = labels_of(tmp_path / "k")
    assert labels[10, 56] == FOREGROUND and (labels[20:28, 30] == BACKGROUND).all()
    assert (labels[40:, 50:] == BACKGROUND).all()


def test_without_an_outline_only_what_a_stroke_touches_is_taken() -> None:
    image, inside = subject()
    image[:12, :12] = image[45, 60]  # a patch of the subject's colour in the corner
    foreground, background = np.zeros_like(inside), np.zeros_like(inside)
    foreground[40:50, 58:62] = True
    background[80:84, 10:110] = background[20:60, 110:114] = True
    cut = cut_out(image, np.ones_like(inside), foreground=foreground, background=background)
    assert not cut[:12, :12].any()
    assert np.count_nonzero(cut != inside) < 0.1 * np.count_nonzero(inside)


def test_strokes_on_the_background_alone_are_refused(tiny_shot: Path, tmp_path: Path) -> None:
    words = ["--frame", 1003, "--bg-stroke", BG, "-o", tmp_path / "k"]
    result = guessed(tiny_shot, *words)
    assert result.exit_code == 2 and not (tmp_path / "k").exists()
    assert "do not say where the subject is" in result.output and "--fg-stroke" in result.output
    assert guessed(tiny_shot, *words, "--box", BOX).exit_code == 0


def test_strokes_that_take_most_of_the_picture_are_refused(tiny_shot: Path, tmp_path: Path) -> None:
    """They were mixed up, here: the ground is taken. With an outline it is what was asked for."""
    words = ["--frame", 1003, "--fg-stroke", BG, "--bg-stroke", FG, "-o", tmp_path / "k"]
    result = guessed(tiny_shot, *words)
    assert result.exit_code == 3 and not (tmp_path / "k").exists()
    assert "% of the picture" in result.output and "tiny shot, frame 1003" in result.output
    assert "add strokes on the background" in result.output
    assert guessed(tiny_shot, *words, "--box", "0,0,64,48").exit_code == 0


def test_no_keyframe_is_written_beside_the_folders_of_subjects(tmp_path: Path) -> None:
    folder, trimaps = write_subjects(tmp_path / "two"), tmp_path / "two" / "trimaps"
    place = ["--frame", 1003, "--box", "16,8,44,44"]
    for words in ([], ["-o", trimaps]):
        result = guessed(folder, *place, *words)
        assert result.exit_code == 2 and f"-o {trimaps / 'cat'}" in result.output, result.output
        assert "(cat, dog)" in result.output and "two" in result.output
    assert list(Shot.open(folder).subjects) == ["cat", "dog"]
    assert guessed(folder, *place, "-o", trimaps / "cat").exit_code == 0
    assert list(Shot.open(folder).subjects["cat"]) == [1001, 1003, 1008]


def test_coordinates_count_from_what_is_displayed() -> None:
    hints = Hints(foreground=(parsed_shape("10,5:1", "dot"),))
    display, canvas = Window.of_size(20, 10), Window(x_min=-8, y_min=-4, x_max=27, y_max=13)
    foreground, _, _ = hints.masks(display, canvas)
    rows, columns = np.nonzero(foreground)
    assert foreground.shape == (18, 36)
    assert abs(rows.mean() + 0.5 - 9) <= 0.5 and abs(columns.mean() + 0.5 - 18) <= 0.5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fg-stroke", "26,16,34"], "--fg-stroke 1 has 3 numbers"),
        (["--fg-stroke", ""], "--fg-stroke 1 has 0 numbers"),
        (["--fg-stroke", "26,16", "--fg-stroke", "26,sixteen"], "--fg-stroke 2: 'sixteen'"),
        (["--fg-stroke", "26,nan"], "'nan' is not a number"),
        (["--fg-stroke", "26,16,70,20"], "--fg-stroke 1, point 2: 70,20 lies outside"),
        (["--bg-stroke", "-1,16"], "--bg-stroke 1, point 1: -1,16 lies outside"),
        (["--fg-stroke", "26,16:0"], "a radius is above 0"),
        (["--fg-stroke", "26,16:wide"], "radius: 'wide' is not a number"),
        (["--polygon", "8,6,46,6"], "--polygon 1 has 2 points, and needs 3"),
        (["--polygon", "8,6,46,6,20,6"], "--polygon 1 is empty"),
        (["--polygon", "8,6,46,6,46,49"], "--polygon 1, point 3: 46,49 lies outside"),
        (["--fg-stroke", FG, "--bg-stroke", "30,10,30,40"], "overlap at"),
        (["--mask", "{mask}", "--polygon", "8,6,46,6,46,44"], "either --mask, or"),
        (["--strokes", "{file}"], "cannot be read"),
    ],
)
def test_wrong_shapes_are_named(
    tiny_shot: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    for name in ("mask", "file"):
        (tmp_path / name).write_bytes(b"{")
    words = [text.format(mask=tmp_path / "mask", file=tmp_path / "file") for text in arguments]
    result = guessed(tiny_shot, "--frame", "1003", *words)
    assert result.exit_code == 2 and said in result.output, result.output
    assert len(list((tiny_shot / "trimaps").iterdir())) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([[1, 2]], "are a JSON object"),
        ({"forground": []}, "there is no forground"),
        ({"foreground": {"points": [[1, 2]]}}, "foreground is a list"),
        ({"foreground": [{"points": [[1, 2]], "width": 3}]}, "foreground 1 is no shape"),
        ({"background": [[[1, 2], [3]]]}, "background 1, point 2 is not [x, y]"),
        ({"background": [[[1, 2], [3, "x"]]]}, "background 1, point 2: 'x' is not a number"),
        ({"background": [[[1, 2], [3, True]]]}, "background 1, point 2: True is not a number"),
        ({"background": [[]]}, "background 1 has 0 points"),
        ({"polygons": [[[1, 1], [9, 1], [9, 9]], [[1, 1], [9, 99], [9, 9]]]},
         "polygons 2, point 2: 9,99 lies outside"),
    ],
)  # fmt: skip
def test_a_wrong_file_of_strokes_names_file_shape_and_point(
    tiny_shot: Path, tmp_path: Path, content: object, said: str
) -> None:
    (tmp_path / "mine.json").write_text(json.dumps(content))
    result = guessed(tiny_shot, "--frame", "1003", "--strokes", tmp_path / "mine.json")
    assert result.exit_code == 2 and said in result.output, result.output
    assert "mine.json" in result.output
