"""A small shot with two subjects whose soft edges cross, an engine that solves them at once, and
runs over it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vfxmatte.common.configuration import changed
from vfxmatte.engines.classical.framewise import FramewiseEngine, Solution
from vfxmatte.engines.registry import register
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.io.writers import write_labels
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.subject_shots import chosen
from vfxmatte.pipeline.subjects_run import open_run
from vfxmatte.trimaps import from_matte
from vfxmatte.types import UNKNOWN, FloatImage, Floats, FrameResult, Labels, Trimap, Window

WINDOW = Window.of_size(128, 80)
NUMBERS = tuple(range(1001, 1009))
KEYFRAMES = {"cat": (1001, 1008), "dog": (1001, 1004, 1006, 1008)}
"""The keyframes: on 1001 and 1002 the subjects are apart; then they cross."""
MOTION_ALONE: Mapping[str, Any] = {"tighten": False, "clean_plate": {"moving": False}}
"""Propagation in a third of the time: trimaps follow the motion, and the picture corrects none."""


@dataclass(frozen=True)
class Bright:
    """A method whose alpha is the picture's brightness: 0.5 and more in any unknown pixel."""

    def describe(self) -> Mapping[str, Any]:
        return {}

    def solve(self, picture: Floats, labels: Labels) -> Solution:
        grey = picture.mean(axis=2)[labels == UNKNOWN]
        return Solution(alpha=np.clip(0.5 + grey / 2, 0, 1).astype(np.float32))


def _open(settings: Any) -> FramewiseEngine:
    return FramewiseEngine("bright", Bright(), settings.classical.light)


register("bright", _open)


def alpha(subject: str, number: int) -> FloatImage:
    """Return the visible (80, 128) float32 coverage of a disc; the cat passes before the dog."""
    own = _disc(subject, number)
    return own if subject == "cat" else own * (1 - _disc("cat", number))


def _disc(subject: str, number: int) -> FloatImage:
    step = number - NUMBERS[0]
    column = 24 + 6 * step if subject == "cat" else 104 - 6 * step
    rows, columns = np.mgrid[0 : WINDOW.height, 0 : WINDOW.width].astype(np.float32)
    distance = np.hypot(columns - column, rows - (30 if subject == "cat" else 48))
    return np.clip((19 - distance) / 4, 0, 1).astype(np.float32)


def plate(number: int) -> FloatImage:
    """Return (80, 128, 3) float32: a warm cat before a cold dog before a texture."""
    texture = np.random.default_rng(5).random((*WINDOW.shape, 3)).astype(np.float32)
    picture = 0.2 * texture
    for subject, colour in (("dog", (0.2, 0.3, 0.9)), ("cat", (0.9, 0.5, 0.2))):
        cover = _disc(subject, number)[..., None]
        disc = np.array(colour, np.float32) * (0.7 + 0.3 * texture)
        picture = cover * disc + (1 - cover) * picture
    return picture.astype(np.float32)


def write_subjects(folder: Path, *, subjects: tuple[str, ...] = ("cat", "dog")) -> Path:
    """Write plate/ and trimaps/cat, trimaps/dog; returns the folder."""
    for number in NUMBERS:
        pixels = plate(number).astype(np.float16)
        path = folder / "plate" / f"plate.{number}.exr"
        path.parent.mkdir(parents=True, exist_ok=True)
        planes = {name: pixels[:, :, i] for i, name in enumerate("RGB")}
        rate = {"framesPerSecond": Fraction(24)}
        write_exr(path, planes, data_window=WINDOW, display_window=WINDOW, attributes=rate)
    for subject in subjects:
        for number in KEYFRAMES[subject]:
            write_keyframe(folder / "trimaps" / subject, subject, number)
    return folder


def write_keyframe(folder: Path, subject: str, number: int, *, band_px: float = 3) -> Path:
    """Write the trimap of a subject; a wider band makes another one."""
    labels = from_matte(alpha(subject, number), erode_px=band_px, dilate_px=band_px)
    trimap = Trimap(number=number, labels=labels, is_keyframe=True)
    return write_labels(trimap, folder / f"trimap.{number}.png", WINDOW)


def settings_of(**values: Any) -> RunSettings:
    """Return settings with the engine of this module; `propagation={}` gives the usual one."""
    engine = {"name": "bright", **values.pop("engine", {})}
    usual = {"workers": 2, "propagation": MOTION_ALONE}
    return changed(RunSettings(), {"engine": engine, **usual, **values})


def solve(
    folder: Path,
    *subjects: str,
    into: Path | None = None,
    run: dict[str, Any] | None = None,
    **settings: Any,
) -> list[FrameResult]:
    """Run a shot to its end; settings by name."""
    shot = chosen(Shot.open(folder, output=into), subjects)
    with open_run(shot, settings_of(**settings), **(run or {})) as opened:
        return list(opened.frames())


def alpha_of(folder: Path, subject: str, number: int) -> FloatImage:
    return read_matte(folder / "matte" / subject / f"matte.{number}.exr", WINDOW)


def contents(output: Path) -> dict[str, bytes]:
    """Every matte and trimap, byte by byte."""
    return {
        path.relative_to(output).as_posix(): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.suffix in (".exr", ".png")
    }


def written(results: Sequence[FrameResult]) -> dict[str, list[int]]:
    """The frames that were written, by subject."""
    frames: dict[str, list[int]] = {}
    for result in results:
        assert result.error is None, result.error
        if result.status == "written":
            frames.setdefault(str(result.subject), []).append(result.number)
    return frames


def as_single_shot(folder: Path, subject: str, into: Path) -> Path:
    """The same plate with one subject's keyframes in trimaps/ itself."""
    shutil.copytree(folder / "plate", into / "plate")
    shutil.copytree(folder / "trimaps" / subject, into / "trimaps")
    return into
