"""What a predictor can be evaluated on, opened by path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from training.pack import read_pack
from training.photographs import is_photograph_folder, photographs, trimap_folders
from training.samples import Sample, composites
from training.shot_frames import is_shot_folder, shot_frames
from vfxmatte.errors import TrainingError


@dataclass(frozen=True, kw_only=True)
class TestSet:
    """A named set of samples that can be gone through again and again.

    moving: its samples are consecutive frames of one shot.
    """

    __test__ = False  # for pytest: the name is no promise of tests

    name: str
    samples: Callable[[], Iterator[Sample]]
    moving: bool = False


def open_test_sets(
    path: Path, *, per_element: int = 1, seed: int = 7, band_px: float = 25
) -> list[TestSet]:
    """The sets that `path` holds.

    A pack gives one set from its held-out split; a folder with input/ and alpha/ one for each of
    its trimap folders; a shot with plate/ and alpha/ one; a folder of such shots one for each.

    Args:
        per_element: backgrounds for each held-out element of a pack. seed: of these composites.
        band_px: width of a shot's trimap bands.
    """
    if path.is_file():
        held_out = read_pack(path).validation()
        name = f"{path.stem} held out"
        return [
            TestSet(
                name=name,
                samples=lambda: composites(held_out, per_element=per_element, seed=seed),
            )
        ]
    if is_photograph_folder(path):
        return [_photographs(path, trimaps) for trimaps in trimap_folders(path)]
    shots = [path] if is_shot_folder(path) else _shots_in(path)
    if not shots:
        raise TrainingError(
            "this is nothing to evaluate on",
            path=path,
            hint="give a pack, a folder with input/ alpha/ trimap*/, or shots with plate/ alpha/",
        )
    return [_shot(shot, band_px) for shot in shots]


def _shots_in(path: Path) -> list[Path]:
    return [shot for shot in sorted(path.glob("*")) if is_shot_folder(shot)]


def _photographs(folder: Path, trimaps: str) -> TestSet:
    return TestSet(
        name=f"{folder.resolve().name} {trimaps}", samples=lambda: photographs(folder, trimaps)
    )


def _shot(folder: Path, band_px: float) -> TestSet:
    return TestSet(
        name=folder.resolve().name,
        samples=lambda: shot_frames(folder, band_px=band_px),
        moving=True,
    )
