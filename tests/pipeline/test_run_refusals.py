"""Bad input and output of a run: named, and nothing lost."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.pipeline.moving_runs import (
    NUMBERS,
    WINDOW,
    Solve,
    contents,
    leftovers,
    paint,
    plate_path,
    redone,
    solver,
    states,
    threads_left,
    trimap_path,
    write_shot,
)
from vfxmatte.errors import (
    MissingFrameError,
    OutputError,
    PlateError,
    ShotError,
    TrimapError,
    VfxmatteError,
    WeightsError,
)
from vfxmatte.io import temporary
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.io.stills.reading import read_image
from vfxmatte.journal import records
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import FrameResult, Window


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_shot(tmp_path)


@pytest.fixture
def solve(tiny_weights: Path) -> Solve:
    return solver(tiny_weights)


def the_error(results: list[FrameResult], number: int) -> VfxmatteError:
    """The error of the one frame that failed, with its place."""
    expected = dict.fromkeys(NUMBERS, "written") | {number: "failed"}
    assert states(results) == expected
    error = next(result.error for result in results if result.number == number)
    assert error is not None and error.frame == number and error.shot
    return error


def test_a_truncated_frame_fails_and_the_rest_is_delivered(folder: Path, solve: Any) -> None:
    path = plate_path(folder, 1006)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    error = the_error(solve(folder), 1006)
    assert isinstance(error, PlateError) and error.path == str(path)
    manifest = json.loads((folder / "matte" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["frames"][5]["state"] == "failed" and manifest["frames"][5]["error"]
    assert not (folder / "matte" / "matte.1006.exr").exists()
    path.write_bytes(whole)
    assert redone(solve(folder)) == [1005, 1006, 1007]


@pytest.mark.parametrize("number", [1001, 1004, 1007])
def test_a_frame_that_is_no_picture_fails_alone(folder: Path, solve: Any, number: int) -> None:
    """Also where a keyframe stands on it, and where it is the first one."""
    plate_path(folder, number).write_bytes(b"rubbish")
    the_error(solve(folder), number)


def test_a_plate_that_changes_size_fails_there(folder: Path, solve: Any) -> None:
    pixels = np.zeros((24, 32), np.float32)
    small = Window.of_size(32, 24)
    write_exr(plate_path(folder, 1006), dict.fromkeys("RGB", pixels), data_window=small,
              display_window=small)  # fmt: skip
    error = the_error(solve(folder), 1006)
    assert "expected 64×48" in str(error) and "found 32×24" in str(error)


def test_many_bad_frames_at_the_end(folder: Path, solve: Any) -> None:
    for number in (1005, 1006, 1007, 1008):
        plate_path(folder, number).write_bytes(b"")
    assert list(states(solve(folder)).values()) == ["written"] * 4 + ["failed"] * 4


def test_pixels_that_are_no_numbers_are_counted_and_solved(folder: Path, solve: Any) -> None:
    path = plate_path(folder, 1006)
    planes = read_image(path).pixels.copy()
    planes[10, 10], planes[20, 30, 1], planes[24, 32, 2] = np.nan, np.inf, -np.inf
    write_exr(path, {c: planes[:, :, i] for i, c in enumerate("RGB")}, data_window=WINDOW,
              display_window=WINDOW)  # fmt: skip
    results = {result.number: result for result in solve(folder)}
    assert results[1006].status == "written"
    assert results[1006].stats["nonfinite_pixels"] == 3


@pytest.mark.parametrize(
    ("missing", "expected"), [("hold", "written"), ("skip", "skipped"), ("error", None)]
)
def test_missing_frames(folder: Path, solve: Any, missing: str, expected: str | None) -> None:
    plate_path(folder, 1006).unlink()
    if expected is None:
        with pytest.raises(MissingFrameError, match="lacks 1 of 8 frames: 1006") as caught:
            solve(folder, missing=missing)
        assert caught.value.shot == folder.name and "--missing" in str(caught.value)
        return
    results = solve(folder, missing=missing)
    assert states(results) == dict.fromkeys(NUMBERS, "written") | {1006: expected}
    manifest = json.loads((folder / "matte" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["skipped"] == ([1006] if missing == "skip" else [])
    assert any("1006" in note for note in manifest["notes"])
    written = (folder / "matte" / "matte.1006.exr").exists()
    assert written == (missing == "hold")


def nothing_written(folder: Path) -> bool:
    return not (folder / "matte").exists()


def test_a_trimap_of_another_size_is_refused_before_any_work(folder: Path, solve: Any) -> None:
    paint(trimap_path(folder, 1006), np.full((24, 32), 128, np.uint8))
    with pytest.raises(TrimapError, match="32x24, the plate is 64x48") as caught:
        solve(folder)
    assert (caught.value.shot, caught.value.frame) == (folder.name, 1006)
    assert caught.value.path == str(trimap_path(folder, 1006))
    assert nothing_written(folder)


def test_without_a_keyframe_on_the_plate_nothing_is_done(folder: Path, solve: Any) -> None:
    for number in (1001, 1004):
        trimap_path(folder, number).unlink()
    trimap_path(folder, 1008).rename(trimap_path(folder, 1020))
    with pytest.raises(ShotError, match="keyframe 1020, plate 1001-1008") as caught:
        solve(folder)
    assert caught.value.shot == folder.name and nothing_written(folder)
    trimap_path(folder, 1020).unlink()
    with pytest.raises(ShotError, match="no keyframe trimap"):
        solve(folder)


def test_a_keyframe_outside_of_the_plate_is_noted(folder: Path, solve: Any) -> None:
    trimap_path(folder, 1004).rename(trimap_path(folder, 1020))
    with Run(Shot.open(folder)) as prepared:
        assert any("1020" in note for note in prepared.plan.notes)
    assert redone(solve(folder)) == NUMBERS


def test_an_empty_plate_is_named(folder: Path, solve: Any) -> None:
    for number in NUMBERS:
        plate_path(folder, number).unlink()
    with pytest.raises(ShotError, match="no images in this folder") as caught:
        solve(folder)
    assert caught.value.path == str(folder / "plate") and caught.value.shot == folder.name


@pytest.mark.parametrize(
    "name, words",
    [
        ("lost.safetensors", "no such weights file"),
        ("empty.safetensors", "weights are damaged"),
        ("best.pt", "this is a checkpoint"),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "cpu,cpu"])
def test_unusable_weights_are_named_and_nothing_is_written(
    folder: Path, tmp_path: Path, solve: Any, name: str, words: str, device: str
) -> None:
    (tmp_path / "empty.json").write_text('{"format": 1, "sha256": "of another file"}')
    for present in ("empty.safetensors", "best.pt"):
        (tmp_path / present).touch()
    with pytest.raises(WeightsError, match=words) as caught:
        solve(folder, tmp_path / "out", engine={"weights": tmp_path / name, "device": device})
    assert caught.value.shot == folder.name and not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_named(
    folder: Path, tmp_path: Path, solve: Any
) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OutputError, match="cannot be written") as caught:
        solve(folder, tmp_path / "taken" / "matte")
    assert caught.value.path == str(tmp_path / "taken" / "matte")
    assert caught.value.shot == folder.name


@pytest.mark.parametrize("full_at", ["matte.1005", "trimap.1005", "journal"])
def test_a_full_disk_stops_the_run_and_the_next_goes_on(
    folder: Path, tmp_path: Path, solve: Any, monkeypatch: pytest.MonkeyPatch, full_at: str
) -> None:
    def full(path: Path) -> None:
        if full_at in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    told: list[int] = []

    def full_journal(_: int) -> None:
        told.append(1)
        if len(told) > 3:  # the engine and two frames have been told
            full(Path("journal"))

    with monkeypatch.context() as patch:
        if full_at == "journal":
            patch.setattr(records, "os", SimpleNamespace(fsync=full_journal))
        else:
            patch.setattr(temporary, "_sync", full)
        with pytest.raises(OutputError, match="No space left") as caught:
            solve(folder)
        assert caught.value.shot == folder.name and full_at in str(caught.value.path)
        assert caught.value.frame is not None and caught.value.hint
        assert threads_left() == []
    assert leftovers(folder / "matte") == []
    assert 1005 in redone(solve(folder))
    solve(folder, tmp_path / "undisturbed")
    assert contents(folder / "matte") == contents(tmp_path / "undisturbed")
