"""Withheld keyframes judge a run: the figures by hand, turns, devices, and clear errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from tests.conftest import TINY_KEYFRAMES, write_tiny_keyframe
from vfxmatte.cli import commands
from vfxmatte.engines import registry
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.shot import Shot
from vfxmatte.propagation.confidence import doubtful_px, matte_confidence
from vfxmatte.review import withholding
from vfxmatte.review.withholding import score, turns
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FrameList

FIGURES = ("fg_lost", "bg_won", "unknown", "holes", "leaks")


def paint(shot: Path, *numbers: int) -> Path:
    for number in numbers:
        write_tiny_keyframe(shot, number)
    return shot


def withheld(*arguments: object) -> list[dict[str, Any]]:
    options = ["evaluate", *map(str, arguments), "--engine", "trimap", "--json"]
    result = CliRunner().invoke(commands, options)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def by_hand(painted: Any, propagated: Any, alpha: Any) -> dict[str, float]:
    band = painted == UNKNOWN
    near = cv2.dilate(band.astype(np.uint8), np.ones((61, 61), np.uint8)) > 0

    def share(bad: Any, of: Any) -> float:
        return round(100 * float((bad & of & near).sum()) / max(int((of & near).sum()), 1), 2)

    solid, empty = painted == FOREGROUND, painted == BACKGROUND
    return {
        "fg_lost": share(propagated == BACKGROUND, solid),
        "bg_won": share(propagated == FOREGROUND, empty),
        "unknown": round(float((propagated == UNKNOWN).sum() / band.sum()), 2),
        "holes": share(alpha < 0.9, solid),
        "leaks": share(alpha > 0.1, empty),
    }


def keys_area(shot: Path, number: int) -> int:
    path = shot / "trimaps" / f"trimap.{number}.png"
    return np.count_nonzero(cv2.imread(str(path), cv2.IMREAD_UNCHANGED) == UNKNOWN)


def test_figures_are_those_of_a_run_without_the_keyframe(tiny_shot: Path, tmp_path: Path) -> None:
    paint(tiny_shot, 1003)
    frame, means = withheld(tiny_shot, "--withhold")
    assert (frame["frame"], frame["withheld"]) == (1003, [1003])
    painted = tiny_shot / "trimaps" / "trimap.1003.png"
    painted.rename(tmp_path / "painted.1003.png")
    shot = Shot.open(tiny_shot, output=tmp_path / "without")
    with Run(shot) as run:
        carried = {trimap.number: trimap for trimap in run.trimaps()}[1003]
    truth = cv2.imread(str(tmp_path / "painted.1003.png"), cv2.IMREAD_UNCHANGED)
    alpha = {BACKGROUND: 0.0, UNKNOWN: 0.5, FOREGROUND: 1.0}
    matte = np.vectorize(alpha.get)(carried.labels)
    expected = by_hand(truth, carried.labels, matte)
    assert {name: frame[name] for name in FIGURES} == expected
    assert expected["unknown"] > 0.5
    painted_px = np.mean([keys_area(tiny_shot, number) for number in TINY_KEYFRAMES])
    assert frame["confidence"] == pytest.approx(
        matte_confidence(doubtful_px(matte, 0), painted_px), abs=1e-4
    )
    assert {name: means[name] for name in FIGURES} == expected


def test_every_figure_counts_its_own_fault_near_the_band_alone() -> None:
    painted = np.zeros((200, 200), np.uint8)
    painted[:, 100:] = FOREGROUND
    painted[:, 96:104] = UNKNOWN
    propagated, alpha = painted.copy(), (painted == FOREGROUND).astype(np.float32)
    propagated[:50, 104:] = BACKGROUND
    propagated[:20, :96] = FOREGROUND
    alpha[:100, 104:] = 0.8
    alpha[:60, :96] = 0.2
    found = score(painted, propagated, alpha)
    assert (found.fg_lost, found.bg_won, found.holes, found.leaks) == (25, 10, 50, 30)
    assert found.unknown == 1
    far = painted.copy()
    far[:, :60], far[:, 140:] = FOREGROUND, BACKGROUND
    unmoved = score(painted, far, alpha)
    assert (unmoved.fg_lost, unmoved.bg_won) == (0, 0)


def test_inner_keyframes_are_withheld_in_turn_and_named_ones_together() -> None:
    keys = [1, 5, 9, 13]
    assert [turn.withheld for turn in turns(keys, None)] == [(5,), (9,)]
    assert [turn.withheld for turn in turns(keys, None, range(6, 20))] == [(9,)]
    assert [turn.withheld for turn in turns(keys, FrameList.parse("5,9"))] == [(5, 9)]


def test_nothing_of_the_run_stays_and_the_engine_is_opened_once(
    tiny_shot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(tiny_shot, 1002, 1003, 1004)
    opened: list[str] = []

    def counting(settings: Any) -> Any:
        opened.append(settings.device)
        return registry.open_engine(settings)

    monkeypatch.setattr(withholding, "open_engine", counting)
    monkeypatch.setattr(withholding.tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    one = withheld(tiny_shot, "--withhold")
    assert [frame.get("frame") for frame in one] == [1002, 1003, 1004, None]
    assert opened == ["auto"]
    assert not (tiny_shot / "matte").exists() and not list((tmp_path / "scratch").iterdir())
    several = withheld(tiny_shot, "--withhold", "--device", "cpu,cpu")
    assert opened == ["auto", "cpu", "cpu"] and several == one
    together = withheld(tiny_shot, "--withhold", "1002-1004", "--device", "cpu,cpu")
    assert [frame.get("withheld") for frame in together[:3]] == 3 * [[1002, 1003, 1004]]
    assert together[1] != one[1]


def test_settings_are_those_of_a_run(tiny_shot: Path) -> None:
    paint(tiny_shot, 1003)
    plain = withheld(tiny_shot, "--withhold")[0]
    wide = withheld(tiny_shot, "--withhold", "--set", "propagation.growth_px=4")[0]
    assert wide["unknown"] > plain["unknown"] + 0.2


def test_the_table_names_the_frames(tiny_shot: Path) -> None:
    paint(tiny_shot, 1003)
    options = ["evaluate", str(tiny_shot), "--withhold", "--engine", "trimap"]
    lines = CliRunner().invoke(commands, options).stdout.splitlines()
    assert lines[0].split()[:2] == ["frame", "withheld"]
    assert lines[1].split()[:2] == ["1003", "1003"] and lines[-3].startswith("mean")


@pytest.mark.parametrize(
    ("painted", "value", "message"),
    [
        ((), [], "takes at least three, and there are 2: 1001,1005"),
        ((1003,), ["1002"], "frame 1002 has no painted keyframe"),
        ((1003,), ["1001,1003,1005"], "all keyframes would be withheld"),
        ((1003,), ["shots/creature"], "put SHOT before it"),
    ],
)
def test_what_cannot_be_withheld_is_refused(
    tiny_shot: Path, painted: tuple[int, ...], value: list[str], message: str
) -> None:
    paint(tiny_shot, *painted)
    result = CliRunner().invoke(commands, ["evaluate", str(tiny_shot), "--withhold", *value])
    assert result.exit_code in (2, 3) and message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_frame_that_fails_is_named_and_the_others_are_measured(tiny_shot: Path) -> None:
    paint(tiny_shot, 1002, 1004)
    (tiny_shot / "plate" / "plate.1004.exr").write_bytes(b"no picture")
    options = ["evaluate", str(tiny_shot), "--withhold", "--engine", "trimap", "--json"]
    result = CliRunner().invoke(commands, options)
    first, second, means = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == 1 and "1004" in result.stderr
    assert first["frame"] == 1002 and first["unknown"] > 0 and "error" not in first
    assert second["frame"] == 1004 and second["unknown"] is None and second["error"]
    assert means["unknown"] == first["unknown"]
