"""Weak ranges, what a new keyframe changed, and frames far from any keyframe."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.conftest import write_tiny_keyframe
from vfxmatte.cli import commands
from vfxmatte.pipeline.coverage import coverage_note, far_frames
from vfxmatte.propagation.confidence import matte_confidence
from vfxmatte.reporting.pace import Pace
from vfxmatte.reporting.totals import Totals
from vfxmatte.reporting.weak_ranges import Changes, changes, trimap_stats_of, weak_ranges
from vfxmatte.types import FrameResult


def result(number: int, confidence: float, status: str = "written") -> FrameResult:
    stats = {
        "confidence": confidence,
        "unknown_share": 0.1,
        "keyframe_distance": float(confidence < 1),
    }
    return FrameResult(number=number, status=status, stats=stats)  # type: ignore[arg-type]


def results(**confidences: float) -> list[FrameResult]:
    return [result(int(name[1:]), value) for name, value in confidences.items()]


def numbered(shot: Iterable[FrameResult]) -> dict[int, FrameResult]:
    return {one.number: one for one in shot}


def test_every_weak_range_is_listed_worst_first() -> None:
    shot = results(f1=1.0, f2=0.4, f3=0.9, f4=0.3, f5=0.1, f6=0.2, f7=1.0, f8=0.49, f9=0.2)
    found = weak_ranges({None: numbered(reversed(shot))})
    assert [one.numbers for one in found] == [(4, 5, 6), (8, 9), (2,)]
    assert [(one.worst, one.confidence) for one in found] == [(5, 0.1), (9, 0.2), (2, 0.4)]
    pace = Pace()
    pace.add(shot[0])
    totals = Totals.of(
        pace, device="cpu", weak=tuple(found), changes={None: Changes(better=(2, 3, 4), worse=(8,))}
    )
    lines = "\n".join(totals.lines())
    assert lines.index("frames 4-6: confidence down to 0.10 on frame 5") < lines.index("8-9")
    assert "better   frames 2-4 than in the run before" in lines
    assert "worse    frame 8 than in the run before" in lines
    plain = json.loads(json.dumps(totals.as_dict()))
    assert plain["weak"][0] == {"frames": "4-6", "worst": 5, "confidence": 0.1}
    assert (plain["better"], plain["worse"]) == ("2-4", "8")


def test_a_sure_run_has_no_weak_range() -> None:
    assert weak_ranges({None: numbered(results(f1=1.0, f2=0.9))}) == []
    assert weak_ranges({}) == []


def test_only_frames_that_were_solved_anew_and_changed_are_better_or_worse() -> None:
    before = {n: {"confidence": 0.5} for n in (1, 2, 3, 4)} | {5: {}}
    after = [result(1, 0.8), result(2, 0.52), result(3, 0.2), result(4, 0.9, "kept")]
    found = changes(before, [*after, result(5, 0.9), result(6, 0.9)])
    assert found == Changes(better=(1,), worse=(3,))


def rated(number: int, doubtful: float, painted: float, status: str = "written") -> FrameResult:
    one = result(number, matte_confidence(doubtful, painted), status)
    return replace(one, stats={**one.stats, "doubtful_px": doubtful, "painted_px": painted})


def test_a_matte_that_stays_as_it_is_stays_as_sure_when_painted_areas_change() -> None:
    before = {n: rated(n, doubtful, 1000).stats for n, doubtful in ((1, 90), (2, 90), (3, 240))}
    after = [rated(1, 90, 300), rated(2, 300, 300), rated(3, 90, 300)]
    assert changes(before, after) == Changes(better=(3,), worse=(2,))
    kept = trimap_stats_of([rated(1, 90, 300), rated(2, 90, 1000, "kept")])
    assert kept[1].confidence == kept[2].confidence == matte_confidence(90, 300)


def test_each_of_several_subjects_has_its_ranges_and_changes() -> None:
    shot = {"dog": numbered(results(f1=0.4, f2=0.9)), "hero": numbered(results(f1=0.3, f2=0.2))}
    found = weak_ranges(shot)
    assert [(one.subject, one.numbers) for one in found] == [("hero", (1, 2)), ("dog", (1,))]
    pace = Pace()
    pace.add(shot["dog"][1])
    changed = {"dog": Changes(better=(2,)), "hero": Changes(worse=(1, 2))}
    totals = Totals.of(pace, device="cpu", weak=tuple(found), changes=changed)
    lines = totals.lines()
    assert "weak     hero, frames 1-2: confidence down to 0.20 on frame 2" in lines
    assert "better   dog, frame 2 than in the run before" in lines
    plain = json.loads(json.dumps(totals.as_dict()))
    assert plain["weak"][1] == {"frames": "1", "worst": 1, "confidence": 0.4, "subject": "dog"}
    assert plain["better"] == {"dog": "2", "hero": ""}
    assert plain["worse"] == {"dog": "", "hero": "1-2"}


def run(shot: Path, *options: str) -> dict[str, object]:
    command = ["run", str(shot), "--engine", "trimap", "--json", *options]
    lines = CliRunner().invoke(commands, command).stdout.splitlines()
    totals: dict[str, object] = json.loads(lines[-1])
    assert totals["event"] == "totals"
    return totals


def test_a_run_says_what_a_new_keyframe_made_better(
    tiny_shot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vfxmatte.reporting.weak_ranges.WEAK", 1.0)
    monkeypatch.setattr("vfxmatte.reporting.weak_ranges.CHANGED", 1e-9)
    first = run(tiny_shot)
    assert first["weak"] and first["better"] == first["worse"] == ""
    weakest = first["weak"][0]["worst"]  # type: ignore[index]
    write_tiny_keyframe(tiny_shot, weakest)
    second = run(tiny_shot)
    assert str(weakest) in second["better"], (first, second)  # type: ignore[operator]
    third = run(tiny_shot)
    assert third["better"] == third["worse"] == "" and third["weak"] == second["weak"]


def test_frames_far_from_any_keyframe_are_named() -> None:
    assert far_frames(range(1, 201), [61, 85]) == [*range(1, 49), *range(98, 201)]
    assert far_frames(range(1, 101), [1, 100]) == list(range(26, 76))
    assert far_frames(range(1, 50), [1, 25, 49]) == []
    note = coverage_note(range(1, 201), [61, 85])
    assert note is not None and "frames 1-48,98-200, up to 115 frames away" in note
    assert "paint frame 200" in note and coverage_note(range(1, 25), [1, 24]) is None


@pytest.mark.parametrize("command", [["check"], ["run", "--engine", "trimap", "--json"]])
def test_check_and_run_warn_of_them(
    tiny_shot: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vfxmatte.pipeline.coverage.FAR_BETWEEN", 1)
    out = CliRunner().invoke(commands, [command[0], str(tiny_shot), *command[1:]]).stdout
    assert "1 of 5 frames is far from any keyframe (1001,1005): frame 1003, up to 2" in out
