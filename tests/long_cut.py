"""A shot of forty frames, of empty files, and cuts of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.cuts import plate_of, saved, timeline_of
from vfxmatte.editorial.cut import Cut, read_cut
from vfxmatte.io.sequence import padded

FIRST, LAST = 1001, 1040


def make_plate(shot: Path, first: int = FIRST, last: int = LAST, step: int = 1) -> Path:
    for folder in ("plate", "trimaps"):
        (shot / folder).mkdir(parents=True)
    for number in range(first, last + 1, step):
        (shot / "plate" / f"plate.{padded(number, 4)}.exr").touch()
    (shot / "trimaps" / f"trimap.{first}.png").touch()
    return shot


def long_plate(**more: Any) -> Any:
    return plate_of("long%20shot/plate", **{"count": 40, **more})


def cut_of(folder: Path, *items: Any, **options: Any) -> Cut:
    return read_cut(saved(timeline_of(*items), folder / "cut.otio"), folder / "out", **options)


def frames(cut: Cut) -> dict[str, str]:
    return {shot.name: ",".join(map(str, shot.ranges)) for shot in cut.shots}
