"""A run over a small shot from end to end: what is delivered."""

from __future__ import annotations

import ast
import inspect
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from tests.pipeline.moving_runs import (
    NUMBERS,
    Solve,
    alpha_of,
    contents,
    leftovers,
    paint,
    redone,
    solver,
    states,
    threads_left,
    trimap_path,
    write_shot,
)
from vfxmatte.bench.moving_shot import MovingShot
from vfxmatte.common.configuration import changed
from vfxmatte.io.movies.movie import write_prores
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.io.stills.reading import read_image
from vfxmatte.network.weights import file_sha256
from vfxmatte.pipeline.chain import stages
from vfxmatte.pipeline.frame import FrameState
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.stages import rate_mattes
from vfxmatte.propagation.confidence import doubtful_px, matte_confidence
from vfxmatte.types import FOREGROUND, UNKNOWN, FrameRange, Matte, Window


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_shot(tmp_path)


@pytest.fixture
def solve(tiny_weights: Path) -> Solve:
    return solver(tiny_weights)


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
    folder: Path, solve: Any, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vfxmatte.pipeline.steady.jumped_px", lambda now, neighbours: 0.0)
    monkeypatch.setattr("vfxmatte.pipeline.stages._TELLING", -1)  # these weights leave little soft
    results = {result.number: result.stats for result in solve(folder)}
    area = 64 * 48
    painted = np.mean([results[n]["unknown_share"] * area for n in (1001, 1004, 1008)])
    for number in (1002, 1006):
        alpha = alpha_of(folder / "matte", number)
        expected = matte_confidence(doubtful_px(alpha, 0), painted)
        assert results[number]["confidence"] == pytest.approx(expected, rel=0.02)
        assert 0 < results[number]["trimap_confidence"] <= 1
    assert results[1004]["confidence"] == 1
    shot = Shot.open(folder, output=folder.parent / "chunk")
    settings = changed(RunSettings(), {"engine": {"weights": str(tiny_weights), "device": "cpu"}})
    with Run(shot, replace(settings, frames=FrameRange.parse("1002-1003")), chunk=True) as chunk:
        found = {result.number: result.stats["confidence"] for result in chunk.frames()}
    assert found == {n: results[n]["confidence"] for n in (1002, 1003)}


@pytest.mark.parametrize(("trimap_confidence", "alpha"), [(0.0, 0.5), (0.3, 0.0), (0.3, 1.0)])
def test_a_matte_that_tells_nothing_leaves_the_trimap_s_confidence(
    trimap_confidence: float, alpha: float
) -> None:
    """Tracked across a cut; or empty or solid but for a few pixels of a wide unknown region."""
    matte = np.full((40, 50), alpha, np.float32)
    matte[0, :50] = 0.5  # a share of .014 of the unknown region
    stats = {"trimap_confidence": trimap_confidence, "confidence": trimap_confidence}
    state = FrameState(number=7, fingerprint="", stats={**stats, "unknown_share": 0.9})
    state.matte = Matte(number=7, alpha=matte)
    run: Any = SimpleNamespace(plan=SimpleNamespace(keyframes={1: Path("a")}), painted_px=500.0)
    part: Any = SimpleNamespace(run=run)
    assert [*rate_mattes({"": part}, [state])] == [state]
    assert state.stats["confidence"] == trimap_confidence
    state.stats["trimap_confidence"] = 0.3
    matte[:] = np.random.default_rng(1).random(matte.shape)
    assert [*rate_mattes({"": part}, [state])] == [state]
    assert state.stats["confidence"] == matte_confidence(doubtful_px(matte, 0), 500.0)
    state.jumped_px = 80.0
    assert [*rate_mattes({"": part}, [state])] == [state]
    assert state.stats["confidence"] == matte_confidence(doubtful_px(matte, 80.0), 500.0)


def test_a_doubtful_frame_is_no_surer_than_its_trimap() -> None:
    """Its solid foreground was lost, or it is a flash, and its matte is clean all the same."""
    matte = np.zeros((40, 50), np.float32)
    matte[:2] = 0.5
    stats = {"trimap_confidence": 0.3, "confidence": 0.3, "unknown_share": 0.9}
    run: Any = SimpleNamespace(plan=SimpleNamespace(keyframes={1: Path("a")}), painted_px=500.0)
    part: Any = SimpleNamespace(run=run)
    for is_doubtful, expected in ((True, 0.3), (False, matte_confidence(50, 500.0))):
        state = FrameState(number=7, fingerprint="", stats=dict(stats), is_doubtful=is_doubtful)
        state.matte = Matte(number=7, alpha=matte)
        assert [*rate_mattes({"": part}, [state])] == [state]
        assert state.stats["confidence"] == expected
    assert expected > 0.3


def test_an_empty_keyframe_says_nothing_about_how_soft_a_matte_may_be(folder: Path) -> None:
    def painted() -> tuple[float, bool]:
        with Run(Shot.open(folder, output=folder.parent / "out")) as run:
            return run.painted_px, run.has_solid_keyframes

    before = painted()
    cv2.imwrite(str(folder / "trimaps" / "trimap.1006.png"), np.zeros((48, 64), np.uint8))
    assert painted() == before and before[0] > 0 and before[1]


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
