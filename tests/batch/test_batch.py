"""Batches: what is done with which shots, in what order, and how a batch ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.batch.conftest import NAMES, batch, events, mattes, report
from tests.conftest import TINY_NUMBERS, write_tiny_shot
from tests.fitting.conftest import QUICK_OPTIONS
from vfxmatte.cli import commands
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.engines.registry import open_engine
from vfxmatte.errors import DeviceError
from vfxmatte.io.stills.reading import read_image
from vfxmatte.pipeline.run import Run
from vfxmatte.serve import engine_cache


def test_one_broken_shot_of_five_leaves_four_delivered(
    shots: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[EngineSettings] = []

    def counted(settings: EngineSettings) -> Any:
        opened.append(settings)
        return open_engine(settings)

    monkeypatch.setattr(engine_cache.EngineCache.__init__, "__kwdefaults__", {
        **engine_cache.EngineCache.__init__.__kwdefaults__, "opener": counted,
    })  # fmt: skip
    result = batch(shots, "--weights", tiny_weights, "--keep-going")
    assert result.exit_code == 3  # that of the worst shot
    assert {n: mattes(shots / n) for n in NAMES} == {
        n: [] if n == "sh030" else list(TINY_NUMBERS) for n in NAMES
    }
    assert len(opened) == 1
    assert "20/20 100%" in result.stdout and "4 of 5 shots done" in result.stdout
    assert result.stderr.count("the shot has no plate") == 2  # when it is found, and at the end
    found = report(shots)
    assert (found["exit_code"], found["done"], found["frames"]["written"]) == (3, 4, 20)
    assert [one["state"] for one in found["shots"]] == [
        "done", "done", "cannot run", "done", "done",
    ]  # fmt: skip
    (reason,) = found["shots"][2]["reasons"]
    assert "the shot has no plate" in reason and "sh030" in reason and "put an image" in reason
    page = (shots / "batch_report.html").read_text("utf-8")
    assert "4 of 5 shots done" in page and "the shot has no plate" in page


def test_its_mattes_are_those_of_run(shots: Path, tmp_path: Path, tiny_weights: Path) -> None:
    plain = tmp_path / "plain"
    how = ["--weights", str(tiny_weights), "--device", "cpu", "--output", str(plain)]
    assert CliRunner().invoke(commands, ["run", str(shots / "sh020"), *how]).exit_code == 0
    out = tmp_path / "out"
    assert (
        batch(shots / "sh010", shots / "sh020", "-o", out, "--weights", tiny_weights).exit_code == 0
    )
    assert not (shots / "sh020" / "matte").exists() and report(out)["done"] == 2
    for number in TINY_NUMBERS:
        a, b = (read_image(f / f"matte.{number}.exr").pixels for f in (out / "sh020", plain))
        assert a.tobytes() == b.tobytes()


def test_without_keep_going_nothing_is_begun_when_a_shot_cannot_run(shots: Path) -> None:
    result = batch(shots, "--engine", "trimap")
    assert result.exit_code == 3
    assert "nothing was begun: sh030 cannot run" in result.stderr
    assert "--keep-going to do the other 4" in result.stderr
    assert not list(shots.glob("*/matte"))
    states = [one["state"] for one in report(shots)["shots"]]
    assert states == ["not started", "not started", "cannot run", "not started", "not started"]


def test_failed_frames_end_no_batch(shots: Path) -> None:
    shutil.rmtree(shots / "sh030")
    for number in (1002, 1003):
        (shots / "sh010" / "plate" / f"plate.{number}.exr").write_bytes(b"rubbish")
    result = batch(shots, "--engine", "trimap")
    assert result.exit_code == 1 and "frames 1002-1003 cannot be read" in result.stdout
    first, *others = report(shots)["shots"]
    assert first["state"] == "some frames failed" and mattes(shots / "sh010") == [1001, 1004, 1005]
    assert [one["frame"] for one in first["failed_frames"]] == [1002, 1003]
    (reason,) = first["reasons"]
    assert reason.startswith("frames 1002-1003: expected an EXR") and "plate.1002.exr" in reason
    assert {one["state"] for one in others} == {"done"}


@pytest.mark.parametrize("keep_going", [False, True])
def test_an_error_that_ends_a_shot_ends_the_batch_unless_told_otherwise(
    shots: Path, monkeypatch: pytest.MonkeyPatch, keep_going: bool
) -> None:
    shutil.rmtree(shots / "sh030")
    plain = Run.frames

    def failing(self: Run) -> Any:
        for result in plain(self):
            yield result
            if self.shot.name == "sh020":
                raise DeviceError("the device was lost")

    monkeypatch.setattr(Run, "frames", failing)
    result = batch(shots, "--engine", "trimap", *(["--keep-going"] if keep_going else []))
    assert result.exit_code == 1, result.output  # one frame of that shot was written
    states = [one["state"] for one in report(shots)["shots"]]
    others = ["done", "done"] if keep_going else ["not started", "not started"]
    assert states == ["done", "ended early", *others]
    assert "the device was lost" in report(shots)["shots"][1]["reasons"][0]
    assert ("20/20 100%" in result.stdout) == keep_going  # lost frames count as over
    assert ("the same command goes on" in result.stdout) != keep_going


def test_a_second_time_everything_is_kept(shots: Path) -> None:
    assert batch(shots, "--engine", "trimap", "--keep-going").exit_code == 3
    before = {path: path.stat().st_mtime_ns for path in shots.glob("*/matte/matte.*")}
    result = batch(shots, "--engine", "trimap", "--keep-going")
    assert "0 of 5 frames to do" in result.stdout and len(before) == 20
    assert report(shots)["frames"] == {"written": 0, "kept": 20, "failed": 0, "skipped": 0}
    assert {path: path.stat().st_mtime_ns for path in before} == before
    again = batch(shots, "--engine", "trimap", "--keep-going", "--overwrite")
    assert report(shots)["frames"]["written"] == 20 and again.exit_code == 3


def test_ctrl_c_is_reported_and_the_same_command_goes_on(
    shots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(shots / "sh030")
    plain = Run.frames

    def interrupted(self: Run) -> Any:
        for count, result in enumerate(plain(self)):
            yield result
            if self.shot.name == "sh020" and count == 1:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "frames", interrupted)
        result = batch(shots, "--engine", "trimap")
    assert result.exit_code == 130 and "the same command goes on" in result.stdout
    assert [one["state"] for one in report(shots)["shots"]] == [
        "done", "stopped", "not started", "not started",
    ]  # fmt: skip
    assert batch(shots, "--engine", "trimap").exit_code == 0
    found = report(shots)
    assert found["done"] == 4 and found["frames"]["kept"] >= 7


@pytest.mark.skipif(os.name == "nt", reason="no kill -9 there")
@pytest.mark.usefixtures("warm_children")
def test_a_killed_batch_has_left_a_report_and_goes_on(shots: Path, tmp_path: Path) -> None:
    shutil.rmtree(shots / "sh030")
    code = (
        "import os, signal\nfrom vfxmatte.batch.session import BatchSession\n"
        "from vfxmatte.cli import commands\nplain = BatchSession._run_shot\n"
        "def killed(self, task, *more):\n"
        "    if task.outcome.name == 'sh040': os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return plain(self, task, *more)\nBatchSession._run_shot = killed\n"
        f"commands(['batch', {str(shots)!r}, '--engine', 'trimap'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    found = report(shots)
    assert found["ended"] is None
    assert [one["state"] for one in found["shots"]] == [
        "done",
        "done",
        "not started",
        "not started",
    ]
    assert batch(shots, "--engine", "trimap").exit_code == 0
    assert report(shots)["frames"]["kept"] == 10


def test_shots_with_equal_engines_follow_each_other(
    shots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(shots / "sh030")
    for name, pixels in (("sh010", 1000), ("sh020", 2000), ("sh040", 1000), ("sh050", 2000)):
        table = f'[engine]\nname = "trimap"\nmax_window_px = {pixels}\n'
        (shots / name / "shot.toml").write_text(table)
    order: list[str] = []
    plain = Run.frames

    def noted(self: Run) -> Any:
        order.append(self.shot.name)
        yield from plain(self)

    monkeypatch.setattr(Run, "frames", noted)
    assert batch(shots).exit_code == 0
    assert order == ["sh010", "sh040", "sh020", "sh050"]
    assert [one["shot"] for one in report(shots)["shots"]] == ["sh010", "sh020", "sh040", "sh050"]


@pytest.mark.usefixtures("warm_children")
def test_several_devices(shots: Path, tiny_weights: Path) -> None:
    words = [str(shots / "sh010"), str(shots / "sh020"), "--weights", str(tiny_weights)]
    result = CliRunner().invoke(commands, ["batch", *words, "--device", "cpu,cpu"])
    assert result.exit_code == 0, result.output
    assert mattes(shots / "sh010") == mattes(shots / "sh020") == list(TINY_NUMBERS)
    assert {one["totals"]["device"] for one in report(shots)["shots"]} == {"cpu, cpu"}


def test_a_missing_folder_is_a_broken_shot(shots: Path) -> None:
    result = batch(shots / "sh010", shots / "sh070", "--engine", "trimap", "--keep-going")
    assert result.exit_code == 3 and "there is no such shot folder" in result.stderr
    assert mattes(shots / "sh010") == list(TINY_NUMBERS)


def test_two_shots_never_write_to_one_folder(shots: Path) -> None:
    (shots / "list.txt").write_text("sh010\nsh020\nsh010 --mode fast\n")
    result = batch(shots / "list.txt", "--engine", "trimap", "--keep-going")
    assert result.exit_code == 2
    assert "sh010 (2)" in result.stderr and "line 3" in result.stderr and "line 1" in result.stderr
    assert mattes(shots / "sh010") == mattes(shots / "sh020") == list(TINY_NUMBERS)


def test_shots_are_fitted_and_their_fits_shown_in_one_progress(
    shots: Path, light_weights: Path
) -> None:
    shutil.rmtree(shots)
    for name in NAMES[:2]:
        write_tiny_shot(shots / name)
    found = events(batch(shots, "--weights", light_weights, *QUICK_OPTIONS, "--json"))
    assert found[-1]["exit_code"] == 0
    fits = [e for e in found if e["event"] == "fit"]
    assert {e["shot"] for e in fits} == set(NAMES[:2]) and fits[0]["steps"] == 2
    assert {(e["shot"], e["batch"]["frames"]) for e in fits} == {("sh010", 0), ("sh020", 5)}
    assert {e["batch"]["count"] for e in fits} == {10}
    said = [note for one in report(shots)["shots"] for note in one["notes"]]
    assert sum("fitted to the shot: on keyframe 1005" in note for note in said) == 2
