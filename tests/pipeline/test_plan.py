"""What a run will do, and which frames a change makes stale: exactly those, and no others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vfxmatte.bench.moving_shot import MovingShot
from vfxmatte.common.configuration import changed
from vfxmatte.errors import MissingFrameError, ShotError
from vfxmatte.io.plate import PlateInfo
from vfxmatte.io.plates import open_plate
from vfxmatte.pipeline.plan import Fingerprints, RunPlan, make_plan
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import Window

WINDOW = Window.of_size(64, 48)


def plate_of(*numbers: int, unreadable: tuple[int, ...] = ()) -> PlateInfo:
    return PlateInfo(
        spec="plate.####.exr", kind="sequence", numbers=numbers, padding=4, canvas=WINDOW,
        display_window=WINDOW, pixel_aspect=1.0, fps=None, colour_space="ACEScg",
        colour_reason="asked", description="half RGB", unreadable=unreadable,
    )  # fmt: skip


def plan_of(plate: PlateInfo, *keyframes: int, **settings: Any) -> RunPlan:
    paths = {n: Path(f"trimap.{n}.png") for n in keyframes}
    shot = Shot(name="creature", plate=Path("plate"), keyframes=paths, output=Path("matte"))
    return make_plan(shot, changed(RunSettings(), settings), plate)


def test_by_default_every_frame_of_the_plate() -> None:
    plan = plan_of(plate_of(3, 4, 5), 4)
    assert plan.numbers == plan.trail == (3, 4, 5)
    assert plan.skipped == () and plan.notes == ()
    assert plan.sources == {3: 3, 4: 4, 5: 5}
    assert [plan.segment(n) for n in (3, 4, 5)] == [(None, 4), (4, 4), (4, None)]


def test_a_range_solves_less_and_follows_all() -> None:
    plan = plan_of(plate_of(*range(1, 11)), 1, 10, frames="2-8x3")
    assert plan.numbers == (2, 5, 8)
    assert plan.trail == tuple(range(1, 11))
    assert plan.segment(5) == (1, 10)


def test_a_plate_on_twos_lacks_nothing() -> None:
    assert plan_of(plate_of(1, 3, 5, 7), 1).numbers == (1, 3, 5, 7)


def test_missing_frames_stop_the_run_unless_told_otherwise() -> None:
    with pytest.raises(MissingFrameError, match="lacks 3 of 9 frames: 4-5,8") as caught:
        plan_of(plate_of(1, 2, 3, 6, 7, 9), 1)
    assert caught.value.shot == "creature" and caught.value.path == "plate.####.exr"
    assert "--missing hold" in str(caught.value)


def test_missing_frames_are_held_from_the_frame_before() -> None:
    plan = plan_of(plate_of(1, 2, 3, 6, 7, 9), 1, missing="hold", frames="0-9")
    assert plan.numbers == plan.trail == tuple(range(10))
    assert [plan.sources[n] for n in (0, 3, 4, 5, 6, 8)] == [1, 3, 3, 3, 6, 7]
    assert any("0,4-5,8" in note and "frame before" in note for note in plan.notes)


def test_missing_frames_are_left_out() -> None:
    plan = plan_of(plate_of(1, 2, 3, 6), 1, missing="skip", frames="2-7")
    assert (plan.numbers, plan.skipped) == ((2, 3, 6), (4, 5, 7))
    assert plan.trail == (1, 2, 3, 6)
    assert any("4-5,7" in note and "left out" in note for note in plan.notes)


def test_a_missing_frame_outside_of_the_range_does_not_matter() -> None:
    assert plan_of(plate_of(1, 2, 3, 6), 1, frames="1-3").numbers == (1, 2, 3)


def test_a_range_beside_the_plate_is_refused() -> None:
    with pytest.raises(ShotError, match="no frame of 20-30 is in the plate, which has 1-3"):
        plan_of(plate_of(1, 2, 3), 1, frames="20-30")


def test_keyframes_outside_of_the_plate_are_noted_or_refused() -> None:
    plan = plan_of(plate_of(1, 2, 3), 2, 9)
    assert list(plan.keyframes) == [2]
    assert any("keyframe 9 is not used: the plate has no such frame" in note for note in plan.notes)
    with pytest.raises(ShotError, match="no keyframe stands on a frame of the plate: keyframe 9,"):
        plan_of(plate_of(1, 2, 3), 9)
    with pytest.raises(ShotError, match="no keyframe trimap"):
        plan_of(plate_of(1, 2, 3))


def test_frames_that_will_fail_are_told_before() -> None:
    plan = plan_of(plate_of(1, 2, 3, 4, unreadable=(2, 3)), 1)
    assert plan.numbers == (1, 2, 3, 4)
    assert any("2-3 cannot be read" in note for note in plan.notes)


# -- what makes a frame stale ---------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Frames 1 to 9 with keyframes on 2, 5 and 8."""
    shot = MovingShot(frames=9, width=64, height=48, first=1, keyframes=(2, 5, 8))
    return shot.write(tmp_path / "shot")


