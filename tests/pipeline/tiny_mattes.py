"""Mattes of the tiny shot: written, read, and what the journal records of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tests.conftest import TINY_NUMBERS, TINY_WINDOW
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.io.stills.halves import narrowed, widened
from vfxmatte.journal.journal import Journal
from vfxmatte.types import FloatImage

NUMBERS = list(TINY_NUMBERS)
X = np.mgrid[0:48, 0:64][1].astype(np.float32)
SOFT_WALL = np.clip((40 - X) / 8, 0, 1).astype(np.float32)  # 1 up to 32, 0 from 40 on


def write(path: Path, values: FloatImage) -> Path:
    """Coverage as 16-bit PNG or TIFF, or as EXR in single precision."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".exr":
        write_exr(path, {"A": values}, data_window=TINY_WINDOW, display_window=TINY_WINDOW)
    else:
        levels = np.rint(values * 65535).astype(np.uint16)
        path.write_bytes(cv2.imencode(path.suffix, levels)[1].tobytes())
    return path


def half(alpha: FloatImage) -> FloatImage:
    return widened(narrowed(alpha))


def alpha_of(path: Path | None) -> FloatImage:
    assert path is not None
    return read_matte(path, TINY_WINDOW)


def alphas(folder: Path) -> dict[int, FloatImage]:
    return {n: alpha_of(folder / f"matte.{n}.exr") for n in NUMBERS}


def paths(folder: Path) -> dict[int, Path]:
    return {int(path.name.split(".")[1]): path for path in sorted(folder.glob("matte.*.*"))}


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("matte.*"))}


def labels_of(output: Path, number: int) -> np.ndarray:
    return np.asarray(cv2.imread(str(output / "trimaps" / f"trimap.{number}.png"), 0))


def prints(output: Path) -> dict[int, str]:
    return {n: record.fingerprint for n, record in Journal.peek(output).records.items()}
