"""The made-up shot, one measured run, and how a comparison is told."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from vfxmatte.bench import (
    MemoryReport,
    MovingShot,
    RunCost,
    command,
    measure_memory,
    measure_run,
    peak_rss_bytes,
)
from vfxmatte.errors import UsageError, VfxmatteError
from vfxmatte.shot import Shot

COST = RunCost(frames=40, failed=0, seconds=2.0, peak_rss_bytes=100 * 2**20, device="cpu")


def report(peak: int) -> MemoryReport:
    long = dataclasses.replace(COST, frames=400, peak_rss_bytes=peak)
    return MemoryReport(width=480, height=270, short=COST, long=long, machine="a machine")


def test_the_made_up_shot_moves_and_has_its_keyframes(tmp_path: Path) -> None:
    made = MovingShot(frames=3, width=64, height=48, first=7, keyframes=(8,))
    shot = Shot.open(made.write(tmp_path))
    assert list(made.numbers) == [7, 8, 9] and list(shot.keyframes) == [8]
    centres = [np.average(np.arange(64), weights=made.alpha(n).sum(0)) for n in made.numbers]
    assert centres[0] + 5 < centres[1] < centres[2] - 5
    soft = (made.alpha(7) > 0) & (made.alpha(7) < 1)
    assert soft.any() and made.pixels(7).max() > 1


def test_one_run_is_measured(tmp_path: Path, tiny_weights: Path) -> None:
    shot = MovingShot(frames=2, width=64, height=48).write(tmp_path)
    cost = measure_run(shot, weights=tiny_weights, device="cpu")
    assert (cost.frames, cost.failed, cost.device) == (2, 0, "cpu")
    assert cost.seconds > 0 and 50 * 2**20 < cost.peak_rss_bytes <= peak_rss_bytes()


def test_a_run_apart_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    with pytest.raises(VfxmatteError, match="exit code 3"):
        measure_memory(short=2, long=3, width=32, height=32, weights=tmp_path / "lost.safetensors")


def test_the_report_says_whether_the_wanted_ratio_is_met() -> None:
    met, missed = report(104 * 2**20), report(110 * 2**20)
    assert met.ratio == pytest.approx(1.04) and met.as_dict()["ratio"] == met.ratio
    assert str(met).splitlines()[2] == "ratio 1.040, wanted at most 1.05: met"
    assert str(missed).splitlines()[2] == "ratio 1.100, wanted at most 1.05: MISSED"
    assert "a machine, cpu" in str(met)


def test_lengths_and_sizes_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="not 40, 40"):
        measure_memory(short=40, long=40)
    result = CliRunner().invoke(command, ["memory", "--size", "large"])
    assert isinstance(result.exception, UsageError)


def test_help_names_the_measurements() -> None:
    result = CliRunner().invoke(command, ["--help"])
    assert (
        result.exit_code == 0 and "memory" in result.output and "one" not in result.output.split()
    )
