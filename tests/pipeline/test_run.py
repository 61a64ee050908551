"""The whole run on small shots: what is delivered, what is refused, and that nothing is lost."""

from __future__ import annotations

import ast
import errno
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from vfxmatte.bench.moving_shot import MovingShot
from vfxmatte.common.configuration import changed
from vfxmatte.engines.deep import DeepEngine
from vfxmatte.engines.protocol import EngineSettings, Task
from vfxmatte.errors import (
    MissingFrameError,
    OutputError,
    OutputLockedError,
    PlateError,
    ShotError,
    TrimapError,
    VfxmatteError,
    WeightsError,
)
from vfxmatte.io import temporary
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.movies.movie import write_prores
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.io.stills.reading import read_image
from vfxmatte.journal import records
from vfxmatte.network.dim import DeepImageMatting, DimConfig
from vfxmatte.network.weights import file_sha256, save_weights
from vfxmatte.pipeline.chain import stages
from vfxmatte.pipeline.run import Run, run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.propagation.confidence import matte_confidence
from vfxmatte.types import FOREGROUND, UNKNOWN, FrameRange, FrameResult, Matte, Window

WINDOW = Window.of_size(64, 48)
NUMBERS = list(range(1001, 1009))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight frames, 1001 to 1008, keyframes on 1001, 1004 and 1008."""
    shot = MovingShot(frames=8, width=64, height=48, keyframes=(1001, 1004, 1008))
    return shot.write(tmp_path / "ein Schäfer 毛")


@pytest.fixture
def solve(tiny_weights: Path) -> Callable[..., list[FrameResult]]:
    """Run a shot to its end with the tiny weights; settings by name."""

    def solved(
        folder: Path, into: Path | None = None, *, overwrite: bool = False, **settings: Any
    ) -> list[FrameResult]:
        shot = Shot.open(folder, output=into)
        settings.setdefault("engine", {"weights": str(tiny_weights), "device": "cpu"})
        return list(run(shot, changed(RunSettings(), settings), overwrite=overwrite))

    return solved


def states(results: list[FrameResult]) -> dict[int, str]:
    return {result.number: result.status for result in results}


def redone(results: list[FrameResult]) -> list[int]:
    return [result.number for result in results if result.status == "written"]


def contents(output: Path) -> dict[str, bytes]:
    """Every matte and trimap, byte by byte."""
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.suffix in (".exr", ".png")
    }


def alpha_of(output: Path, number: int) -> np.ndarray:
    return read_matte(output / f"matte.{number:04d}.exr", WINDOW)


def plate_path(folder: Path, number: int) -> Path:
    return folder / "plate" / f"plate.{number:04d}.exr"


def trimap_path(folder: Path, number: int) -> Path:
    return folder / "trimaps" / f"trimap.{number:04d}.png"


def paint(path: Path, values: np.ndarray) -> None:
    path.write_bytes(cv2.imencode(".png", values)[1].tobytes())


def threads_left() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("vfxmatte")]


def leftovers(output: Path) -> list[str]:
    """Whatever is in an output folder beside its results and its journal."""
    results = (".exr", ".png", ".json", ".jsonl", ".lock")
    paths = (path for path in output.rglob("*") if path.is_file() and path.name != "lock")
    return [p.name for p in paths if p.suffix not in results or ".part" in p.name]


# -- a shot from end to end -----------------------------------------------------------------------


def test_every_frame_is_delivered_under_its_number(folder: Path, solve: Any) -> None:
    results = solve(folder)
    output = folder / "matte"
    assert states(results) == dict.fromkeys(NUMBERS, "written")
    for result in results:
        assert result.path == output / f"matte.{result.number}.exr"
        image = read_image(result.path)
        assert image.header.channels == ("A",) and image.header.value_type == "half"
        labels = read_image(output / "trimaps" / f"trimap.{result.number}.png").pixels[:, :, 0]
        alpha = alpha_of(output, result.number)
        np.testing.assert_array_equal(alpha[labels == 0], 0)
        np.testing.assert_array_equal(alpha[labels == 1], 1)
        assert alpha[(labels > 0) & (labels < 1)].std() > 0
    assert leftovers(output) == [] and threads_left() == []


def test_painted_trimaps_are_delivered_as_painted(folder: Path, solve: Any) -> None:
    solve(folder)
    for number in (1001, 1004, 1008):
        given, kept = (read_image(f / f"trimap.{number}.png").pixels for f in
                       (folder / "trimaps", folder / "matte" / "trimaps"))  # fmt: skip
        np.testing.assert_array_equal(given, kept)


def test_the_stats_tell_trimap_and_time(folder: Path, solve: Any) -> None:
    by_number = {result.number: result.stats for result in solve(folder)}
    assert [by_number[n]["keyframe_distance"] for n in NUMBERS] == [0, 1, 1, 0, 1, 2, 1, 0]
    assert by_number[1004]["confidence"] == 1 and 0 < by_number[1006]["confidence"] <= 1
    for stats in by_number.values():
        assert 0 < stats["unknown_share"] < 1 and "nonfinite_pixels" not in stats
        assert {"trimap_ms", "read_ms", "colour_ms", "solve_ms", "write_ms"} <= set(stats)


def test_a_matte_is_rated_by_how_soft_it_is_beside_the_painted_bands(
    folder: Path, solve: Any, tiny_weights: Path
) -> None:
    results = {result.number: result.stats for result in solve(folder)}
    area = 64 * 48
    painted = np.mean([results[n]["unknown_share"] * area for n in (1001, 1004, 1008)])
    for number in (1002, 1006):
        alpha = alpha_of(folder / "matte", number)
        expected = matte_confidence(alpha, painted)
        assert results[number]["confidence"] == pytest.approx(expected, rel=0.02)
        assert 0 < results[number]["trimap_confidence"] <= 1
    assert results[1004]["confidence"] == 1
    shot = Shot.open(folder, output=folder.parent / "chunk")
    settings = changed(RunSettings(), {"engine": {"weights": str(tiny_weights), "device": "cpu"}})
    with Run(shot, replace(settings, frames=FrameRange.parse("1002-1003")), chunk=True) as chunk:
        found = {result.number: result.stats["confidence"] for result in chunk.frames()}
    assert found == {n: results[n]["confidence"] for n in (1002, 1003)}


def test_the_manifest_tells_what_was_done_with_what(
    folder: Path, solve: Any, tiny_weights: Path
) -> None:
    solve(folder, keyframe_growth=1)
    manifest = json.loads((folder / "matte" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["shot"] == folder.name and manifest["device"] == "cpu"
    assert manifest["engine"]["weights"] == file_sha256(tiny_weights)
    assert manifest["settings"]["keyframe_growth"] == 1
    assert manifest["colorspace"] == "ACEScg" and "torch" in manifest["versions"]
    assert list(manifest["keyframes"]) == ["1001", "1004", "1008"]
    assert [frame["frame"] for frame in manifest["frames"]] == NUMBERS
    assert {frame["state"] for frame in manifest["frames"]} == {"done"}
    assert all("keyframe_distance" in frame["stats"] for frame in manifest["frames"])


def test_windows_and_attributes_of_the_plate_are_kept(
    tmp_path: Path, solve: Any, tiny_weights: Path
) -> None:
    """A data window that reaches out of the display window on one side, and is smaller on the
    others; HDR and negative values in it."""
    display, data = Window.of_size(64, 48), Window(x_min=-4, y_min=6, x_max=55, y_max=40)
    pixels = np.random.default_rng(0).random(data.shape, np.float32) * 20 - 0.5
    (tmp_path / "plate").mkdir()
    write_exr(
        tmp_path / "plate" / "a.1001.exr", dict.fromkeys("RGB", pixels), data_window=data,
        display_window=display,
        attributes={"framesPerSecond": Fraction(25), "owner": "us", "pixelAspectRatio": 2.0},
    )  # fmt: skip
    (tmp_path / "trimaps").mkdir()
    paint(tmp_path / "trimaps" / "t.1001.png", np.full((48, 64), 128, np.uint8))
    (result,) = solve(tmp_path)
    header = read_image(result.path).header
    assert (header.data_window, header.display_window) == (data, display)
    assert header.pixel_aspect == 2.0
    assert header.metadata["owner"] == "us" and header.metadata["framesPerSecond"] == 25
    assert header.metadata["vfxmatte/weights"] == file_sha256(tiny_weights)
    assert header.metadata["vfxmatte/colorspace"] == "ACEScg"


def test_a_run_in_chunks_is_the_whole_run(folder: Path, tmp_path: Path, solve: Any) -> None:
    solve(folder, tmp_path / "whole")
    solve(folder, tmp_path / "a", frames="1001-1005")
    solve(folder, tmp_path / "b", frames="1006-1008")
    chunks = contents(tmp_path / "a") | contents(tmp_path / "b")
    assert chunks == contents(tmp_path / "whole")
    both = solve(folder, tmp_path / "c", frames="1001-1008x7") + solve(folder, tmp_path / "c")
    assert len(redone(both)) == 8
    assert contents(tmp_path / "c") == contents(tmp_path / "whole")


@pytest.mark.parametrize("first", [0, 7, 2_000_000_000])
def test_any_frame_number_and_a_single_frame(tmp_path: Path, solve: Any, first: int) -> None:
    MovingShot(frames=1, width=64, height=48, first=first).write(tmp_path)
    (result,) = solve(tmp_path)
    assert result.status == "written" and result.number == first
    assert result.path is not None and result.path.name == f"matte.{first:04d}.exr"


@pytest.mark.parametrize("keyframes", [(1003,), (1006,), (1003, 1006)])
def test_keyframes_may_stand_only_in_the_middle(
    tmp_path: Path, solve: Any, keyframes: tuple[int, ...]
) -> None:
    MovingShot(frames=8, width=64, height=48, keyframes=keyframes).write(tmp_path)
    assert states(solve(tmp_path)) == dict.fromkeys(NUMBERS, "written")


@pytest.mark.parametrize("keyframes", [(1,), (3,), (2, 4), (5,)])
def test_a_movie_is_a_plate_too(tmp_path: Path, solve: Any, keyframes: tuple[int, ...]) -> None:
    """It is read in two places at once: for the motion and for the pictures."""
    shot = MovingShot(frames=5, width=64, height=48, first=1, keyframes=keyframes)
    shot.write(tmp_path)
    for path in (tmp_path / "plate").iterdir():
        path.unlink()
    frames = [np.dstack([shot.pixels(n), np.ones((48, 64, 1), np.float32)]) for n in shot.numbers]
    write_prores(tmp_path / "plate" / "plate.mov", frames, 24)
    results = solve(tmp_path)
    assert states(results) == dict.fromkeys(range(1, 6), "written")
    assert redone(solve(tmp_path, frames="2-4")) == []
    for path in (tmp_path / "matte").glob("*.exr"):
        path.unlink()
    before = results[3].path
    assert redone(solve(tmp_path, frames="4")) == [4]  # a seek into the middle
    assert before is not None and before.is_file()
    assert threads_left() == []


def test_odd_keyframes_give_what_they_say(folder: Path, solve: Any) -> None:
    """Nothing unknown: alpha is the trimap. All unknown: all is solved."""
    certain = np.zeros((48, 64), np.uint8)
    certain[10:30, 20:40] = FOREGROUND
    paint(trimap_path(folder, 1001), certain)
    paint(trimap_path(folder, 1008), np.full((48, 64), UNKNOWN, np.uint8))
    results = {result.number: result for result in solve(folder)}
    assert set(states(list(results.values())).values()) == {"written"}
    np.testing.assert_array_equal(alpha_of(folder / "matte", 1001), certain == FOREGROUND)
    assert results[1001].stats["unknown_share"] == 0
    assert results[1008].stats["unknown_share"] == 1


# -- again: what is kept and what is done again ---------------------------------------------------


def test_a_second_run_keeps_everything_and_writes_no_matte(folder: Path, solve: Any) -> None:
    first = solve(folder)
    times = {path: path.stat().st_mtime_ns for path in (folder / "matte").rglob("*.exr")}
    second = solve(folder)
    assert states(second) == dict.fromkeys(NUMBERS, "kept")
    assert [r.path for r in second] == [r.path for r in first]
    assert [r.stats for r in second] == [r.stats for r in first]
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert redone(solve(folder, overwrite=True)) == NUMBERS


def brighter(folder: Path, number: int) -> None:
    """The same plate with one frame's picture changed."""
    planes = read_image(plate_path(folder, number)).pixels * 1.5
    write_exr(
        plate_path(folder, number), {c: planes[:, :, i] for i, c in enumerate("RGB")},
        data_window=WINDOW, display_window=WINDOW,
    )  # fmt: skip


