"""`vfxmatte batch`: which shots it finds, what it does with them, what it says, how it ends."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from tests.conftest import TINY_NUMBERS, write_tiny_shot
from vfxmatte.batch.pace import BatchPace
from vfxmatte.cli import commands
from vfxmatte.cli.report import ProgressReport
from vfxmatte.cli.shot_list import ShotList, find_shots
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.engines.registry import open_engine
from vfxmatte.errors import DeviceError, UsageError
from vfxmatte.fitting.fit import FitProgress
from vfxmatte.io.stills.reading import read_image
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.shot import Shot
from vfxmatte.serve import engine_cache
from vfxmatte.types import FrameResult

NAMES = ["sh010", "sh020", "sh030", "sh040", "sh050"]
COMMON: dict[str, Any] = {"shot": None, "plate": None, "trimaps": None, "folder": None}
COMMON |= {"extra": (), "part": None}


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """A folder of five shots, of which sh030 has lost its plate."""
    for name in NAMES:
        write_tiny_shot(tmp_path / "shots" / name)
    shutil.rmtree(tmp_path / "shots" / "sh030" / "plate")
    return tmp_path / "shots"


def batch(*arguments: object) -> Result:
    words = ["batch", "--device", "cpu", *map(str, arguments)]
    return CliRunner().invoke(commands, words, prog_name="vfxmatte")


def events(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "batch_report.json").read_text("utf-8"))
    return found


def mattes(folder: Path) -> list[int]:
    return sorted(int(path.name.split(".")[1]) for path in folder.glob("matte/matte.*.exr"))


def listed(*arguments: object, **common: Any) -> ShotList:
    return find_shots([str(one) for one in arguments], {**COMMON, **common})


# -- what is done ------------------------------------------------------------------------------


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


def test_several_devices(shots: Path, tiny_weights: Path) -> None:
    words = [str(shots / "sh010"), str(shots / "sh020"), "--weights", str(tiny_weights)]
    result = CliRunner().invoke(commands, ["batch", *words, "--device", "cpu,cpu"])
    assert result.exit_code == 0, result.output
    assert mattes(shots / "sh010") == mattes(shots / "sh020") == list(TINY_NUMBERS)
    assert {one["totals"]["device"] for one in report(shots)["shots"]} == {"cpu, cpu"}


# -- what is said ------------------------------------------------------------------------------


def test_a_dry_run_checks_all_and_writes_nothing(shots: Path) -> None:
    before = sorted(shots.rglob("*"))
    result = batch(shots, "--dry-run")
    assert result.exit_code == 3 and "sh030      cannot run" in result.stdout
    assert result.stdout.count("5 of 5 frames to do (1001-1005)") == 4
    assert sorted(shots.rglob("*")) == before


def test_a_dry_run_loads_no_torch(shots: Path) -> None:
    code = (
        "import sys\nfrom vfxmatte.cli import commands\n"
        f"commands(['batch', {str(shots)!r}, '--dry-run'], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_json_has_the_progress_of_the_whole(shots: Path) -> None:
    found = events(batch(shots, "--engine", "trimap", "--keep-going", "--json"))
    assert [e["event"] for e in found[:5]] == ["check"] * 5
    assert [e["exit_code"] for e in found[:5]] == [0, 0, 3, 0, 0]
    frames = [e for e in found if e["event"] == "frame"]
    assert [e["batch"]["frames"] for e in frames] == list(range(1, 21))
    assert {e["batch"]["count"] for e in frames} == {20}
    assert [e["shot"] for e in frames[::5]] == ["sh010", "sh020", "sh040", "sh050"]
    assert [e["shot"] for e in found if e["event"] == "shot"] == [e["shot"] for e in frames[::5]]
    end = found[-1]
    assert (end["event"], end["exit_code"], end["exit_codes"]["sh030"]) == ("end", 3, 3)
    assert [Path(name).name for name in end["files"]] == ["batch_report.html", "batch_report.json"]


def test_quiet_prints_failures_only(shots: Path) -> None:
    result = batch(shots, "--engine", "trimap", "--keep-going", "--quiet")
    assert not result.stdout and "sh030" in result.stderr
    assert batch(shots / "sh010", "--engine", "trimap", "--quiet").output == ""


def test_the_time_left_counts_no_finished_frames() -> None:
    now = iter(range(100))
    pace = BatchPace(clock=lambda: float(next(now)), finished_before=4)
    pace.add(FrameResult(number=1, status="kept"))
    for number in (2, 3, 4):
        pace.add(FrameResult(number=number, status="written"))
    pace.given_up += 2
    assert pace.frames == 6
    assert pace.seconds_left(20 - pace.frames) == 11  # of 14, three are finished


def test_a_report_in_markdown_and_no_other_file_is_replaced(shots: Path, tmp_path: Path) -> None:
    page = tmp_path / "night.md"
    how = [shots / "sh010", "--engine", "trimap", "--report"]
    assert batch(*how, page, "--preview", "sheet").exit_code == 0
    text = page.read_text("utf-8")
    assert "| sh010 | done | 5 written |" in text
    assert "(shots/sh010/matte/preview.png)" in text
    assert batch(*how, page).exit_code == 0  # its own is replaced
    (tmp_path / "notes.html").write_text("mine")
    refused = batch(*how, tmp_path / "notes.html", "--overwrite")
    assert refused.exit_code == 3 and "not a batch's report" in refused.stderr
    assert (tmp_path / "notes.html").read_text() == "mine"
    wrong = batch(*how, tmp_path / "night.pdf")
    assert wrong.exit_code == 2 and ".html or .md" in wrong.stderr


def test_a_report_that_cannot_be_written_is_said_before_the_work(shots: Path) -> None:
    (shots / "file").write_text("")
    how = [shots / "sh010", "--engine", "trimap", "--report", shots / "file" / "night.html"]
    result = batch(*how)
    assert result.exit_code == 3 and "--report NAME.html puts the report elsewhere" in result.stderr
    assert not (shots / "sh010" / "matte").exists()


def test_a_report_that_is_lost_on_the_way_stops_no_batch(
    shots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, folder = Run.frames, tmp_path / "reports"

    def losing(self: Run) -> Any:
        shutil.rmtree(folder, ignore_errors=True)
        folder.write_text("in the way") if not folder.exists() else None
        yield from plain(self)

    monkeypatch.setattr(Run, "frames", losing)
    how = ["--engine", "trimap", "--report", folder / "night.html"]
    result = batch(shots / "sh010", shots / "sh020", *how)
    assert result.exit_code == 1 and "cannot write" in result.stderr
    assert mattes(shots / "sh010") == mattes(shots / "sh020") == list(TINY_NUMBERS)


def test_names_in_the_page_are_text(tmp_path: Path) -> None:
    write_tiny_shot(tmp_path / "<b>a & b")
    assert batch(tmp_path, "--engine", "trimap", "--preview", "sheet").exit_code == 0
    page = (tmp_path / "batch_report.html").read_text("utf-8")
    assert "&lt;b&gt;a &amp; b" in page and "<b>" not in page
    assert "%3Cb%3Ea%20%26%20b/matte/preview.png" in page


# -- which shots -------------------------------------------------------------------------------


def test_folders_patterns_and_stray_files(shots: Path) -> None:
    (shots / "refs").mkdir()
    (shots / "batch_report.html").write_text("")
    found = listed(shots)
    assert [one.name for one in found.shots] == NAMES and found.home == shots
    assert len(found.notes) == 1 and "refs, which has no plate/" in found.notes[0]
    assert [one.name for one in listed(shots / "sh0[12]0").shots] == NAMES[:2]
    (shots / "refs" / "photo.jpg").write_text("")
    found = listed(*sorted(shots.iterdir()))  # as a shell does
    assert [one.name for one in found.shots] == NAMES
    assert "batch_report.html" in found.notes[0] and "refs, which has no" in found.notes[1]
    assert len(listed(shots, shots / "sh010", shots / ".." / "shots" / "sh010").shots) == 5


def test_a_list_has_a_shot_a_line_with_its_own_options(shots: Path, tmp_path: Path) -> None:
    write_tiny_shot(tmp_path / "a long name")
    text = tmp_path / "tonight.txt"
    text.write_text(
        "# comment\n\nshots/sh01* --mode fast\na long name\n"
        "shots/sh020 --frames 1001-1003 --set propagation.growth_px=2 --output 'out/two'\n"
        "--plate 'shots/sh040/plate/plate.####.exr' --trimaps shots/sh040/trimaps --output out/b\n"
    )
    found = listed(text, extra=("workers=3",), missing="skip")
    assert [one.name for one in found.shots] == ["sh010", "a long name", "sh020", "b"]
    assert found.shots[2].source == f"{text}, line 5" and found.home == tmp_path
    opened = [one.open() for one in found.shots]
    assert [one.settings.engine.mode for one in opened] == ["fast", "exact", "exact", "exact"]
    assert all(one.settings.missing == "skip" and one.settings.workers == 3 for one in opened)
    assert str(opened[2].settings.frames) == "1001-1003"
    assert opened[2].settings.propagation.growth_px == 2
    assert opened[2].output == tmp_path / "out" / "two"
    assert opened[3].plate == shots / "sh040" / "plate" / "plate.####.exr"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sh010 sh020", "extra argument"),
        ("sh010 --mod fast", "--mod"),
        ("sh010 --mode quick", "quick"),
        ("'sh010", "a quote is missing"),
        ("sh0[89]*", "no shot folder matches"),
        ("other.txt", "cannot name another list"),
    ],
)
def test_a_wrong_line_is_named(shots: Path, line: str, said: str) -> None:
    (shots / "other.txt").write_text("sh010\n")
    (shots / "list.txt").write_text(f"sh010\n{line}\n")
    result = batch(shots / "list.txt", "--engine", "trimap", "--keep-going")
    assert result.exit_code == 2 and said in result.stderr
    assert "line 2" in result.stderr and "list.txt" in result.stderr
    assert not list(shots.glob("*/matte"))


def test_wrong_use_of_arguments(shots: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for argument, said in (
        (tmp_path / "empty.txt", "names no shot"),
        (shots / "sh9*", "no shot folder matches"),
        (tmp_path / "deep", "no shot lies in this folder"),
        (shots / "sh010" / "plate" / "plate.1001.exr", "nor a list of shots"),
    ):
        with pytest.raises(UsageError, match=said):
            listed(argument)


def test_a_missing_folder_is_a_broken_shot(shots: Path) -> None:
    result = batch(shots / "sh010", shots / "sh070", "--engine", "trimap", "--keep-going")
    assert result.exit_code == 3 and "there is no such shot folder" in result.stderr
    assert mattes(shots / "sh010") == list(TINY_NUMBERS)


def test_shots_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for place in ("ep1/sh010", "ep2/sh010", "ep2/sh020"):
        write_tiny_shot(tmp_path / place)
    found = listed(tmp_path / "*" / "sh*", folder=tmp_path / "out")
    assert [one.name for one in found.shots] == ["sh010_ep1", "sh010_ep2", "sh020"]
    assert [one.values["folder"] for one in found.shots] == [
        tmp_path / "out" / name for name in ("sh010_ep1", "sh010_ep2", "sh020")
    ]


def test_two_shots_never_write_to_one_folder(shots: Path) -> None:
    (shots / "list.txt").write_text("sh010\nsh020\nsh010 --mode fast\n")
    result = batch(shots / "list.txt", "--engine", "trimap", "--keep-going")
    assert result.exit_code == 2
    assert "sh010 (2)" in result.stderr and "line 3" in result.stderr and "line 1" in result.stderr
    assert mattes(shots / "sh010") == mattes(shots / "sh020") == list(TINY_NUMBERS)


def test_the_bar_of_a_terminal_goes_on_from_shot_to_shot(shots: Path) -> None:
    report = ProgressReport(Console(file=io.StringIO(), force_terminal=True), 12)
    pace = BatchPace()
    for name in NAMES[:2]:
        with Run(Shot.open(shots / name)) as run:
            report.start(run)
        pace.add(FrameResult(number=1001, status="written"))
        report.frame(FrameResult(number=1001, status="written"), pace)
        report.close()
    (task,) = report.progress.tasks
    assert (task.completed, task.total) == (2, 12)


# -- the fit to the shot -----------------------------------------------------------------------


QUICK_FIT = ["--fit", "0.0333", "--set", "fit.crop_px=64", "--set", "fit.batch=2"]


def test_shots_are_fitted_and_their_fits_shown_in_one_progress(
    shots: Path, light_weights: Path
) -> None:
    shutil.rmtree(shots)
    for name in NAMES[:2]:
        write_tiny_shot(shots / name)
    found = events(batch(shots, "--weights", light_weights, *QUICK_FIT, "--json"))
    assert found[-1]["exit_code"] == 0
    fits = [e for e in found if e["event"] == "fit"]
    assert {e["shot"] for e in fits} == set(NAMES[:2]) and fits[0]["steps"] == 4
    assert {(e["shot"], e["batch"]["frames"]) for e in fits} == {("sh010", 0), ("sh020", 5)}
    assert {e["batch"]["count"] for e in fits} == {10}
    said = [note for one in report(shots)["shots"] for note in one["notes"]]
    assert sum("fitted to the shot: on keyframe 1005" in note for note in said) == 2


def test_the_bar_shows_a_fit_and_keeps_its_place(shots: Path) -> None:
    report = ProgressReport(Console(file=io.StringIO(), force_terminal=True), 10)
    with Run(Shot.open(shots / "sh010")) as run:
        report.start(run)
    pace = BatchPace()
    pace.add(FrameResult(number=1001, status="written"))
    report.frame(FrameResult(number=1001, status="written"), pace)
    (task,) = report.progress.tasks
    report.fit(FitProgress(step=20, steps=120, error=0.05))
    assert task.description == "fitting to the shot: step 20 of 120, error 0.050"
    assert (task.completed, task.total) == (1, 10)
    report.fit(FitProgress(step=120, steps=120, error=0.05))
    assert task.description == "following the keyframes"
    report.close()
