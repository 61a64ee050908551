"""Mattes are averaged with their neighbours': a frame is the same in every range, chunk and run,
and no more is solved than that takes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import (
    TINY_KEYFRAMES,
    TINY_NUMBERS,
    TINY_WINDOW,
    tiny_plate,
    write_rgb,
    write_tiny_keyframe,
)
from vfxmatte.common.configuration import changed, nested
from vfxmatte.engines.protocol import Task, known_alpha
from vfxmatte.errors import PlateError
from vfxmatte.io.mattes import read_matte
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import UNKNOWN, Failure, FloatImage, FrameResult, Matte

BETWEEN = [n for n in TINY_NUMBERS if n not in TINY_KEYFRAMES]


class Flickering:
    """Unknown pixels are 0.45 in even frames and 0.55 in odd ones; `unsolvable` ones fail."""

    device = "cpu"

    def __init__(self, unsolvable: Collection[int] = ()) -> None:
        self.unsolvable = unsolvable
        self.solved: list[int] = []

    def describe(self) -> dict[str, str]:
        return {"engine": "flickering"}

    def mattes(self, tasks: Iterable[Task]) -> Iterator[Matte | Failure]:
        for one in tasks:
            self.solved.append(one.number)
            if one.number in self.unsolvable:
                yield Failure(number=one.number, error=PlateError("unsolvable"))
                continue
            alpha = known_alpha(one.trimap.labels)
            alpha[one.trimap.labels == UNKNOWN] = 0.45 if one.number % 2 == 0 else 0.55
            yield Matte(number=one.number, alpha=alpha)

    def close(self) -> None:
        pass


def run_of(shot: Path, output: Path, *, engine: Any = None, **options: Any) -> list[FrameResult]:
    values = options.pop("values", {})
    settings = RunSettings()
    for name, value in {"output.pixel_type": "float", **values}.items():
        settings = changed(settings, nested(name, value))
    engine = engine or Flickering()
    with Run(Shot.open(shot, output=output), settings, engine=engine, **options) as run:
        return [*run.frames()]


def alphas(output: Path) -> dict[int, FloatImage]:
    return {
        int(path.suffixes[0][1:]): read_matte(path, TINY_WINDOW)
        for path in output.glob("matte.*.exr")
    }


def test_frames_between_keyframes_are_steadied_and_keyframes_stay(
    tiny_shot: Path, tmp_path: Path
) -> None:
    run_of(tiny_shot, tmp_path / "steady")
    run_of(tiny_shot, tmp_path / "not", values={"temporal.strength": "0"})
    steady, raw = alphas(tmp_path / "steady"), alphas(tmp_path / "not")
    for number in TINY_KEYFRAMES:
        assert np.array_equal(steady[number], raw[number])
    for number in BETWEEN:
        soft = (raw[number] > 0) & (raw[number] < 1)
        towards = 0.55 if number % 2 == 0 else 0.45
        start = 1 - towards
        assert np.unique(raw[number][soft]) == pytest.approx([start])
        moved = (np.median(steady[number][soft]) - start) / (towards - start)
        assert 0.4 < moved < 0.8
        assert np.array_equal(steady[number][~soft], raw[number][~soft])


@pytest.mark.parametrize("number", BETWEEN)
def test_a_frame_is_the_same_alone_in_a_chunk_and_in_a_range(
    tiny_shot: Path, tmp_path: Path, number: int
) -> None:
    run_of(tiny_shot, tmp_path / "whole")
    run_of(tiny_shot, tmp_path / "chunk", chunk=True, only=[number])
    run_of(tiny_shot, tmp_path / "range", values={"frames": f"{number}-{number}"})
    whole = alphas(tmp_path / "whole")[number]
    for name in ("chunk", "range"):
        found = alphas(tmp_path / name)
        assert [*found] == [number]  # neighbours are not written
        assert np.array_equal(found[number], whole)
    assert {p.name for p in (tmp_path / "chunk" / "trimaps").glob("*.png")} == {
        f"trimap.{number}.png"
    }


def test_a_frame_done_again_solves_its_neighbours_and_leaves_their_mattes(
    tiny_shot: Path, tmp_path: Path
) -> None:
    engine = Flickering()
    run_of(tiny_shot, tmp_path / "matte", engine=engine)
    assert engine.solved == [*TINY_NUMBERS]
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "matte").glob("matte.*.exr")}
    whole = alphas(tmp_path / "matte")
    (tmp_path / "matte" / "matte.1003.exr").unlink()
    engine = Flickering()
    results = run_of(tiny_shot, tmp_path / "matte", engine=engine)
    assert engine.solved == [*TINY_NUMBERS]
    assert [r.number for r in results if r.status == "written"] == [1003]
    assert [r.number for r in results if r.status == "kept"] == [1001, 1002, 1004, 1005]
    assert np.array_equal(alphas(tmp_path / "matte")[1003], whole[1003])
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "matte").glob("matte.*.exr")}
    del before["matte.1003.exr"], after["matte.1003.exr"]
    assert after == before


def test_a_neighbour_that_fails_does_not_count(tiny_shot: Path, tmp_path: Path) -> None:
    results = run_of(tiny_shot, tmp_path / "matte", engine=Flickering(unsolvable=[1003]))
    failed = [r.number for r in results if r.status == "failed"]
    assert failed == [1003]
    alone = run_of(tiny_shot, tmp_path / "one", engine=Flickering([1003]), chunk=True, only=[1002])
    assert [(r.number, r.status) for r in alone] == [(1002, "written")]
    found = alphas(tmp_path / "matte")[1002]
    assert np.array_equal(found, alphas(tmp_path / "one")[1002])
    soft = (found > 0) & (found < 1)
    assert 0.48 < np.median(found[soft]) < 0.52  # half-way to 1001 alone


def test_strength_decides_the_fingerprint_and_trimaps_as_mattes_keep_three_values(
    tiny_shot: Path, tmp_path: Path
) -> None:
    run_of(tiny_shot, tmp_path / "matte")
    again = run_of(tiny_shot, tmp_path / "matte")
    assert {r.status for r in again} == {"kept"}
    again = run_of(tiny_shot, tmp_path / "matte", values={"temporal.strength": "0.5"})
    assert {r.status for r in again} == {"written"}
    with Run(
        Shot.open(tiny_shot, output=tmp_path / "trimap"),
        changed(RunSettings(), nested("engine.name", "trimap")),
    ) as run:
        assert {r.status for r in run.frames()} == {"written"}
    for alpha in alphas(tmp_path / "trimap").values():
        assert set(np.unique(alpha)) <= {0, 0.5, 1}


def test_no_frame_beyond_a_keyframe_is_seen(tiny_shot: Path, tmp_path: Path) -> None:
    """It is of another segment: the frame does not become stale with it."""
    write_tiny_keyframe(tiny_shot, 1003)
    run_of(tiny_shot, tmp_path / "matte")
    whole = alphas(tmp_path / "matte")
    engine = Flickering()
    run_of(tiny_shot, tmp_path / "chunk", engine=engine, chunk=True, only=[1002])
    assert engine.solved == [1001, 1002, 1003]
    assert np.array_equal(alphas(tmp_path / "chunk")[1002], whole[1002])
    write_rgb(tiny_shot / "plate" / "plate.1004.exr", tiny_plate(0))
    again = run_of(tiny_shot, tmp_path / "matte")
    assert [r.number for r in again if r.status == "written"] == [1004]
    assert np.array_equal(alphas(tmp_path / "matte")[1002], whole[1002])