def fingerprints(folder: Path, colour: str = "c", engine: str = "e", **more: Any) -> dict[int, str]:
    settings = changed(RunSettings(), more)
    with open_plate(folder / "plate") as plate:
        plan = make_plan(Shot.open(folder), settings, plate.info)
        prints = Fingerprints(plan, settings, plate, engine={"weights": engine}, colour=colour)
        return {number: prints.of(number) for number in plan.numbers}


def stale(before: dict[int, str], after: dict[int, str]) -> list[int]:
    return [number for number in after if before.get(number) != after[number]]


def repaint(path: Path) -> None:
    path.write_bytes(cv2.imencode(".png", np.full((48, 64), 128, np.uint8))[1].tobytes())


def replate(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def test_nothing_changes_by_itself(folder: Path) -> None:
    before = fingerprints(folder)
    assert len(set(before.values())) == 9
    assert stale(before, fingerprints(folder)) == []


@pytest.mark.parametrize(
    ("change", "affected"),
    [
        (lambda f: repaint(f / "trimaps/trimap.0005.png"), [3, 4, 5, 6, 7]),
        (lambda f: repaint(f / "trimaps/trimap.0002.png"), [1, 2, 3, 4]),
        (lambda f: repaint(f / "trimaps/trimap.0007.png"), [6, 7]),
        (lambda f: repaint(f / "trimaps/trimap.0009.png"), [9]),
        (lambda f: (f / "trimaps/trimap.0005.png").unlink(), [3, 4, 5, 6, 7]),
        (lambda f: replate(f / "plate/plate.0004.exr"), [3, 4]),
        (lambda f: replate(f / "plate/plate.0005.exr"), [3, 4, 5, 6, 7]),
        (lambda f: replate(f / "plate/plate.0001.exr"), [1]),
        (lambda f: replate(f / "plate/plate.0009.exr"), [9]),
    ],
)
def test_a_change_makes_its_segment_stale_and_no_more(
    folder: Path, change: Callable[[Path], object], affected: list[int]
) -> None:
    """Frame 7 as a keyframe leaves frame 8 alone; a keyframe's plate moves both of its sides."""
    before = fingerprints(folder)
    change(folder)
    assert stale(before, fingerprints(folder)) == affected


@pytest.mark.parametrize(
    "more",
    [
        {"engine": "other"}, {"colour": "other"}, {"output": {"pixel_type": "float"}},
        {"keyframe_growth": 1.0}, {"layer": "fg"}, {"part": 1}, {"first_frame": 5},
    ],
)  # fmt: skip
def test_what_decides_every_matte_makes_all_stale(folder: Path, more: dict[str, Any]) -> None:
    assert stale(fingerprints(folder), fingerprints(folder, **more)) == list(range(1, 10))


def test_propagation_does_not_concern_keyframes(folder: Path) -> None:
    after = fingerprints(folder, propagation={"preset": "fast"})
    assert stale(fingerprints(folder), after) == [1, 3, 4, 6, 7, 9]


def test_what_decides_no_pixel_makes_nothing_stale(folder: Path) -> None:
    before = fingerprints(folder)
    assert stale(before, fingerprints(folder, workers=3, fps=25)) == []
    assert stale(before, fingerprints(folder, frames="3-4")) == []


def test_a_shot_may_be_moved(folder: Path, tmp_path: Path) -> None:
    before = fingerprints(folder)
    moved = folder.rename(tmp_path / "elsewhere")
    assert stale(before, fingerprints(moved)) == []


def test_a_held_frame_goes_with_the_file_it_is_held_from(folder: Path) -> None:
    (folder / "plate/plate.0004.exr").unlink()
    before = fingerprints(folder, missing="hold")
    replate(folder / "plate/plate.0003.exr")
    assert stale(before, fingerprints(folder, missing="hold")) == [3, 4]


def test_what_the_plate_has_to_say_is_among_the_notes() -> None:
    plate = dataclasses.replace(plate_of(1, 2), notes=("rotation is ignored",))
    assert plan_of(plate, 1).notes == ("rotation is ignored",)
