"""`vfxmatte trimap auto` from the command line, on the tiny shot."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.conftest import TINY_WINDOW, tiny_alpha, write_rgb
from tests.portrait_fixtures import save_colour_weights
from tests.subjects import write_subjects
from tests.tiny_movie import write_tiny_movie
from vfxmatte.cli.group import commands
from vfxmatte.pipeline.shot import Shot


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_colour_weights(tmp_path_factory.mktemp("portraits") / "colour.safetensors")


def auto(shot: Path, weights: Path, *arguments: str) -> Result:
    words = ["trimap", "auto", str(shot), "--weights", str(weights), "--device", "cpu", *arguments]
    return CliRunner().invoke(commands, words)


def test_keyframes_are_written_as_painted_ones(tiny_shot: Path, weights: Path) -> None:
    result = auto(tiny_shot, weights, "--frames", "1002,1004", "--band", "2")
    assert result.exit_code == 0, result.output
    assert "trimap.1002.png" in result.output and "band 2 px" in result.output
    assert sorted(Shot.open(tiny_shot).keyframes) == [1001, 1002, 1004, 1005]
    labels = cv2.imread(str(tiny_shot / "trimaps/trimap.1002.png"), cv2.IMREAD_UNCHANGED)
    alpha = tiny_alpha(1)
    assert labels.shape == TINY_WINDOW.shape and set(np.unique(labels)) == {0, 128, 255}
    assert (labels[alpha > 0.98] != 0).all() and (labels[alpha < 0.02] != 255).all()
    assert (labels[(alpha > 0.2) & (alpha < 0.8)] == 128).mean() > 0.9


def test_a_keyframe_is_never_overwritten(tiny_shot: Path, weights: Path) -> None:
    before = (tiny_shot / "trimaps/trimap.1001.png").read_bytes()
    result = auto(tiny_shot, weights, "--frames", "1001-1003")
    assert result.exit_code == 3
    assert "frame 1001 has a keyframe already" in result.output
    assert "frame 1001" in result.output and "trimap.1001.png" in result.output
    assert sorted(p.name for p in (tiny_shot / "trimaps").iterdir()) == [
        "trimap.1001.png", "trimap.1005.png",
    ]  # fmt: skip
    assert (tiny_shot / "trimaps/trimap.1001.png").read_bytes() == before


def test_without_a_portrait_in_one_frame_nothing_is_written(
    tiny_shot: Path, weights: Path, tmp_path: Path
) -> None:
    ground = np.full((*TINY_WINDOW.shape, 3), (0.1, 0.3, 0.8), np.float16)
    write_rgb(tiny_shot / "plate" / "plate.1003.exr", ground)
    folder = tmp_path / "keys"
    result = auto(tiny_shot, weights, "--frames", "1002,1003", "-o", str(folder))
    assert result.exit_code == 3
    assert "no portrait was found" in result.output and "frame 1003" in result.output
    assert "tiny shot" in result.output and not folder.exists()


def letter(shot: Path, number: int) -> None:
    """Replace a plate by one with a warm L, which is not much like a disc."""
    y, x = np.mgrid[0:48, 0:64]
    warm = (y > 4) & (y < 44) & (x > 10) & (x < 56) & ((x < 22) | (y > 32))
    picture = np.where(warm[..., None], (0.9, 0.4, 0.1), (0.1, 0.3, 0.8))
    write_rgb(shot / "plate" / f"plate.{number}.exr", picture)


def test_doubtful_keyframes_are_not_written_unless_told_so(
    tiny_shot: Path, weights: Path, tmp_path: Path
) -> None:
    for number in (1003, 1004):
        letter(tiny_shot, number)
    folder = tmp_path / "keys"
    how = ["--frames", "1002-1004", "--band", "1", "-o", str(folder)]
    result = auto(tiny_shot, weights, *how)
    assert result.exit_code == 3 and not folder.exists()
    assert "nothing was written" in result.output and "frame 1002:" not in result.output
    for number in (1003, 1004):
        assert f"frame {number}: it agrees with a portrait's shape by 0." in result.output
    assert "grabcut` with --box or --fg-stroke" in result.output and "tiny shot" in result.output
    again = auto(tiny_shot, weights, *how, "--doubtful")
    assert again.exit_code == 0, again.output
    assert again.output.count("doubtful: it agrees") == 2
    assert len(list(folder.iterdir())) == 3


def test_a_trimap_without_certain_foreground_is_doubtful(tiny_shot: Path, weights: Path) -> None:
    result = auto(tiny_shot, weights, "--frames", "1002", "--band", "20")
    assert result.exit_code == 3 and "nothing is certain foreground" in result.output
    result = auto(tiny_shot, weights, "--frames", "1002", "--band", "8")
    assert result.exit_code == 3 and "as much is unknown as certain foreground" in result.output
    assert len(list((tiny_shot / "trimaps").iterdir())) == 2


def test_no_keyframe_is_written_beside_the_folders_of_subjects(
    tmp_path: Path, weights: Path
) -> None:
    trimaps = write_subjects(tmp_path / "two") / "trimaps"
    result = auto(tmp_path / "two", weights, "--frames", "1003")
    assert result.exit_code == 2 and f"-o {trimaps / 'cat'}" in result.output, result.output
    assert list(Shot.open(tmp_path / "two").subjects) == ["cat", "dog"]


def test_a_shot_without_keyframes_gets_its_first(tiny_shot: Path, weights: Path) -> None:
    shutil.rmtree(tiny_shot / "trimaps")
    result = auto(tiny_shot, weights, "--frames", "1001")
    assert result.exit_code == 0, result.output
    assert list(Shot.open(tiny_shot).keyframes) == [1001]


def test_a_movies_first_frame_and_the_plates_colours(tiny_shot: Path, weights: Path) -> None:
    shutil.rmtree(tiny_shot / "plate")
    write_tiny_movie(tiny_shot / "plate.mp4")
    result = auto(tiny_shot, weights, "--frames", "1002", "--band", "2", "--first-frame", "1001")
    assert result.exit_code == 0, result.output
    assert sorted(Shot.open(tiny_shot).keyframes) == [1001, 1002, 1005]
    wrong = auto(tiny_shot, weights, "--frames", "2", "--colorspace", "no such space")
    assert wrong.exit_code == 3 and "no such space" in wrong.output


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--frames", "1009"], 3, "frame 1009"),
        (["--frames", "first"], 2, "not a frame range"),
        (["--frames", "1002", "--band", "-1"], 2, "must not be negative"),
        (["--frames", "1002", "--band", "nan"], 2, "must be a number of pixels, found nan"),
        ([], 2, "--frames"),
    ],
)
def test_wrong_use(
    tiny_shot: Path, weights: Path, arguments: list[str], code: int, said: str
) -> None:
    result = auto(tiny_shot, weights, *arguments)
    assert result.exit_code == code and said in result.output
    assert len(list((tiny_shot / "trimaps").iterdir())) == 2


def test_missing_weights_are_named(tiny_shot: Path, tmp_path: Path) -> None:
    result = auto(tiny_shot, tmp_path / "none.safetensors", "--frames", "1002")
    assert result.exit_code == 3 and "none.safetensors" in result.output
