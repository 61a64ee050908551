"""Runs over a small moving shot with three keyframes, and what they leave on disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vfxmatte.bench.moving_shot import MovingShot
from vfxmatte.common.configuration import changed
from vfxmatte.io.mattes import read_matte
from vfxmatte.pipeline.run import run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import FrameResult, Window

WINDOW = Window.of_size(64, 48)
NUMBERS = list(range(1001, 1009))

Solve = Callable[..., list[FrameResult]]


def write_shot(folder: Path) -> Path:
    """Eight frames, 1001 to 1008, keyframes on 1001, 1004 and 1008."""
    shot = MovingShot(frames=8, width=64, height=48, keyframes=(1001, 1004, 1008))
    return shot.write(folder / "ein Schäfer 毛")


def solver(weights: Path) -> Solve:
    """Return what runs a shot to its end with the weights; settings by name."""

    def solved(
        folder: Path, into: Path | None = None, *, overwrite: bool = False, **settings: Any
    ) -> list[FrameResult]:
        shot = Shot.open(folder, output=into)
        settings.setdefault("engine", {"weights": str(weights), "device": "cpu"})
        return list(run(shot, changed(RunSettings(), settings), overwrite=overwrite))

    return solved


def states(results: list[FrameResult]) -> dict[int, str]:
    return {result.number: result.status for result in results}


def redone(results: list[FrameResult]) -> list[int]:
    return [result.number for result in results if result.status == "written"]


def contents(output: Path) -> dict[str, bytes]:
    """Every matte and trimap, byte by byte."""
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.suffix in (".exr", ".png")
    }


def alpha_of(output: Path, number: int) -> np.ndarray:
    return read_matte(output / f"matte.{number:04d}.exr", WINDOW)


def plate_path(folder: Path, number: int) -> Path:
    return folder / "plate" / f"plate.{number:04d}.exr"


def trimap_path(folder: Path, number: int) -> Path:
    return folder / "trimaps" / f"trimap.{number:04d}.png"


def paint(path: Path, values: np.ndarray) -> None:
    path.write_bytes(cv2.imencode(".png", values)[1].tobytes())


def threads_left() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("vfxmatte")]


def leftovers(output: Path) -> list[str]:
    """Whatever is in an output folder beside its results and its journal."""
    results = (".exr", ".png", ".json", ".jsonl", ".lock")
    paths = (path for path in output.rglob("*") if path.is_file() and path.name != "lock")
    return [p.name for p in paths if p.suffix not in results or ".part" in p.name]