def wider_key(folder: Path, number: int) -> None:
    labels = cv2.imread(str(trimap_path(folder, number)), cv2.IMREAD_GRAYSCALE)
    labels[:, 30:34] = UNKNOWN
    paint(trimap_path(folder, number), labels)


def paint_over(folder: Path, number: int) -> None:
    """Take a propagated trimap, paint on it, and make it a keyframe."""
    (folder / "matte" / "trimaps" / f"trimap.{number}.png").rename(trimap_path(folder, number))
    wider_key(folder, number)


@pytest.mark.parametrize(
    ("change", "number", "affected"),
    [
        (wider_key, 1004, [1002, 1003, 1004, 1005, 1006, 1007]),
        (wider_key, 1001, [1001, 1002, 1003]),
        (brighter, 1002, [1002, 1003]),
        (paint_over, 1006, [1005, 1006, 1007]),
        (lambda folder, n: (folder / "matte" / f"matte.{n}.exr").unlink(), 1005, [1005]),
    ],
)
def test_a_change_does_again_what_it_affects_as_if_all_were_new(
    folder: Path, tmp_path: Path, solve: Any, change: Any, number: int, affected: list[int]
) -> None:
    solve(folder)
    change(folder, number)
    assert redone(solve(folder)) == affected
    solve(folder, tmp_path / "afresh")
    assert contents(folder / "matte") == contents(tmp_path / "afresh")


