"""Frame lists as artists type them, and detection of the frames on which a mask is keyed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from .problem import Problem

_PART = re.compile(r"(-?\d+)(?:-(-?\d+)(?:x(\d+))?)?")
_BEND = 1e-5  # in mask units (1 is the longer side of the picture): far below a tenth of a pixel


def parse_frames(text: str) -> list[int]:
    """Parse `1 13 25` or `1, 10-50x10` into ascending frame numbers; raises Problem."""
    numbers: set[int] = set()
    for part in re.split(r"[,;\s]+", text.strip()):
        match = _PART.fullmatch(part)
        if part and (match is None or int(match[3] or 1) < 1):
            raise Problem(f"'{part}' is not a frame", "Write frames like 1, 13, 25 or 1-49x12")
        if match is not None:
            first, last = int(match[1]), int(match[2] or match[1])
            numbers.update(range(first, last + 1, int(match[3] or 1)))
    return sorted(numbers)


def frames_text(numbers: Iterable[int]) -> str:
    """Format frame numbers as `1, 13, 25`, which `parse_frames` reads back."""
    return ", ".join(str(number) for number in sorted(set(numbers)))


def keyed_frames(frames: Sequence[int], shapes: Sequence[NDArray[np.float32]]) -> list[int]:
    """Find the frames on which a mask has keys from its shape on consecutive frames.

    Blender interpolates mask shapes linearly between keys and does not expose the keys, so a key is
    found where the motion changes. A key on a straight path between its neighbours is missed, and
    so is every key of a mask that never moves.

    Args:
        frames: consecutive frame numbers.
        shapes: for each frame the coordinates of all points, (N,) float32 of equal length.
    """
    if len({shape.size for shape in shapes}) != 1 or shapes[0].size == 0:
        return []
    still = [shapes[0], *shapes, shapes[-1]]
    bends = np.abs(np.diff(np.stack(still).astype(np.float64), n=2, axis=0)).max(axis=1)
    return [frames[int(at)] for at in np.flatnonzero(bends > _BEND)]
