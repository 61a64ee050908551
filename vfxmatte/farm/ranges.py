"""Frame ranges as schedulers write them: each has a dialect of its own.

Every second frame is `1001-1100x2` here and in OpenCue, where `:` means something else, and
`1001-1100:2` in Open Job Description.
"""

from __future__ import annotations

import re
from itertools import pairwise

from vfxmatte.errors import UsageError
from vfxmatte.types import FrameRange

_OPENJD = re.compile(r"(-?\d+)(?:-(-?\d+)(?::(\d+))?)?")


def to_openjd(frames: FrameRange) -> str:
    """`1001-1100:2`."""
    return str(frames).replace("x", ":")


def from_openjd(text: str) -> FrameRange:
    """A chunk of a range that `to_openjd` has written, e.g. `1001`, `1001-1011:2`, `1001,1003`.

    Raises UsageError: not such a range, an empty one, or one that has no common step.
    """
    numbers = sorted({number for part in text.split(",") for number in _piece(part)})
    steps = {b - a for a, b in pairwise(numbers)} or {1}
    if len(steps) > 1:
        raise UsageError(
            f"the frames of {text!r} are not at equal distances",
            hint="give a range FIRST-LAST or FIRST-LAST:STEP",
        )
    return FrameRange(first=numbers[0], last=numbers[-1], step=steps.pop())


def _piece(text: str) -> range:
    match = _OPENJD.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"not a range of Open Job Description: {text!r}",
            hint="write FIRST-LAST or FIRST-LAST:STEP, e.g. 1001-1100:2",
        )
    first = int(match[1])
    last = first if match[2] is None else int(match[2])
    return FrameRange(first=first, last=last, step=int(match[3] or 1)).as_range()


def starts(frames: FrameRange, size: int) -> FrameRange:
    """The first frame of each chunk of `size` frames; raises UsageError for a size below 1."""
    _check_size(size)
    return FrameRange(first=frames.first, last=frames.last, step=frames.step * size)


def part_from(frames: FrameRange, start: int, size: int) -> FrameRange:
    """The `size` frames from `start` on, as far as the range goes.

    Raises UsageError: `start` is no frame of the range, or the size is below 1.
    """
    _check_size(size)
    if start not in frames:
        raise UsageError(
            f"no chunk of {frames} starts at {start}", hint="give a frame of the range"
        )
    last = min(frames.as_range()[-1], start + (size - 1) * frames.step)
    return FrameRange(first=start, last=last, step=frames.step)


def _check_size(size: int) -> None:
    if size < 1:
        raise UsageError(f"a chunk has 1 frame or more, found {size}")
