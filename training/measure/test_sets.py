"""Sets of pictures to evaluate predictors on, opened by path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.elements.pack import read_pack
from training.measure.photographs import is_photograph_folder, photographs, trimap_folders
from training.measure.samples import Sample, composites, with_band
from training.measure.shot_frames import is_shot_folder, shot_frames
from vfxmatte.errors import TrainingError

SHOT_BAND_PX = 25.0
"""Default width of a shot's trimap bands: the middle one of the video matting papers."""


@dataclass(frozen=True, kw_only=True)
class TestSet:
    """A named set of samples."""

    __test__ = False  # keeps pytest from collecting it for its name

    name: str
    samples: Callable[[], Iterator[Sample]]
    """Reads the samples, from the first at every call."""
    moving: bool = False
    """Whether the samples are consecutive frames of one shot."""


def open_test_sets(
    path: Path, *, per_element: int = 1, seed: int = 7, bands_px: Sequence[float] = ()
) -> list[TestSet]:
    """Open the sets of a path.

    A pack gives one set from its held-out split; a folder with input/ and alpha/ one for each of
    its trimap folders; a shot with plate/ and alpha/ one; a folder of such shots one for each.

    Args:
        path: a pack, a folder of photographs, a shot or a folder of shots.
        per_element: backgrounds for each held-out element of a pack.
        seed: seed of a pack's composites.
        bands_px: widths of trimap bands to draw from the true alphas, one set for each. By default
            trimaps are those of the folder, of random widths in a pack, and `SHOT_BAND_PX` wide in
            a shot.
    """
    if path.is_file():
        held_out = read_pack(path).validation()
        drawn = TestSet(
            name=f"{path.stem} held out",
            samples=lambda: composites(held_out, per_element=per_element, seed=seed),
        )
        return [drawn] if not bands_px else [_with_band(drawn, band) for band in bands_px]
    if is_photograph_folder(path):
        folders = [_photographs(path, trimaps) for trimaps in trimap_folders(path)]
        if not bands_px:
            return folders
        pictures = replace(folders[0], name=path.resolve().name)
        return [_with_band(pictures, band) for band in bands_px]
    shots = [path] if is_shot_folder(path) else _shots_in(path)
    if not shots:
        raise TrainingError(
            "this is nothing to evaluate on",
            path=path,
            hint="give a pack, a folder with input/ alpha/ trimap*/, or shots with plate/ alpha/",
        )
    if not bands_px:
        return [_shot(shot, SHOT_BAND_PX) for shot in shots]
    return [_named(_shot(shot, band), band) for shot in shots for band in bands_px]


def _with_band(pictures: TestSet, band_px: float) -> TestSet:
    drawn = replace(
        pictures, samples=lambda: (with_band(sample, band_px) for sample in pictures.samples())
    )
    return _named(drawn, band_px)


def _named(test_set: TestSet, band_px: float) -> TestSet:
    return replace(test_set, name=f"{test_set.name}, {band_px:g} px bands")


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
