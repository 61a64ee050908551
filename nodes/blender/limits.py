"""The files of garbage and core mattes in a results' folder: one for each frame, or a still."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .labels import Coverage
from .png import write_png
from .results import ShotFolder, writing

KINDS = ("garbage", "core")


def write_mattes(
    folder: ShotFolder, kind: str, mattes: Iterable[tuple[int | None, Coverage]]
) -> str:
    """Write mattes and delete those of earlier runs.

    Args:
        folder: where results go.
        kind: garbage or core.
        mattes: (H, W) float32 coverage by file number; the number None for a still of all frames.

    Returns:
        The folder for the request; of several subjects, with a folder for each.

    Raises:
        Problem: they cannot be written.
    """
    place = folder.path / kind
    own = place / folder.subject
    written: set[Path] = set()
    for number, coverage in mattes:
        path = own / (f"{kind}.png" if number is None else f"{kind}.{number:04d}.png")
        with writing(path):
            write_png(path, np.rint(coverage.clip(0, 1) * np.float32(65535)).astype(np.uint16))
        written.add(path)
    for each in {place, own}:  # beside the folders of subjects there may be no file
        _delete_others(each, kind, written)
    return str(place)


def _delete_others(folder: Path, kind: str, written: set[Path]) -> None:
    name = re.compile(rf"{kind}(\.-?\d+)?\.png")
    with writing(folder):
        for path in list(folder.iterdir()):
            if name.fullmatch(path.name) and path not in written:
                path.unlink()
