"""Clean plates that the user has: under every frame, checked, and part of what decides mattes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.conftest import write_rgb
from tests.pipeline.test_control_callers import job
from tests.pipeline.test_limit_movies import movie
from vfxmatte.cli import commands
from vfxmatte.colour import ColourConfig, decode_srgb
from vfxmatte.errors import UsageError
from vfxmatte.io.movie_plate import MoviePlate
from vfxmatte.io.writers import write_labels
from vfxmatte.pipeline.clean_plates import CleanPlateReader, CleanPlates
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.subject_shots import subject_shots
from vfxmatte.serve.engine_cache import EngineCache
from vfxmatte.serve.params import Params
from vfxmatte.serve.requests import FrameRequest
from vfxmatte.serve.work import frame_steps
from vfxmatte.trimaps import from_matte
from vfxmatte.types import BACKGROUND, UNKNOWN, FloatImage, Frame, Trimap, Window

HEIGHT, WIDTH, NUMBERS = 96, 160, range(1001, 1010)
WINDOW = Window.of_size(WIDTH, HEIGHT)


def texture(seed: int, mean: float) -> FloatImage:
    noise = np.random.default_rng(seed).normal(0, 0.3, (HEIGHT, 2 * WIDTH, 3)).astype(np.float32)
    return np.clip(mean + cv2.GaussianBlur(noise, (0, 0), 2), 0, 1).astype(np.float32)


WALL, COAT = texture(1, 0.4), texture(2, 0.45)


def wall(number: int) -> FloatImage:
    """The background under a camera that pans."""
    shift = 3 * (number - NUMBERS[0])
    return WALL[:, shift : shift + WIDTH]


def alpha(number: int) -> FloatImage:
    """A bar that turns about its middle."""
    matte = np.zeros((HEIGHT, WIDTH), np.float32)
    turn = 20.0 * (number - NUMBERS[0])
    cv2.ellipse(matte, (80, 48), (38, 14), turn, 0, 360, 1.0, -1)
    return cv2.GaussianBlur(matte, (0, 0), 0.8).astype(np.float32)


def linear(encoded: FloatImage) -> FloatImage:
    return decode_srgb(np.asarray(encoded, np.float32))


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    folder = tmp_path / "bar"
    for number in NUMBERS:
        share = alpha(number)[..., None]
        picture = share * linear(COAT[:, :WIDTH]) + (1 - share) * linear(wall(number))
        write_rgb(folder / "plate" / f"plate.{number}.exr", picture, display=WINDOW)
        if number in (NUMBERS[0], NUMBERS[-1]):
            labels = from_matte(alpha(number), erode_px=3, dilate_px=3)
            key = Trimap(number=number, labels=labels, is_keyframe=True)
            write_labels(key, folder / "trimaps" / f"trimap.{number}.png", WINDOW)
    return folder


def write_clean(place: Path, numbers: range = NUMBERS) -> None:
    for number in numbers:
        write_rgb(place / f"clean.{number}.exr", linear(wall(number)), display=WINDOW)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(commands, [str(one) for one in arguments])


def run(shot: Path, *options: object) -> Result:
    result = invoke("run", shot, "--engine", "trimap", "--json", *options)
    assert result.exit_code == 0, result.output
    return result


def carried(shot: Path) -> np.ndarray[Any, Any]:
    """The carried trimap of the frame in the middle."""
    labels = cv2.imread(str(shot / "matte" / "trimaps" / "trimap.1005.png"), cv2.IMREAD_GRAYSCALE)
    assert labels is not None
    return labels


def unknown(shot: Path) -> int:
    return int(np.count_nonzero(carried(shot) == UNKNOWN))


def statuses(result: Result) -> dict[int, str]:
    events = [json.loads(line) for line in result.stdout.splitlines()]
    return {e["frame"]: e["status"] for e in events if e["event"] == "frame"}


def test_unknown_pixels_that_show_the_clean_plate_are_background(shot: Path) -> None:
    run(shot)
    before, without = unknown(shot), carried(shot)
    write_clean(shot / "cleanplate")
    found = statuses(run(shot))
    assert {n for n, status in found.items() if status == "kept"} == {1001, 1009}
    assert unknown(shot) < 0.9 * before
    gone = (carried(shot) == BACKGROUND) & (without != BACKGROUND)
    assert alpha(1005)[gone].max() < 0.1


def test_another_clean_plate_makes_its_segments_frames_stale(shot: Path) -> None:
    write_clean(shot / "cleanplate")
    run(shot)
    assert set(statuses(run(shot)).values()) == {"kept"}
    write_rgb(shot / "cleanplate" / "clean.1005.exr", linear(wall(1005)) * 2, display=WINDOW)
    again = {n for n, status in statuses(run(shot)).items() if status != "kept"}
    assert again == set(NUMBERS) - {1001, 1009}


def test_what_there_is_and_what_lacks_one_is_told(shot: Path) -> None:
    write_clean(shot / "cleanplate", range(1001, 1008))
    said = invoke("check", shot).output
    assert f"clean plate on frames 1001-1007: {shot / 'cleanplate' / 'clean.####.exr'}" in said
    assert "frames 1008-1009 have no clean plate" in said
    run(shot)
    manifest = json.loads((shot / "matte" / "manifest.json").read_text(encoding="utf-8"))
    assert any(note.startswith("clean plate on frames 1001-1007") for note in manifest["notes"])


def test_one_that_is_not_the_background_is_left_out_and_told(shot: Path) -> None:
    run(shot)
    before = unknown(shot)
    foreign = np.random.default_rng(9).random((HEIGHT, WIDTH, 3), np.float32)
    write_rgb(shot / "cleanplate" / "clean.exr", foreign, display=WINDOW)
    said = run(shot).stdout
    assert "the clean plate of keyframe 1001 is not its background" in said
    assert unknown(shot) == before


def test_those_that_no_keyframe_can_check_are_left_out_and_told(shot: Path) -> None:
    run(shot)
    before = unknown(shot)
    write_clean(shot / "cleanplate", range(1003, 1006))
    told = "clean plates 1003-1005 are left out: neither keyframe 1001 nor 1009 has one"
    assert told in invoke("check", shot).output
    assert told in run(shot).stdout
    assert unknown(shot) == before


@pytest.mark.parametrize("place", ["option", "settings"])
def test_it_may_lie_anywhere(shot: Path, place: str) -> None:
    run(shot)
    before = unknown(shot)
    write_clean(shot / "roto" / "behind")
    options: tuple[object, ...] = ("--cleanplate", shot / "roto" / "behind")
    if place == "settings":
        (shot / "shot.toml").write_text('cleanplate = "roto/behind"\n', encoding="utf-8")
        options = ()
    run(shot, *options)
    assert unknown(shot) < 0.9 * before


def test_bad_ones_are_refused_before_anything_is_done(shot: Path) -> None:
    small = np.zeros((48, 80, 3), np.float32)
    path = shot / "cleanplate" / "clean.exr"
    write_rgb(path, small, display=Window.of_size(80, 48))
    for command in ("check", "run"):
        result = invoke(command, shot, "--engine", "trimap")
        assert result.exit_code == 3
        assert "the clean plate is 80x48, the plate 160x96" in result.output
        assert str(path) in result.output
    path.unlink()
    for number in (1, 2, 3):
        path = shot / "cleanplate" / f"clean.{number:04d}.exr"
        write_rgb(path, linear(wall(1001)), display=WINDOW)
    result = invoke("run", shot, "--engine", "trimap")
    assert result.exit_code != 0 and "no clean plate stands on a frame" in result.output
    assert not list((shot / "matte").glob("matte.*"))


def test_an_unreadable_frame_fails_the_frame_that_needs_it(shot: Path) -> None:
    write_clean(shot / "cleanplate")
    path = shot / "cleanplate" / "clean.1005.exr"
    path.write_bytes(path.read_bytes()[:-400])
    result = invoke("run", shot, "--engine", "trimap", "--json")
    assert result.exit_code == 1
    assert {n for n, status in statuses(result).items() if status == "failed"} == {1005}
    assert str(path) in result.stdout
    path.write_bytes(b"")
    assert "clean plate 1005 cannot be read" in invoke("check", shot).output


def test_an_unreadable_frame_of_a_keyframe_fails_what_lies_between_keyframes(shot: Path) -> None:
    """The others are delivered, as where the clean plate of another frame is unreadable."""
    middle = Trimap(number=1005, labels=from_matte(alpha(1005), erode_px=3, dilate_px=3),
                    is_keyframe=True)  # fmt: skip
    write_labels(middle, shot / "trimaps" / "trimap.1005.png", WINDOW)
    write_clean(shot / "cleanplate")
    path = shot / "cleanplate" / "clean.1009.exr"
    path.write_bytes(path.read_bytes()[:-400])
    result = invoke("run", shot, "--engine", "trimap", "--json")
    assert result.exit_code == 1
    failed = {n for n, status in statuses(result).items() if status == "failed"}
    assert failed == {1006, 1007, 1008}
    start, *events = (json.loads(line) for line in result.stdout.splitlines())
    texts = json.dumps([start, *(event for event in events if event["event"] == "note")])
    assert "clean plate of keyframe 1009 cannot be read" in texts
    for event in events:
        if event["event"] == "frame" and event["status"] == "failed":
            assert event["error"]["path"] == str(path) and "bar" in str(event["error"]["shot"])


def test_an_unreadable_still_is_told_with_the_frame_it_is_behind(shot: Path) -> None:
    path = shot / "cleanplate" / "clean.0007.exr"
    write_rgb(path, linear(wall(1001)), display=WINDOW)
    path.write_bytes(path.read_bytes()[:-400])
    result = invoke("run", shot, "--engine", "trimap")
    assert result.exit_code == 3
    assert f"[shot bar, frame 1001, file {path}]" in " ".join(result.output.split())


def test_a_still_stands_beside_other_versions(shot: Path) -> None:
    write_rgb(shot / "comp" / "clean_v001.exr", np.zeros((48, 80, 3), np.float32),
              display=Window.of_size(80, 48))  # fmt: skip
    still = shot / "comp" / "clean_v002.exr"
    write_rgb(still, linear(wall(1001)), display=WINDOW)
    said = run(shot, "--cleanplate", still).stdout
    assert f"clean plate on every frame: {still}" in said


def test_display_windows_are_laid_on_each_other(shot: Path) -> None:
    write_clean(shot / "cleanplate")
    run(shot)
    expected = carried(shot)
    window = Window(x_min=100, y_min=-50, x_max=99 + WIDTH, y_max=HEIGHT - 51)
    for number in NUMBERS:
        path = shot / "cleanplate" / f"clean.{number}.exr"
        write_rgb(path, linear(wall(number)), display=window)
    run(shot)
    assert np.array_equal(carried(shot), expected)


def test_outside_its_data_window_it_shows_nothing(shot: Path) -> None:
    run(shot, "--set", "propagation.clean_plate.moving=false")
    without = carried(shot)
    patch = Window(x_min=0, y_min=0, x_max=79, y_max=HEIGHT - 1)
    for number in NUMBERS:
        path = shot / "cleanplate" / f"clean.{number}.exr"
        write_rgb(path, linear(wall(number))[:, :80], display=WINDOW, data=patch)
    run(shot)
    found = carried(shot)
    assert np.count_nonzero(found[:, :80] != without[:, :80]) > 300
    assert np.array_equal(found[:, 84:], without[:, 84:])  # doubts are grown a little
    assert not ((found == BACKGROUND) & (without != BACKGROUND))[:, 80:].any()


def test_a_movie_is_decoded_once_in_whatever_order_frames_are_asked_for(
    shot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [np.rint(255 * wall(number)).astype(np.uint8) for number in NUMBERS]
    place = movie(shot / "cleanplate" / "clean.mkv", pictures)
    decoded: list[int] = []
    read_movie = MoviePlate.read

    def read(plate: MoviePlate, number: int) -> Frame:
        decoded.append(number)
        return read_movie(plate, number)

    monkeypatch.setattr(MoviePlate, "read", read)
    colours = ColourConfig.load()
    with Shot.open(shot).open_plate(colours) as plate:
        files = CleanPlates.find(place, plate.info)
        assert files is not None
        reader = CleanPlateReader(files, plate.info, None, colours)
    for number in (1002, 1009, 1004, 1003, 1006, 1005, 1001, 1008):
        found = reader.read(number, (HEIGHT, WIDTH))
        assert found is not None and found.is_known.all()
        assert np.abs(found.picture.astype(int) - pictures[number - 1001]).mean() < 12
    reader.close()
    assert decoded == list(NUMBERS)


def test_how_its_colours_are_read_decides_mattes(shot: Path) -> None:
    path = shot / "cleanplate" / "clean.png"
    path.parent.mkdir()
    cv2.imwrite(str(path), np.rint(255 * wall(1001)[..., ::-1]).astype(np.uint8))
    run(shot)
    again = statuses(run(shot, "--colorspace", "ACEScg"))  # the plate's own, not the still's
    assert {n for n, status in again.items() if status == "kept"} == {1001, 1009}


def test_nothing_is_written_among_them(shot: Path) -> None:
    write_clean(shot / "cleanplate")
    before = sorted((shot / "cleanplate").iterdir())
    result = invoke("run", shot, "--engine", "trimap", "-o", shot / "cleanplate")
    assert result.exit_code == 3
    assert "among the files of cleanplate" in result.output
    assert sorted((shot / "cleanplate").iterdir()) == before


def test_the_server_takes_none_for_one_picture(shot: Path) -> None:
    files = {
        "plate": str(shot / "plate" / "plate.1001.exr"),
        "trimap": str(shot / "trimaps" / "trimap.1001.png"),
        "output": str(shot / "one.exr"),
        "settings": {"engine.name": "trimap", "cleanplate": str(shot / "plate")},
    }
    request = FrameRequest.from_params(Params(files))
    with pytest.raises(UsageError, match="cleanplate cannot go with one picture"):
        next(iter(frame_steps(request, EngineCache(), job([]))))


def test_subjects_share_it_and_farms_carry_it(shot: Path, tmp_path: Path) -> None:
    write_clean(shot / "cleanplate")
    result = invoke("farm", shot, "-o", tmp_path / "job")
    assert result.exit_code == 0, result.output
    chosen = json.loads((tmp_path / "job" / "openjd_parameters.json").read_text("utf-8"))
    assert chosen["Cleanplate"] == str(shot / "cleanplate")
    template = (tmp_path / "job" / "template.json").read_text("utf-8")
    assert "--cleanplate" in template and "{{Param.Cleanplate}}" in template

    for name in ("left", "right"):
        (shot / "trimaps" / name).mkdir()
    for path in (shot / "trimaps").glob("*.png"):
        (shot / "trimaps" / "right" / path.name).write_bytes(path.read_bytes())
        path.rename(shot / "trimaps" / "left" / path.name)
    for one in subject_shots(Shot.open(shot)).values():
        assert one.sides_with(one.settings)["cleanplate"] == shot / "cleanplate"
