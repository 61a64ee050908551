"""Settings of edges with several subjects: each is shaped as if alone, then they give way."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.subjects import (
    NUMBERS,
    WINDOW,
    alpha_of,
    as_single_shot,
    contents,
    settings_of,
    solve,
    write_keyframe,
    written,
)
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.stills.exr import read_exr_planes, write_exr
from vfxmatte.pipeline.locking import lock
from vfxmatte.pipeline.merge import merge
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.subject_shots import chosen, one_subject
from vfxmatte.reporting.inspection import inspect
from vfxmatte.types import Window

EDGES: list[dict[str, Any]] = [
    {"gamma": 2.0},
    {"grow_px": 3.0},
    {"black": 0.1, "white": 0.8, "grow_px": -1.5, "soften_px": 1.2},
]
FILES: list[dict[str, Any]] = [{}, {"pixel_type": "float"}, {"format": "png"}]
ALL = {"cat": [*NUMBERS], "dog": [*NUMBERS]}


def totals(folder: Path, suffix: str = "exr") -> list[np.ndarray]:
    return [
        np.sum(
            [
                read_matte(folder / "matte" / s / f"matte.{n}.{suffix}", WINDOW).astype(np.float64)
                for s in ("cat", "dog")
            ],
            axis=0,
        )
        for n in NUMBERS
    ]


@pytest.mark.parametrize("edges", EDGES)
def test_each_is_shaped_as_if_alone_and_then_gives_way(
    folder: Path, tmp_path: Path, edges: dict[str, Any]
) -> None:
    solve(folder, matte=edges)
    for subject in ("cat", "dog"):
        single = as_single_shot(folder, subject, tmp_path / subject)
        solve(single, matte=edges)
        apart = 0
        for number, total in zip(NUMBERS, totals(folder), strict=True):
            own = read_matte(single / "matte" / f"matte.{number}.exr", WINDOW)
            shared = alpha_of(folder, subject, number)
            assert total.max() <= 1
            assert (own >= shared).all()
            assert total[own != shared] == pytest.approx(1, abs=2e-3)
            apart += bool((own == shared).all())
        assert apart >= 2  # before they meet


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("edges", EDGES)
def test_files_are_written_anew_without_solving_and_come_back_to_the_bit(
    folder: Path,
    tmp_path: Path,
    solved_calls: list[tuple[str, int]],
    edges: dict[str, Any],
    file: dict[str, Any],
    finished: Any,
) -> None:
    """By any way, and the same as with these settings from the beginning."""
    finished(output=file)
    first = contents(folder / "matte")
    solved_calls.clear()
    assert written(solve(folder, output=file, matte=edges)) == ALL
    once = contents(folder / "matte")
    assert all(total.max() <= 1 + 1e-9 for total in totals(folder, file.get("format", "exr")))
    for other in ({"gamma": 3.0}, edges):
        assert written(solve(folder, output=file, matte=other)) == ALL
    assert contents(folder / "matte") == once
    assert {r.status for r in solve(folder, output=file, matte=edges)} == {"kept"}
    assert written(solve(folder, output=file)) == ALL
    assert contents(folder / "matte") == first
    assert not solved_calls
    assert not list((folder / "matte").rglob("solved"))
    solve(folder, into=tmp_path / "at once", output=file, matte=edges)
    at_once = contents(tmp_path / "at once")
    if "format" in file:  # of integers no more is known than they hold
        once, at_once = (
            {name: c for name, c in files.items() if "/solved/" not in name}
            for files in (once, at_once)
        )
    assert at_once == once


def test_another_file_and_other_edges_at_once(
    folder: Path, tmp_path: Path, solved_calls: list[tuple[str, int]], finished: Any
) -> None:
    finished(output={"pixel_type": "float"}, matte={"gamma": 2.0})
    solved_calls.clear()
    solve(folder, matte={"grow_px": 2.0})
    assert not solved_calls
    solve(folder, into=tmp_path / "afresh", matte={"grow_px": 2.0})
    for subject in ("cat", "dog"):
        for number in NUMBERS:
            afresh = tmp_path / "afresh" / subject / f"matte.{number}.exr"
            assert (alpha_of(folder, subject, number) == read_matte(afresh, WINDOW)).all()


def test_a_changed_keyframe_is_solved_for_its_subject_alone(
    folder: Path, tmp_path: Path, solved_calls: list[tuple[str, int]], finished: Any
) -> None:
    edges = EDGES[0]
    finished(matte=edges)
    write_keyframe(folder / "trimaps" / "dog", "dog", 1008, band_px=6)
    solved_calls.clear()
    assert written(solve(folder, matte=edges)) == {"cat": [1007, 1008], "dog": [1007, 1008]}
    assert set(solved_calls) == {("dog", 1006), ("dog", 1007), ("dog", 1008)}  # 1006 for 1007
    solve(folder, into=tmp_path / "afresh", matte=edges)
    assert contents(folder / "matte") == contents(tmp_path / "afresh")


def test_one_subject_alone_and_then_the_other_is_both_at_once(
    folder: Path, solved_calls: list[tuple[str, int]], at_once: Any
) -> None:
    edges = EDGES[1]
    solve(folder, "dog", matte=edges)
    solved_calls.clear()
    assert written(solve(folder, "cat", matte=edges)) == {"cat": [*NUMBERS]}
    assert {subject for subject, _ in solved_calls} == {"cat"}
    assert contents(folder / "matte") == at_once(matte=edges)


def test_chunks_and_check_know_the_edges(
    folder: Path, solved_calls: list[tuple[str, int]], finished: Any, at_once: Any
) -> None:
    edges = EDGES[2]
    finished()
    shot = replace(Shot.open(folder), settings=settings_of(matte=edges))
    found = inspect(shot)
    assert (found.to_do, found.rewritten, found.stale) == (16, 16, 0)
    solved_calls.clear()
    for frames in ("1001-1003", "1004-1008"):
        solve(folder, frames=frames, run={"chunk": True}, matte=edges)
    assert not solved_calls
    assert merge(shot, settings_of(matte=edges)).good == NUMBERS
    assert (inspect(shot).to_do, inspect(shot).finished) == (0, 16)
    assert contents(folder / "matte") == at_once(matte=edges)


def test_what_was_solved_is_checked(
    folder: Path, solved_calls: list[tuple[str, int]], finished: Any, at_once: Any
) -> None:
    finished(matte=EDGES[0])
    (folder / "matte" / "cat" / "solved" / "matte.1007.exr").unlink()
    damaged = folder / "matte" / "dog" / "solved" / "matte.1006.exr"
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    solved_calls.clear()
    solve(folder)
    seen_by_it = {("cat", 1005), ("cat", 1006), ("cat", 1008)}
    assert set(solved_calls) == {("cat", 1007), ("dog", 1006), *seen_by_it}
    assert contents(folder / "matte") == at_once()


def test_a_kill_between_a_file_and_its_record_loses_nothing(
    folder: Path, tmp_path: Path, solved_calls: list[tuple[str, int]], finished: Any
) -> None:
    """Without compression a file with other edges has the size of the one before."""
    output = {"compression": "none"}
    finished(output=output)
    journals = [folder / "matte" / s / ".vfxmatte" / "journal.jsonl" for s in ("cat", "dog")]
    before = [journal.read_bytes() for journal in journals]
    solve(folder, output=output, matte={"gamma": 2.0})
    for journal, content in zip(journals, before, strict=True):
        journal.write_bytes(content)
    assert written(solve(folder, output=output, matte={"gamma": 3.0})) == ALL
    solve(folder, into=tmp_path / "afresh", output=output, matte={"gamma": 3.0})
    assert contents(folder / "matte") == contents(tmp_path / "afresh")


def test_finished_and_locked_mattes_stay_and_the_others_give_way(
    folder: Path, finished: Any
) -> None:
    finished()
    given = alpha_of(folder, "cat", 1006)
    keys = folder / "keys" / "cat"
    keys.mkdir(parents=True)
    shutil.copy(folder / "matte" / "cat" / "matte.1006.exr", keys / "matte.1006.exr")
    lock(one_subject(chosen(Shot.open(folder), ["dog"])), [1005])
    locked = alpha_of(folder, "dog", 1005)
    solve(folder, matte={"grow_px": 4.0})
    assert (alpha_of(folder, "cat", 1006) == given).all()
    assert (alpha_of(folder, "dog", 1005) == locked).all()
    assert all(total.max() <= 1 for total in totals(folder))
    grown = alpha_of(folder, "dog", 1006)
    assert grown.sum() > 0 and (grown[given == 1] == 0).all()


def test_layers_hold_the_shaped_mattes(folder: Path, finished: Any) -> None:
    finished(subject_layers=True)
    solve(folder, subject_layers=True, matte=EDGES[0])
    for number in (1001, 1006):
        planes = read_exr_planes(folder / "matte" / f"matte.{number}.exr")
        assert planes["A"].max() <= 1
        for subject in ("cat", "dog"):
            shown = planes[f"{subject}.A"].astype(np.float32)
            assert (shown == alpha_of(folder, subject, number)).all()


def test_garbage_holds_for_the_grown_edges_of_its_subject(folder: Path) -> None:
    left = np.zeros(WINDOW.shape, np.float32)
    left[:, :40] = 1
    (folder / "garbage" / "cat").mkdir(parents=True)
    wall = folder / "garbage" / "cat" / "wall.exr"
    write_exr(wall, {"A": left}, data_window=WINDOW, display_window=WINDOW)
    solve(folder)
    solve(folder, matte={"grow_px": 5.0})
    for number in NUMBERS:
        assert (alpha_of(folder, "cat", number)[:, 40:] == 0).all()
        assert alpha_of(folder, "dog", number)[:, 40:].any()


def test_the_only_subject_of_a_folder_is_written_anew_too(
    folder: Path, tmp_path: Path, solved_calls: list[tuple[str, int]]
) -> None:
    shutil.rmtree(folder / "trimaps" / "dog")
    solve(folder)
    first = contents(folder / "matte")
    solved_calls.clear()
    for settings in ({"output": {"rgba": "straight"}}, {"matte": EDGES[0]}, {}):
        assert written(solve(folder, **settings)) == {"cat": [*NUMBERS]}
    assert not solved_calls
    assert contents(folder / "matte") == first


def test_integers_over_a_display_window_of_its_own_are_taken_as_they_lie(tmp_path: Path) -> None:
    """PNG and TIFF know no windows: they cover the display window."""
    display = Window(x_min=10, y_min=20, x_max=73, y_max=67)
    pixels = np.random.default_rng(3).random(display.shape).astype(np.float32)
    (tmp_path / "plate").mkdir()
    for number in (1, 2):
        write_exr(tmp_path / "plate" / f"p.{number:04d}.exr", dict.fromkeys("RGB", pixels),
                  data_window=display, display_window=display)  # fmt: skip
    columns = np.mgrid[0:48, 0:64][1]
    for subject, inside in (("cat", columns < 24), ("dog", columns > 40)):
        (tmp_path / "trimaps" / subject).mkdir(parents=True)
        trimap = np.where(inside, 1, 0.5).astype(np.float32)
        trimap[:4] = 0
        write_exr(tmp_path / "trimaps" / subject / "t.0001.exr", {"Y": trimap},
                  data_window=display, display_window=display)  # fmt: skip
    solve(tmp_path, output={"format": "png"})
    first = contents(tmp_path / "matte")
    assert len([name for name in first if "/matte." in name]) == 4
    solve(tmp_path, output={"format": "png"}, matte={"gamma": 2.0})
    solve(tmp_path, output={"format": "png"})
    assert contents(tmp_path / "matte") == first
