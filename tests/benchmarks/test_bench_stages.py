"""The stages around the network and whole runs, on tiny made-up shots."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.benchmarks.end_to_end import EndToEndSettings, measure_end_to_end
from tests.benchmarks.footage import measure_footage
from tests.benchmarks.network import NetworkSettings
from tests.benchmarks.run_cost import RunCost, measure_run
from tests.benchmarks.stages import StageSettings, measure_stages
from vfxmatte.bench.moving_shot import MovingShot
from vfxmatte.errors import UsageError
from vfxmatte.pipeline.shot import Shot

SETTINGS = StageSettings(frames=4, repeats=2, warmup=0, workers=2)


def test_each_stage_has_its_row(tmp_path: Path) -> None:
    rows = measure_stages(128, 96, replace(SETTINGS, folder=tmp_path))
    names = [row["stage"] for row in rows]
    assert names == [
        *("read", "colour", "flow", "propagation", "write", "write RGBA"),
        *("copy", "copy, oiiotool"),
    ]
    measured = rows if shutil.which("oiiotool") else rows[:-1]
    for row in measured:
        assert row["failure"] is None and (row["width"], row["height"]) == (128, 96)
        assert len(row["one_worker_seconds_per_frame"]["raw"]) == 2
        assert row["one_worker_seconds_per_frame"]["median"] > 0
        many = row["all_workers_seconds_per_frame"]["median"]
        assert row["frames_per_s"] == pytest.approx(1 / many) and row["workers"] == 2
    assert not list(tmp_path.iterdir())


def test_stages_may_be_chosen_and_oiiotool_may_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    chosen = replace(SETTINGS, stages=["write", "read"], folder=tmp_path, repeats=1)
    rows = measure_stages(64, 48, chosen)
    assert [row["stage"] for row in rows] == [
        "write", "write RGBA", "read", "copy", "copy, oiiotool",
    ]  # fmt: skip
    assert rows[-1]["failure"] == "oiiotool is not on the PATH"


def test_a_copy_by_oiiotool_is_the_same_picture(tmp_path: Path) -> None:
    if shutil.which("oiiotool") is None:
        pytest.skip("oiiotool is not on the PATH")
    from tests.benchmarks.stages import _Stages
    from vfxmatte.io.plates import open_plate
    from vfxmatte.io.stills.reading import read_image

    shot = MovingShot(frames=2, width=64, height=48)
    shot.write(tmp_path)
    with open_plate(tmp_path / "plate") as plate:
        bench = _Stages(shot=shot, plate=plate, folder=tmp_path, settings=SETTINGS)
        assert bench._oiiotool()["failure"] is None
        bench._copy()
    for number in shot.numbers:
        expected = read_image(tmp_path / "plate" / f"plate.{number}.exr").pixels
        for name in ("copy", "copied"):
            copied = read_image(tmp_path / "copy" / f"{name}.{number}.exr").pixels
            assert np.array_equal(copied, expected)


def test_modes_are_compared_on_painted_frames(tiny_shot: Path, tiny_weights: Path) -> None:
    settings = NetworkSettings(sizes=[], shares=[], device="cpu", weights=tiny_weights)
    rows = measure_footage([tiny_shot], settings)
    assert [row["mode"] for row in rows] == ["exact", "fast", "plain"]
    unknown = [np.count_nonzero(cv2.imread(str(p), 0) == 128) for p in tiny_shot.glob("trimaps/*")]
    assert len(unknown) == 2 and {row["unknown_px"] for row in rows} == {sum(unknown)}
    assert {row["shot"] for row in rows} == {"tiny shot"}
    assert rows[0]["difference"]["maximum"] < 1e-4 and rows[2]["difference"]["maximum"] < 1e-4


def test_the_made_up_shot_has_the_share_asked_for() -> None:
    shot = MovingShot(frames=3, width=480, height=270, unknown_share=0.1)
    assert shot.trimap(1002).unknown_share == pytest.approx(0.1, rel=0.1)
    for share in (0.005, 0.7):
        with pytest.raises(UsageError, match="does not fit around"):
            replace(shot, unknown_share=share).band_px()


def test_one_run_is_measured_with_its_stages_and_waits(tmp_path: Path, tiny_weights: Path) -> None:
    folder = MovingShot(frames=4, width=64, height=48).write(tmp_path)
    cost = measure_run(folder, weights=tiny_weights, device="cpu", record_gpu=True)
    assert (cost.frames, cost.failed, cost.device) == (4, 0, "cpu")
    assert set(cost.stages_ms) >= {"read", "colour", "solve", "write"}
    assert list(cost.seconds_at_frame) == sorted(cost.seconds_at_frame)
    assert 0 < cost.waited_seconds < cost.engine_seconds < cost.seconds
    assert cost.waiting_share is not None and 0 < cost.waiting_share < 1
    assert cost.peak_gpu_bytes is None and cost.gpu_busy_seconds is None
    assert cost.gpu_idle_share is None  # there is none
    assert cost.unknown_share is not None and 0 < cost.unknown_share < 1
    assert len(list(Shot.open(folder).output.glob("matte.*.exr"))) == 4


def test_figures_of_a_run() -> None:
    cost = RunCost(
        frames=4,
        failed=0,
        seconds=5.0,
        ready_seconds=2.0,
        peak_rss_bytes=None,
        device="cuda:0 (a GPU)",
        seconds_at_frame=(3.0, 3.5, 3.75, 4.0),
        engine_seconds=2.0,
        waited_seconds=0.5,
        gpu_busy_seconds=1.5,
    )
    assert cost.fps == 2.0
    assert cost.waiting_share == 0.25 and cost.gpu_idle_share == 0.25
    alone = replace(cost, seconds_at_frame=(3.0,), gpu_busy_seconds=None, engine_seconds=0.0)
    assert alone.fps == 1.0 and alone.waiting_share is None
    assert alone.gpu_idle_share is None


@pytest.mark.usefixtures("warm_children")
def test_end_to_end(tmp_path: Path, tiny_weights: Path) -> None:
    settings = EndToEndSettings(
        frames=5,
        unknown_share=0.15,
        keyframe_every=3,
        runs=1,
        device="cpu",
        weights=tiny_weights,
        folder=tmp_path,
    )
    row = measure_end_to_end(128, 96, settings)
    assert row["failed"] == 0 and row["frames"] == 5 and row["gpu_idle_share"] is None
    assert row["fps"] > 0 and 0 < row["waiting_share"] < 1
    assert row["peak_rss_bytes"] > 50e6 and len(row["runs"]) == 1
    assert row["unknown_share"] == pytest.approx(0.15, rel=0.5)
    assert row["plate_bytes_per_frame"] > 128 * 96 and row["results_bytes_per_frame"] > 1000
    assert not list(tmp_path.iterdir())


def test_keyframes_come_regularly_and_last() -> None:
    settings = EndToEndSettings(frames=24, keyframe_every=12)
    assert settings.shot(480, 270).keyframes == (1001, 1013, 1024)
    assert replace(settings, frames=25).shot(480, 270).keyframes == (1001, 1013, 1025)


def test_a_shot_too_short_is_refused() -> None:
    with pytest.raises(UsageError, match=r"4 frames, 1 run .* found 2, 3 and 12"):
        EndToEndSettings(frames=2)
