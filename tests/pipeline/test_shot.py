"""A shot on disk: what is found, and what is refused by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from vfxmatte.bench.moving_shot import MovingShot
from vfxmatte.errors import ShotError, TrimapError, VfxmatteError
from vfxmatte.io.plate import PlateInfo
from vfxmatte.io.plates import open_plate
from vfxmatte.pipeline.keyframes import Keyframes, find_keyframes, keyframes_in, read_keyframe
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import FOREGROUND, UNKNOWN, FrameRange


def paint(path: Path, labels: np.ndarray | None = None, size: tuple[int, int] = (48, 64)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = labels if labels is not None else np.full(size, 128, np.uint8)
    path.write_bytes(cv2.imencode(path.suffix, values)[1].tobytes())
    return path


def info_of(folder: Path) -> PlateInfo:
    with open_plate(folder / "plate") as plate:
        return plate.info


def test_a_shot_folder_is_found_whole(tiny_shot: Path) -> None:
    (tiny_shot / "shot.toml").write_text('frames = "1002-1004"\n', encoding="utf-8")
    shot = Shot.open(tiny_shot)
    assert shot.name == tiny_shot.name
    assert shot.plate == tiny_shot / "plate"
    assert list(shot.keyframes) == [1001, 1005]
    assert shot.output == tiny_shot / "matte"
    assert shot.trimap_output == tiny_shot / "matte" / "trimaps"
    assert shot.settings.frames == FrameRange(first=1002, last=1004)
    assert Shot.open(str(tiny_shot), output="elsewhere").output == Path("elsewhere")


def test_parts_may_lie_anywhere(tmp_path: Path) -> None:
    key = paint(tmp_path / "keys" / "bär.0007.png")
    shot = Shot.from_parts(
        plate=tmp_path / "plates" / "bg_v02.####.exr", trimaps=key.parent, output=tmp_path / "out"
    )
    assert (shot.name, dict(shot.keyframes)) == ("bg_v02", {7: key})
    one = Shot.from_parts(plate="a.mov", trimaps=key, output="out")
    assert (one.name, dict(one.keyframes)) == ("a", {7: key})


def test_a_movie_may_be_the_plate(tmp_path: Path) -> None:
    (tmp_path / "plate.mov").write_bytes(b"")
    assert Shot.open(tmp_path).plate == tmp_path / "plate.mov"


def test_no_such_shot(tmp_path: Path) -> None:
    with pytest.raises(ShotError, match="no such shot folder") as caught:
        Shot.open(tmp_path / "nowhere")
    assert caught.value.path == str(tmp_path / "nowhere") and caught.value.hint


def test_a_shot_without_a_plate(tmp_path: Path) -> None:
    with pytest.raises(ShotError, match="has no plate") as caught:
        Shot.open(tmp_path)
    assert caught.value.path == str(tmp_path / "plate")
    assert caught.value.shot == str(tmp_path)


def test_two_plates_are_ambiguous(tiny_shot: Path) -> None:
    (tiny_shot / "plate.mov").write_bytes(b"")
    with pytest.raises(ShotError, match=r"more than one plate: plate and plate\.mov"):
        Shot.open(tiny_shot)


@pytest.mark.parametrize("text", ["frames = [", 'framez = "1-2"', "workers = -3"])
def test_broken_settings_name_the_file(tiny_shot: Path, text: str) -> None:
    (tiny_shot / "shot.toml").write_text(text, encoding="utf-8")
    with pytest.raises(VfxmatteError) as caught:
        Shot.open(tiny_shot)
    assert "shot.toml" in str(caught.value) and caught.value.shot == str(tiny_shot)


def test_keyframes_are_sorted_by_number_and_other_files_are_left_out(tmp_path: Path) -> None:
    for name in ("b.1010.png", "a.0990.tif", "c.1000.png", "._b.1010.png", ".hidden.1.png"):
        paint(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    assert list(find_keyframes(tmp_path)) == [990, 1000, 1010]
    assert find_keyframes(tmp_path / "nowhere") == {}


def test_a_trimap_without_a_number_is_named(tmp_path: Path) -> None:
    paint(tmp_path / "mask.png")
    with pytest.raises(TrimapError, match="no frame number") as caught:
        find_keyframes(tmp_path)
    assert "mask.png" in str(caught.value) and "NAME.FRAME.ext" in str(caught.value)


def test_two_trimaps_of_one_frame_are_named(tmp_path: Path) -> None:
    paint(tmp_path / "a.1001.png")
    paint(tmp_path / "b.1001.png")
    with pytest.raises(TrimapError, match=r"claim frame 1001: a\.1001\.png and b\.1001\.png"):
        find_keyframes(tmp_path)


def test_keyframes_are_read_over_the_canvas_and_grown(tiny_shot: Path) -> None:
    info, path = info_of(tiny_shot), tiny_shot / "trimaps" / "trimap.1001.png"
    areas = [
        np.count_nonzero(read_keyframe(path, 1001, info, growth).labels == UNKNOWN)
        for growth in (-1.5, 0, 2)
    ]
    assert areas[0] < areas[1] < areas[2]
    keyframe = read_keyframe(path, 1001, info)
    assert keyframe.is_keyframe and keyframe.number == 1001 and keyframe.confidence == 1
    assert keyframe.labels.shape == info.canvas.shape and (keyframe.labels == FOREGROUND).any()


def test_a_trimap_of_another_size_is_refused_with_both_sizes(tiny_shot: Path) -> None:
    path = paint(tiny_shot / "trimaps" / "trimap.1003.png", size=(24, 32))
    keyframes = Keyframes(find_keyframes(path.parent), info_of(tiny_shot), 0.0)
    assert len(keyframes) == 3 and list(keyframes) == [1001, 1003, 1005]
    with pytest.raises(TrimapError, match="trimap is 32x24, the plate is 64x48") as caught:
        keyframes.check()
    assert (caught.value.frame, caught.value.path) == (1003, str(path))
    assert caught.value.hint


@pytest.mark.parametrize("content", [b"", b"not a picture"])
def test_an_unreadable_trimap_is_named(tiny_shot: Path, content: bytes) -> None:
    path = tiny_shot / "trimaps" / "trimap.1003.png"
    path.write_bytes(content)
    with pytest.raises(TrimapError, match="cannot be read") as caught:
        read_keyframe(path, 1003, info_of(tiny_shot))
    assert (caught.value.frame, caught.value.path) == (1003, str(path))


def test_keyframes_that_the_plate_has_not_are_left_out(tmp_path: Path) -> None:
    info = info_of(MovingShot(frames=3, width=32, height=24, first=10).write(tmp_path))
    paths = {n: Path(f"t.{n}.png") for n in (9, 11, 30)}
    assert list(keyframes_in(paths, info)) == [11]
    with pytest.raises(ShotError, match="keyframe 9, plate 10-12"):
        keyframes_in({9: paths[9]}, info)
    with pytest.raises(ShotError, match="no keyframe trimap") as caught:
        keyframes_in({}, info)
    assert "from-matte" in str(caught.value)


def test_opening_a_shot_loads_no_torch(tiny_shot: Path) -> None:
    code = (
        "import sys; from vfxmatte.pipeline.shot import Shot; "
        "from vfxmatte.pipeline.run import Run; "
        f"Run(Shot.open({str(tiny_shot)!r})).close(); print('torch' in sys.modules)"
    )
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("False", "")


def test_a_movie_in_place_of_a_shot_folder_is_called_a_file(tmp_path: Path) -> None:
    movie = tmp_path / "clip.mov"
    movie.write_bytes(b"a movie")
    with pytest.raises(ShotError, match="a file, not a shot folder") as caught:
        Shot.open(movie)
    assert caught.value.path == str(movie) and "vfxmatte paint" in str(caught.value.hint)
