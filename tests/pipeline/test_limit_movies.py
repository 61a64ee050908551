"""Garbage and core mattes given as movies: as stills of the same values, whatever the order."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from tests.conftest import TINY_NUMBERS, TINY_WINDOW
from tests.pipeline.counting import run_counted
from tests.subjects import NUMBERS as FRAMES
from tests.subjects import alpha_of as subject_alpha
from tests.subjects import solve, written
from vfxmatte.cli.group import commands
from vfxmatte.errors import ShotError, TrimapError, UsageError
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.movies.movie import Movie, write_prores
from vfxmatte.types import BACKGROUND, FOREGROUND, FloatImage

NUMBERS = list(TINY_NUMBERS)
X = np.mgrid[0:48, 0:64][1].astype(np.float32)


def wall(edge: float, x: FloatImage = X) -> FloatImage:
    """1 left of an edge, soft over eight pixels."""
    return np.clip((edge - x) / 8, 0, 1).astype(np.float32)


def movie(path: Path, pictures: Sequence[np.ndarray]) -> Path:
    """A lossless movie of (H, W) uint16 or (H, W, 3) uint8 pictures as they are."""
    given, kept = ("gray16le",) * 2 if pictures[0].ndim == 2 else ("rgb24", "bgr0")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as target:
        stream = target.add_stream(
            "ffv1", rate=24, options={"g": "1", "level": "3", "slicecrc": "1"}
        )
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = kept
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format=given)
            target.mux(stream.encode(frame.reformat(format=kept)))
        target.mux(stream.encode())
    return path


def levels(values: FloatImage) -> np.ndarray:
    return np.rint(values * 65535).astype(np.uint16)


def walls(path: Path, edges: Sequence[float]) -> Path:
    return movie(path, [levels(wall(edge)) for edge in edges])


def mattes(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(output.rglob("matte.*.exr"))}


EDGES = (60, 50, 45, 40, 30)


@pytest.mark.parametrize("kind", ["garbage", "core"])
def test_a_movie_does_what_stills_of_its_frames_do(
    tiny_shot: Path, tmp_path: Path, kind: str
) -> None:
    for number, edge in zip(NUMBERS, EDGES, strict=True):
        still = tmp_path / "stills" / f"g.{number}.png"
        still.parent.mkdir(exist_ok=True)
        still.write_bytes(cv2.imencode(".png", levels(wall(edge)))[1].tobytes())
    run_counted(tiny_shot, tmp_path / "a", **{kind: str(tmp_path / "stills")})
    walls(tiny_shot / kind / "wall.mkv", EDGES)
    results, engine = run_counted(tiny_shot, tmp_path / "b")
    known = FOREGROUND if kind == "core" else BACKGROUND
    for number, edge in zip(NUMBERS, EDGES, strict=True):
        inside = edge - 8 >= X if kind == "core" else edge <= X
        assert (engine.labels[number][inside] == known).all()
        assert results[number].stats[f"{kind}_share"] == pytest.approx(inside.mean())
        first, second = (
            read_matte(tmp_path / s / f"matte.{number}.exr", TINY_WINDOW) for s in "ab"
        )
        np.testing.assert_array_equal(first, second)
    assert "wall.mkv, frames 1001-1005" in (tmp_path / "b" / "manifest.json").read_text()


def test_a_shorter_movie_is_held_and_a_longer_one_is_not_missed(tiny_shot: Path) -> None:
    walls(tiny_shot / "garbage" / "wall.mkv", EDGES[:3])
    results, _ = run_counted(tiny_shot)
    shares = [results[n].stats["garbage_share"] for n in NUMBERS]
    assert shares == pytest.approx([1 - edge / 64 for edge in (60, 50, 45, 45, 45)])
    notes = (tiny_shot / "matte" / "manifest.json").read_text()
    assert "frames 1004-1005 have no garbage matte of their own: the one before is held" in notes
    walls(tiny_shot / "garbage" / "wall.mkv", (*EDGES[:4], 35, 30, 20))
    results, _ = run_counted(tiny_shot)
    assert results[1005].stats["garbage_share"] == pytest.approx(1 - 35 / 64)


def test_only_another_movie_is_solved_again(tiny_shot: Path, tmp_path: Path) -> None:
    path = walls(tiny_shot / "garbage" / "wall.mkv", EDGES)
    run_counted(tiny_shot)
    first = mattes(tiny_shot / "matte")
    again = tmp_path / "again.mkv"
    shutil.copy(path, again)
    path.unlink()
    shutil.copy(again, path)  # another time, the same movie
    assert run_counted(tiny_shot)[1].solved == []
    walls(path, (*EDGES[:4], 20))
    assert run_counted(tiny_shot)[1].solved == NUMBERS
    shutil.copy(again, path)
    run_counted(tiny_shot)
    assert mattes(tiny_shot / "matte") == first


def test_edges_and_chunks_read_it_in_any_order(tiny_shot: Path, tmp_path: Path) -> None:
    walls(tiny_shot / "garbage" / "wall.mkv", EDGES)
    run_counted(tiny_shot, tmp_path / "a", matte={"grow_px": 4.0})
    for frames in ("1004-1005", "1001-1003"):
        run_counted(tiny_shot, tmp_path / "b", chunk=True, frames=frames)
    assert run_counted(tiny_shot, tmp_path / "b", matte={"grow_px": 4.0})[1].solved == []
    assert mattes(tmp_path / "a") == mattes(tmp_path / "b")
    for number, edge in zip(NUMBERS, EDGES, strict=True):
        alpha = read_matte(tmp_path / "b" / f"matte.{number}.exr", TINY_WINDOW)
        assert (alpha[edge <= X] == 0).all()


def test_each_frame_is_decoded_once(tiny_shot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: Counter[int] = Counter()
    whole = Movie.read_with_alpha

    def counted(self: Movie, number: int) -> Any:
        decoded[number] += 1
        return whole(self, number)

    monkeypatch.setattr(Movie, "read_with_alpha", counted)
    walls(tiny_shot / "garbage" / "wall.mkv", EDGES)
    run_counted(tiny_shot, workers=4, matte={"grow_px": 1.0})
    assert decoded == dict.fromkeys(NUMBERS, 1)


def test_frames_that_were_not_kept_are_decoded_again(
    tiny_shot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walls(tiny_shot / "garbage" / "wall.mkv", EDGES)
    run_counted(tiny_shot, tmp_path / "a", workers=3)
    monkeypatch.setattr("vfxmatte.pipeline.limit_sources._MOST_KEPT_BYTES", 1)
    run_counted(tiny_shot, tmp_path / "b", workers=3)
    assert mattes(tmp_path / "a") == mattes(tmp_path / "b")


def test_the_alpha_channel_counts_before_the_picture(tiny_shot: Path, tmp_path: Path) -> None:
    colour = np.random.default_rng(1).random((48, 64, 3)).astype(np.float32)
    pictures = [np.dstack((colour, wall(edge))) for edge in EDGES]
    write_prores(tiny_shot / "garbage.mov", pictures, 24)
    results, _ = run_counted(tiny_shot, garbage=str(tiny_shot / "garbage.mov"))
    for number, edge in zip(NUMBERS, EDGES, strict=True):
        assert results[number].stats["garbage_share"] == pytest.approx(1 - edge / 64, abs=0.02)
        alpha = read_matte(tiny_shot / "matte" / f"matte.{number}.exr", TINY_WINDOW)
        assert (alpha[edge <= X] == 0).all()


def test_it_stands_on_the_first_frame_of_a_movie_too(tiny_shot: Path) -> None:
    shutil.rmtree(tiny_shot / "plate")
    pictures = [np.full((48, 64), 20000 + 4000 * i, np.uint16) for i in range(5)]
    movie(tiny_shot / "plate.mkv", pictures)
    walls(tiny_shot / "core" / "wall.mkv", EDGES)
    results, _ = run_counted(tiny_shot, first_frame=1001)
    shares = [results[n].stats["core_share"] for n in NUMBERS]
    assert shares == pytest.approx([(edge - 7) / 64 for edge in EDGES])


def test_it_may_lie_anywhere(tiny_shot: Path, tmp_path: Path) -> None:
    path = walls(tiny_shot / "roto" / "wall.mkv", EDGES)
    (tiny_shot / "shot.toml").write_text('garbage = "roto/wall.mkv"\n', encoding="utf-8")
    base = ["run", str(tiny_shot), "--engine", "trimap"]
    for options in ([], ["--garbage", str(path)], ["--garbage", str(path.parent)]):
        answer = CliRunner().invoke(commands, [*base, "-o", str(tmp_path / "m"), *options])
        assert answer.exit_code == 0 and "wall.mkv" in answer.output
        alpha = read_matte(tmp_path / "m" / "matte.1004.exr", TINY_WINDOW)
        assert (alpha[:, 40:] == 0).all()


def test_each_subject_has_its_own(folder: Path) -> None:
    x = np.mgrid[0:80, 0:128][1].astype(np.float32)
    edges = [50 + 5 * i for i in range(len(FRAMES))]
    movie(folder / "garbage" / "cat" / "wall.mkv", [levels(wall(edge, x)) for edge in edges])
    assert written(solve(folder)) == {"cat": [*FRAMES], "dog": [*FRAMES]}
    for command in ("check", "run"):
        said = CliRunner().invoke(commands, [command, str(folder), "--engine", "trimap"]).output
        assert f"garbage    cat: {folder / 'garbage' / 'cat' / 'wall.mkv'}, frames 1001-" in said
    command = ["run", str(folder), "--engine", "trimap", "--json"]
    start = json.loads(CliRunner().invoke(commands, command).output.splitlines()[0])
    assert list(start["limits"]) == ["cat"] and "wall.mkv" in start["limits"]["cat"]["garbage"]
    check = json.loads(CliRunner().invoke(commands, ["check", str(folder), "--json"]).output)
    assert "wall.mkv" in check["subjects"]["cat"]["limits"]["garbage"]
    solve(folder)
    for number, edge in zip(FRAMES, edges, strict=True):
        assert (subject_alpha(folder, "cat", number)[edge <= x] == 0).all()
        assert subject_alpha(folder, "dog", number)[:, 80:].any()


def test_one_for_no_subject_in_particular_is_refused(folder: Path, tmp_path: Path) -> None:
    path = movie(tmp_path / "wall.mkv", [levels(wall(20))])
    with pytest.raises(UsageError, match="lie in a folder for each") as caught:
        solve(folder, garbage=str(path))
    assert caught.value.path == str(path)


# -- bad input ------------------------------------------------------------------------------------


def test_one_of_another_size_is_refused_before_any_work(tiny_shot: Path) -> None:
    path = movie(tiny_shot / "core" / "wall.mkv", [levels(wall(20))[:24, :32]] * 5)
    with pytest.raises(TrimapError, match="core matte is 32x24, the plate is 64x48") as caught:
        run_counted(tiny_shot)
    assert (caught.value.shot, caught.value.frame) == (tiny_shot.name, 1001)
    assert caught.value.path == str(path) and not list((tiny_shot / "matte").glob("matte.*"))
    answer = CliRunner().invoke(commands, ["check", str(tiny_shot)])
    assert answer.exit_code == 3 and "32x24" in answer.output


def test_one_that_cannot_be_opened_is_refused_by_name(tiny_shot: Path) -> None:
    path = tiny_shot / "garbage" / "wall.mov"
    path.parent.mkdir()
    path.write_bytes(b"no movie" * 100)
    with pytest.raises(
        TrimapError, match="the garbage matte cannot be read: cannot read"
    ) as caught:
        run_counted(tiny_shot)
    assert (caught.value.shot, caught.value.path) == (tiny_shot.name, str(path))
    answer = CliRunner().invoke(commands, ["check", str(tiny_shot)])
    assert answer.exit_code == 3 and "the garbage matte cannot be read" in answer.output


def test_a_damaged_frame_fails_its_frame_alone(tiny_shot: Path) -> None:
    path = walls(tiny_shot / "garbage" / "wall.mkv", EDGES)
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][2]
        begin, end = packet.pos + 8, packet.pos + packet.size
    content = bytearray(path.read_bytes())
    content[begin:end] = b"\x55" * (end - begin)
    path.write_bytes(content)
    results, _ = run_counted(tiny_shot)
    assert {n: r.status for n, r in results.items()} == {
        n: "failed" if n == 1003 else "written" for n in NUMBERS
    }
    error = results[1003].error
    assert error is not None and "the garbage matte cannot be read" in str(error)
    assert (error.shot, error.frame, error.path) == (tiny_shot.name, 1003, str(path))
    walls(path, EDGES)
    assert run_counted(tiny_shot)[0][1003].status == "written"


def test_a_picture_in_colour_is_said(tiny_shot: Path) -> None:
    colour = np.random.default_rng(1).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    path = movie(tiny_shot / "garbage" / "wall.mkv", [colour] * 5)
    results, _ = run_counted(tiny_shot)
    error = results[1002].error
    assert error is not None and "garbage matte is a picture in colour" in error.what
    assert (error.frame, error.path) == (1002, str(path))


def test_a_movie_beside_stills_is_ambiguous(tiny_shot: Path) -> None:
    walls(tiny_shot / "garbage" / "wall.mkv", EDGES)
    (tiny_shot / "garbage" / "g.1001.png").write_bytes(b"")
    with pytest.raises(ShotError, match="expected one sequence or movie"):
        run_counted(tiny_shot)
