"""What a batch prints and reports: lines, JSON events, a bar, a page."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.batch.conftest import NAMES, batch, events, mattes
from tests.conftest import TINY_NUMBERS, write_tiny_shot
from vfxmatte.batch.pace import BatchPace
from vfxmatte.cli.report import ProgressReport
from vfxmatte.fitting.fit import FitProgress
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import FrameResult


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
