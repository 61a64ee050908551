"""Locked mattes beside other subjects: those give way, in any order of runs and chunks."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest

from tests.pipeline.checked_runs import (
    CROSSING,
    as_checked,
    lock_frames,
    matte_of,
    shot_at,
    solve,
    statuses,
    write_alpha,
)
from tests.subjects import WINDOW, alpha, contents, write_keyframe
from vfxmatte.io.mattes import read_matte
from vfxmatte.pipeline.merge import merge


@pytest.mark.parametrize("again", [("dog",), ()])
def test_others_give_way_to_a_locked_matte(
    folder: Path, finished: Any, again: tuple[str, ...]
) -> None:
    finished()
    lock_frames(folder, "cat", CROSSING)
    path = folder / "matte" / "cat" / f"matte.{CROSSING}.exr"
    kept = path.read_bytes()
    for number in (1004, 1006, 1008):
        write_keyframe(folder / "trimaps" / "dog", "dog", number, band_px=8)
    as_checked(shot_at(folder, *again))
    assert path.read_bytes() == kept
    total = matte_of(folder, "cat", CROSSING).astype(np.float64) + matte_of(folder, "dog", CROSSING)
    assert total.max() <= 1
    solve(shot_at(folder), overwrite=True)
    assert path.read_bytes() == kept
    assert (matte_of(folder, "cat", CROSSING) + matte_of(folder, "dog", CROSSING)).max() <= 1


def test_an_edited_locked_matte_makes_the_others_give_way_again(
    folder: Path, finished: Any
) -> None:
    finished()
    lock_frames(folder, "cat", CROSSING)
    as_checked(shot_at(folder))
    edited = np.clip(matte_of(folder, "cat", CROSSING) + 0.5 * alpha("dog", CROSSING), 0, 1)
    write_alpha(folder / "matte" / "cat" / f"matte.{CROSSING}.exr", edited)
    results = as_checked(shot_at(folder))
    assert CROSSING in statuses(results)["dog"]
    assert (edited.astype(np.float64) + matte_of(folder, "dog", CROSSING)).max() <= 1
    assert not statuses(as_checked(shot_at(folder)))


def test_locks_of_both_subjects_in_every_order_of_runs(folder: Path, finished: Any) -> None:
    finished()
    lock_frames(folder, "cat", 1005, CROSSING)
    lock_frames(folder, "dog", CROSSING)
    before = contents(folder / "matte")
    as_checked(shot_at(folder, "dog"))
    as_checked(shot_at(folder))
    assert not statuses(as_checked(shot_at(folder, "cat")))
    after = contents(folder / "matte")
    locked = (f"cat/matte.{CROSSING}.exr", f"dog/matte.{CROSSING}.exr", "cat/matte.1005.exr")
    assert all(after[name] == before[name] for name in locked)


def test_a_lock_in_chunks_and_merge(folder: Path, finished: Any) -> None:
    finished()
    lock_frames(folder, "cat", CROSSING)
    output = folder.parent / "apart"
    shutil.copytree(folder / "matte", output)
    solve(shot_at(folder))
    for frames in ("1001-1005", "1006-1008"):
        solve(replace(shot_at(folder, frames=frames), output=output), chunk=True)
    report = merge(replace(shot_at(folder), output=output))
    assert report.complete, report.lines()
    found, expected = contents(output), contents(folder / "matte")
    assert {n: found[n] for n in expected} == expected


def test_layers_of_a_locked_matte_that_was_edited(folder: Path, finished: Any) -> None:
    finished(subject_layers=True)
    lock_frames(folder, "cat", CROSSING)
    solve(shot_at(folder, subject_layers=True))
    edited = (0.5 * alpha("cat", CROSSING)).astype(np.float32)
    write_alpha(folder / "matte" / "cat" / f"matte.{CROSSING}.exr", edited)
    solve(shot_at(folder, subject_layers=True))
    path = folder / "matte" / f"matte.{CROSSING}.exr"
    with OpenEXR.File(str(path), separate_channels=True) as file:
        planes = {name: one.pixels.astype(np.float32) for name, one in file.channels().items()}
    np.testing.assert_allclose(planes["cat.A"], edited, atol=1e-3)
    np.testing.assert_array_equal(planes["dog.A"], matte_of(folder, "dog", CROSSING))
    before = path.read_bytes()
    solve(shot_at(folder, subject_layers=True))
    assert path.read_bytes() == before


def test_layers_of_a_matte_locked_in_another_format(folder: Path, finished: Any) -> None:
    finished(output={"format": "tiff"})
    lock_frames(folder, "cat", CROSSING)
    solve(shot_at(folder, subject_layers=True))
    path = folder / "matte" / f"matte.{CROSSING}.exr"
    with OpenEXR.File(str(path), separate_channels=True) as file:
        own = file.channels()["cat.A"].pixels.astype(np.float32)
    locked = read_matte(folder / "matte" / "cat" / f"matte.{CROSSING}.tif", WINDOW)
    np.testing.assert_allclose(own, locked, atol=1e-3)