def test_other_weights_or_settings_do_all_again(folder: Path, tmp_path: Path, solve: Any) -> None:
    solve(folder)
    torch.manual_seed(77)
    other = tmp_path / "other.safetensors"
    save_weights(other, DeepImageMatting(DimConfig(width=0.0625, fc6_channels=64)), name="other")
    engine = {"weights": str(other), "device": "cpu"}
    assert redone(solve(folder, engine=engine)) == NUMBERS
    assert redone(solve(folder, engine=engine, output={"compression": "zips"})) == NUMBERS


KILLED = """
import sys
from pathlib import Path
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.pipeline.run import run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
folder, output, weights = map(Path, sys.argv[1:])
settings = RunSettings(engine=EngineSettings(weights=weights, device="cpu"))
for done, result in enumerate(run(Shot.open(folder, output=output), settings), 1):
    print(result.number, flush=True)
    if done == 3:
        sys.stdin.read()
"""


def test_a_killed_run_goes_on_and_ends_as_if_undisturbed(
    folder: Path, tmp_path: Path, solve: Any, tiny_weights: Path
) -> None:
    output = tmp_path / "killed"
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder), str(output), str(tiny_weights)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert child.stdout is not None
    seen = [int(child.stdout.readline()) for _ in range(3)]
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert seen == NUMBERS[:3] and not (output / "manifest.json").exists()
    (output / ".matte.1005.99999.part.exr").write_bytes(b"half")  # cut off while writing
    results = solve(folder, output)
    assert states(results) == dict.fromkeys(seen, "kept") | dict.fromkeys(NUMBERS[3:], "written")
    solve(folder, tmp_path / "undisturbed")
    assert contents(output) == contents(tmp_path / "undisturbed")
    assert leftovers(output) == [] and list((tmp_path / "tmp").iterdir()) == []


