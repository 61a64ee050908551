"""Comparing engines: the same trimaps for all, errors as the metrics have them, and the sheet."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.conftest import TINY_WINDOW
from vfxmatte.cli import commands
from vfxmatte.errors import DeviceError, SolveError, UsageError
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.sequence import find_sequence
from vfxmatte.io.stills.reading import read_image
from vfxmatte.pipeline import prepared
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.shot import Shot
from vfxmatte.review import comparison
from vfxmatte.review.comparison import Comparison
from vfxmatte.review.detail_sheet import TRUTH, Detail, Place, find_places, write_sheet
from vfxmatte.review.metrics import dtssd, matte_errors
from vfxmatte.trimaps import labels_from_image
from vfxmatte.types import UNKNOWN, FloatImage, Labels, Matte


def compared(*arguments: object) -> Result:
    return CliRunner().invoke(commands, ["compare", *map(str, arguments)])


def record_of(shot: Path, engines: str, *more: object) -> dict[str, Any]:
    result = compared(shot, "--engines", engines, "--json", *more)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_figures_are_those_of_a_run_with_the_same_engine(tiny_shot: Path) -> None:
    record = record_of(tiny_shot, "knn,closed-form,trimap")
    assert record["frames"] == [1001, 1002, 1003, 1004, 1005]
    assert [one["engine"] for one in record["engines"]] == ["knn", "closed-form", "trimap"]
    run = ["run", str(tiny_shot), "--engine", "closed-form", "--pixel-type", "float", "--quiet",
           "--set", "temporal.strength=0"]  # fmt: skip
    assert CliRunner().invoke(commands, run).exit_code == 0
    mattes, truths, labels = zip(*(_results(tiny_shot, n) for n in record["frames"]), strict=True)
    own = [one for one in record["outcomes"] if one["engine"] == "closed-form"]
    for index, one in enumerate(own):
        expected = matte_errors(mattes[index], truths[index], labels[index])
        assert one["frame"] == record["frames"][index] and one["elapsed_ms"] > 0
        assert one["errors"]["sad"] == pytest.approx(expected.sad, rel=1e-4)
        assert one["errors"]["conn"] == pytest.approx(expected.conn, rel=1e-4)
    step = dtssd(mattes[1:3], truths[1:3], labels[1:3])
    assert own[1]["dtssd"] == pytest.approx(step, rel=1e-4) and own[-1]["dtssd"] is None
    mean = np.mean([one["errors"]["mse"] for one in own])
    assert record["engines"][1]["errors"]["mse"] == pytest.approx(mean)
    written = json.loads((tiny_shot / "comparison" / "comparison.json").read_text())
    assert written == record


def _results(shot: Path, number: int) -> tuple[FloatImage, FloatImage, Labels]:
    matte = read_matte(shot / "matte" / f"matte.{number}.exr", TINY_WINDOW)
    truth = read_matte(shot / "alpha" / f"alpha.{number}.exr", TINY_WINDOW)
    trimap = shot / "matte" / "trimaps" / f"trimap.{number}.png"
    return matte, truth, labels_from_image(read_image(trimap).pixels)


def test_trimaps_are_carried_once_and_the_same_for_all(
    tiny_shot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    carried = prepared.carry

    def counted(*arguments: Any, **named: Any) -> Any:
        calls.append(named["requested"])
        return carried(*arguments, **named)

    monkeypatch.setattr(prepared, "carry", counted)
    record = record_of(tiny_shot, "gmm,kmeans,trimap", "--frames", "1002-1004x2")
    assert calls == [{1002, 1004}]
    unknown = [one["errors"]["unknown_px"] for one in record["outcomes"]]
    assert unknown[0] == unknown[1] == unknown[2] and unknown[3] == unknown[4] == unknown[5]
    assert all(one["dtssd"] is None for one in record["outcomes"])  # no neighbours in time
    assert not (tiny_shot / "matte").exists()


def test_without_truth_there_is_time_and_a_sheet(tiny_shot: Path, tmp_path: Path) -> None:
    shutil.rmtree(tiny_shot / "alpha")
    result = compared(
        tiny_shot, "--engines", "gmm,trimap", "--frames", "1003", "-o", tmp_path / "c"
    )
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines()]
    assert ["engine", "s/frame", "SAD", "MSE", "Grad", "Conn", "dtSSD", "failed"] in rows
    assert [row[0] for row in rows[1:3]] == ["gmm", "trimap"] and len(rows[1]) == 2
    sheet = cv2.imread(str(tmp_path / "c" / "comparison.png"))
    assert sheet is not None and sheet.std() > 10


def test_an_earlier_comparison_is_not_overwritten(tiny_shot: Path) -> None:
    record_of(tiny_shot, "trimap", "--frames", "1001")
    again = compared(tiny_shot, "--engines", "trimap", "--frames", "1001")
    assert again.exit_code == 3 and "there is a comparison already" in again.output
    record_of(tiny_shot, "trimap", "--frames", "1001", "--overwrite", "--details", "0")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engines", "gmm,gmmm"], "no engine 'gmmm'"),
        (["--engines", "gmm,gmm"], "asked for twice"),
        (["--engines", ","], "no engine was named"),
        (["--engine", "gmm"], "compare takes several engines"),
    ],
)
def test_wrong_use_is_refused(tiny_shot: Path, arguments: list[str], message: str) -> None:
    result = compared(tiny_shot, *arguments)
    assert result.exit_code == 2 and message in result.output
    assert not (tiny_shot / "comparison").exists()


def test_a_frame_that_fails_is_told_and_the_others_go_on(tiny_shot: Path) -> None:
    result = compared(
        tiny_shot, "--engines", "knn,trimap", "--frames", "1002-1003", "--json",
        "--set", "engine.classical.iterations=1",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "failed: knn: the solver did not converge" in result.stderr
    record = json.loads(result.stdout)
    assert [one["failed"] for one in record["engines"]] == [2, 0]
    errors = [one["error"] for one in record["outcomes"] if one["engine"] == "knn"]
    assert [error["frame"] for error in errors] == [1002, 1003]
    assert errors[0]["kind"] == SolveError.__name__
    (tiny_shot / "plate" / "plate.1003.exr").write_bytes(b"damaged")
    damaged = compared(tiny_shot, "--engines", "trimap", "--frames", "1003", "--overwrite")
    assert damaged.exit_code == 3 and "1003" in damaged.stderr


def test_details_come_from_where_engines_differ(tiny_shot: Path) -> None:
    shot = Shot.open(tiny_shot)
    shot = replace(shot, settings=replace(shot.settings, workers=1))
    alpha = find_sequence(tiny_shot / "alpha")
    with Run(shot) as run, Comparison(run, ["knn", "trimap"], alpha, details=2) as found:
        outcomes = [one for frame in found.frames() for one in frame]
        details = found.details
    assert outcomes == found.outcomes and len(outcomes) == 10
    assert len(details) == 1  # the picture is hardly larger than one detail
    detail = details[0]
    assert set(detail.mattes) == {"knn", "trimap", TRUTH}
    assert detail.linear.shape == (*detail.labels.shape, 3)
    assert (detail.labels == UNKNOWN).any()


# -- places and the sheet -------------------------------------------------------------------------


def test_places_do_not_overlap_and_come_best_first() -> None:
    labels = np.full((300, 400), UNKNOWN, np.uint8)
    labels[:, 350:] = 0
    one, other = np.zeros((2, 300, 400), np.float32)
    other[100:120, 50:80], other[200:210, 300:310], other[:, 360:] = 1, 1, 1
    places = find_places(7, [one, other], labels, 5)
    assert [place.number for place in places] == [7, 7] and places[0].score > places[1].score
    assert places[0].left <= 50 and places[0].left + places[0].width >= 80
    assert places[1].top <= 200 and places[1].top + places[1].height >= 210
    assert not places[0].overlaps(places[1]) and places[0].overlaps(places[0])
    assert find_places(7, [one, one], labels, 5) == []
    (soft,) = find_places(7, [np.where(other > 0, 0.5, 0).astype(np.float32)], labels, 1)
    assert soft.slices == places[0].slices


def test_the_sheet_shows_each_engine_over_both_grounds(tmp_path: Path) -> None:
    side = 60
    place = Place(number=1001, left=0, top=0, width=side, height=side, score=1.0)
    red = np.broadcast_to(np.array([1.0, 0, 0], np.float32), (side, side, 3)).copy()
    full, empty = np.ones((side, side), np.float32), np.zeros((side, side), np.float32)
    labels = np.full((side, side), UNKNOWN, np.uint8)
    detail = Detail(place=place, linear=red, labels=labels, mattes={"a": full, "b": empty})
    path = write_sheet([detail], ["a", "b", "lost"], tmp_path / "sheet.png")
    sheet = cv2.imread(str(path))[:, :, ::-1]
    height, width = sheet.shape[0] // 3, sheet.shape[1] // 4
    cells = [[sheet[r * height + 60, c * width + 120] for c in range(4)] for r in range(3)]
    assert cells[0][0].tolist() == [255, 0, 0]
    assert cells[0][1].tolist() == [255] * 3 and cells[0][2].tolist() == [0] * 3
    assert cells[1][1].tolist() == cells[2][1].tolist() == [255, 0, 0]
    assert cells[2][2].tolist() == [118] * 3  # 0.18 in linear light
    over_checker = sheet[height + 30 : height + 200, 2 * width + 10 : 2 * width + 200, 0]
    assert len(np.unique(over_checker)) == 2
    assert not cells[2][3].any()
    with pytest.raises(ValueError, match="at least one"):
        write_sheet([], ["a"], tmp_path / "none.png")


def test_an_engine_that_is_asked_for_twice_is_refused_before_any_is_opened(tiny_shot: Path) -> None:
    with Run(Shot.open(tiny_shot)) as run, pytest.raises(UsageError, match="twice"):
        Comparison(run, ["trimap", "trimap"], None)


def test_engines_are_warmed_up_and_closed(tiny_shot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[object] = []

    class Telling:
        device = "cpu"

        def describe(self) -> dict[str, Any]:
            return {"engine": "telling"}

        def mattes(self, tasks: Any) -> Any:
            for one in tasks:
                said.append(one.number)
                alpha = (one.trimap.labels / np.float32(255)).astype(np.float32)
                yield Matte(number=one.number, alpha=alpha)

        def close(self) -> None:
            said.append("closed")

    monkeypatch.setattr(comparison, "open_engine", lambda settings: Telling())
    record_of(tiny_shot, "any", "--frames", "1001")
    assert said == [0, 1001, "closed"]


class Scripted:
    """Gives known pixels, but for what `fail` does at frame 1003."""

    device = "cpu"

    def __init__(self, fail: Any) -> None:
        self.fail, self.tasks = fail, 0

    def describe(self) -> dict[str, Any]:
        return {"engine": "scripted"}

    def mattes(self, tasks: Any) -> Any:
        for one in tasks:
            self.tasks += 1
            if one.number == 1003:
                raise self.fail
            alpha = (one.trimap.labels / np.float32(255)).astype(np.float32)
            yield Matte(number=one.number, alpha=alpha)

    def close(self) -> None:
        pass


def test_a_lost_device_ends_the_comparison_and_what_was_compared_is_kept(
    tiny_shot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Scripted(DeviceError("the GPU has fallen off the bus"))
    monkeypatch.setattr(comparison, "open_engine", lambda settings: engine)
    result = compared(tiny_shot, "--engines", "any")
    assert result.exit_code == 3 and result.output.count("has fallen off the bus") == 1
    assert engine.tasks == 4  # to warm up, two frames, and the one at which it was lost
    record = json.loads((tiny_shot / "comparison" / "comparison.json").read_text())
    assert record["frames"] == [1001, 1002] and "any" in result.output


def test_an_unforeseen_error_is_its_frame_s(
    tiny_shot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "open_engine", lambda settings: Scripted(KeyError("width")))
    result = compared(tiny_shot, "--engines", "any")
    assert result.exit_code == 1 and "not foreseen: KeyError: 'width'" in result.output
    record = json.loads((tiny_shot / "comparison" / "comparison.json").read_text())
    failed = [one for one in record["outcomes"] if one["error"]]
    assert [one["frame"] for one in failed] == [1003] and record["frames"] == list(
        range(1001, 1006)
    )
    assert "Traceback" in (tiny_shot / "comparison" / "errors.log").read_text(encoding="utf-8")
