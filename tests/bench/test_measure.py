"""`vfxmatte bench`: what it measures, how it reports it, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from vfxmatte.bench.measure import BenchSettings, measure
from vfxmatte.cli.bench import command
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.errors import UsageError

SMALL = BenchSettings(width=160, height=96, unknown_share=0.2, frames=4, repeats=2)


def test_the_engine_and_a_whole_run_are_measured(tiny_weights: Path) -> None:
    costs = measure(SMALL, EngineSettings(device="cpu", weights=tiny_weights))
    assert len(costs.engine.seconds_per_frame.seconds) == 2
    assert costs.engine.device == "cpu"
    assert costs.shot is not None
    assert costs.shot.frames == 4
    assert costs.shot.fps == pytest.approx(4 / costs.shot.seconds)
    assert costs.peak_gpu_bytes is None


def test_a_shot_of_no_frames_is_left_out(tiny_weights: Path) -> None:
    settings = BenchSettings(width=160, height=96, unknown_share=0.2, frames=0, repeats=1)
    assert measure(settings, EngineSettings(device="cpu", weights=tiny_weights)).shot is None


def test_json_holds_the_machine_and_every_repeat(tiny_weights: Path) -> None:
    arguments = ["--size", "160x96", "--unknown", "0.2", "--frames", "0", "--repeats", "2"]
    done = CliRunner().invoke(
        command, [*arguments, "--weights", str(tiny_weights), "--device", "cpu", "--json"]
    )
    assert done.exit_code == 0, done.output
    record = json.loads(done.output)
    assert len(record["engine"]["seconds_per_frame"]["raw"]) == 2
    assert record["settings"]["width"] == 160
    assert record["machine"]["cores"] >= 1


def test_the_text_says_how_fast(tiny_weights: Path) -> None:
    arguments = ["--size", "160x96", "--unknown", "0.2", "--frames", "4", "--repeats", "1"]
    done = CliRunner().invoke(
        command, [*arguments, "--weights", str(tiny_weights), "--device", "cpu"]
    )
    assert "160×96, 20% unknown, cpu float32" in done.output
    assert "frames/s over 4 frames" in done.output


@pytest.mark.parametrize(("name", "value"), [("frames", 2), ("repeats", 0)])
def test_impossible_settings_are_refused(name: str, value: int) -> None:
    with pytest.raises(UsageError, match=name):
        BenchSettings(**{name: value})


def test_a_size_that_is_none_is_refused() -> None:
    done = CliRunner().invoke(command, ["--size", "HD"])
    assert isinstance(done.exception, UsageError)
