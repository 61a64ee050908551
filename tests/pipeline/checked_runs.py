"""Runs of several features together, each compared with what `check` reports of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.subjects import WINDOW, settings_of
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.pipeline.locking import lock
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.subject_shots import chosen, one_subject
from vfxmatte.pipeline.subjects_run import open_run
from vfxmatte.reporting.inspection import inspect
from vfxmatte.types import FloatImage, FrameResult, Window

CROSSING = 1006  # here the cat and the dog touch


def shot_at(folder: Path, *subjects: str, **settings: Any) -> Shot:
    return chosen(replace(Shot.open(folder), settings=settings_of(**settings)), subjects)


def solve(shot: Shot, **options: Any) -> list[FrameResult]:
    with open_run(shot, **options) as run:
        results = list(run.frames())
    for result in results:
        assert result.error is None, result.error
    return results


def as_checked(shot: Shot, **options: Any) -> list[FrameResult]:
    """Run, and compare with what `check` has said before, and says afterwards."""
    before = inspect(shot)
    assert not before.problems
    results = solve(shot, **options)
    done = sum(result.status == "kept" for result in results)
    assert (before.finished, before.to_do) == (done, len(results) - done)
    after = inspect(shot)
    assert (after.to_do, after.finished) == (0, len(results))
    return results


def statuses(results: Sequence[FrameResult]) -> dict[str, list[int]]:
    """Written frames by subject."""
    found: dict[str, list[int]] = {}
    for result in results:
        if result.status == "written":
            found.setdefault(result.subject or "", []).append(result.number)
    return found


def matte_of(folder: Path, subject: str, number: int, window: Window = WINDOW) -> FloatImage:
    return read_matte(folder / "matte" / subject / f"matte.{number}.exr", window)


def lock_frames(folder: Path, subject: str, *numbers: int) -> None:
    lock(one_subject(shot_at(folder, subject)), numbers)


def write_alpha(path: Path, values: FloatImage, window: Window = WINDOW) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_exr(path, {"A": values}, data_window=window, display_window=window)


def write_still(path: Path, values: FloatImage) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", np.rint(values * 255).astype(np.uint8))[1].tobytes())