def test_an_interrupt_leaves_no_thread_and_the_run_goes_on(
    folder: Path, tmp_path: Path, solve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C arrives in the main thread, most likely in the network."""
    mattes = DeepEngine.mattes

    def interrupted(self: DeepEngine, tasks: Iterator[Task]) -> Iterator[Matte]:
        for matte in mattes(self, tasks):
            if matte.number == 1007:
                raise KeyboardInterrupt
            yield matte

    with monkeypatch.context() as patch:
        patch.setattr(DeepEngine, "mattes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            solve(folder)
    assert threads_left() == [] and leftovers(folder / "matte") == []
    results = solve(folder)
    assert "kept" in states(results).values() and 1007 in redone(results)
    solve(folder, tmp_path / "undisturbed")
    assert contents(folder / "matte") == contents(tmp_path / "undisturbed")


def test_leaving_early_leaves_no_thread(folder: Path, solve: Any, tiny_weights: Path) -> None:
    settings = RunSettings(engine=EngineSettings(weights=tiny_weights, device="cpu"))
    results = run(Shot.open(folder), settings)
    assert next(results).number == 1001
    results.close()  # type: ignore[attr-defined]
    assert threads_left() == [] and leftovers(folder / "matte") == []
    assert states(solve(folder))[1001] == "kept"


def test_two_runs_on_one_output_are_refused(folder: Path, solve: Any, tiny_weights: Path) -> None:
    settings = RunSettings(engine=EngineSettings(weights=tiny_weights, device="cpu"))
    first = run(Shot.open(folder), settings)
    next(first)
    with pytest.raises(OutputLockedError, match="another run") as caught:
        solve(folder)
    assert caught.value.shot == folder.name and caught.value.path == str(folder / "matte")
    assert len(list(first)) == 7


# -- bad input: named, and nothing lost -----------------------------------------------------------


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


def test_missing_weights_are_named_with_the_shot(folder: Path, solve: Any) -> None:
    with pytest.raises(WeightsError, match="no such weights file") as caught:
        solve(folder, engine={"weights": "lost.safetensors", "device": "cpu"})
    assert caught.value.shot == folder.name


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


# -- the chain of stages --------------------------------------------------------------------------


def test_the_page_shows_the_stages_in_their_order() -> None:
    """docs/architecture.md, "How a run flows"."""
    page = Path(__file__).parents[2] / "docs" / "architecture.md"
    block = page.read_text(encoding="utf-8").split("## How a run flows")[1].split("```")[1]
    shown = [line.split()[0] for line in block.splitlines() if line.strip()]
    source = ast.parse(inspect.getsource(stages))
    names = [node.id for node in ast.walk(source) if isinstance(node, ast.Name)]
    order = sorted(
        (node.lineno, node.id)
        for node in ast.walk(source)
        if isinstance(node, ast.Name) and node.id in shown
    )
    assert set(shown) <= set(names) and [name for _, name in order] == shown
