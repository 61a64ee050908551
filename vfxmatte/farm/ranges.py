"""Frame ranges of Open Job Description, and their chunks.

Every second frame is `1001-1100:2` there, `1001-1100x2` here and in OpenCue.
"""

from __future__ import annotations

import re

from vfxmatte.errors import UsageError
from vfxmatte.types import Frames, frames_of

_OPENJD = re.compile(r"(-?\d{1,9})(?:\s*-\s*(-?\d{1,9})(?:\s*:\s*(-?\d{1,9}))?)?", re.ASCII)
_MAX_FRAMES = 10_000_000  # a typing error must not fill the memory


def to_openjd(frames: Frames) -> str:
    """Format frames as `1001-1100:2` or `1001,1005,1009-1012`."""
    return str(frames).replace("x", ":")


def from_openjd(text: str) -> Frames:
    """Parse a range expression of Open Job Description.

    Args:
        text: e.g. `1001`, `1001-1011:2`, `1011-1001:-2`, `1001,1005,1009-1012`.
    Raises:
        UsageError: `text` is no such expression, or an empty one.
    """
    return frames_of(number for part in text.split(",") for number in _parse(part))


def _parse(text: str) -> range:
    match = _OPENJD.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"not a range of Open Job Description: {text!r}",
            hint="write FIRST-LAST or FIRST-LAST:STEP, several with commas: 1001-1100:2,1200",
        )
    first = int(match[1])
    last = first if match[2] is None else int(match[2])
    step = int(match[3] or 1)
    numbers = range(first, last + (1 if step > 0 else -1), step) if step else range(0)
    if not numbers:
        raise UsageError(
            f"frame range {text.strip()!r} is empty",
            hint="a step is not 0; where the first frame is the higher one, it is negative",
        )
    if len(numbers) > _MAX_FRAMES:
        raise UsageError(f"frame range {text.strip()!r} has {len(numbers)} frames")
    return numbers


def starts(frames: Frames, size: int) -> Frames:
    """Return the first frame of each chunk; raises UsageError for a size below 1."""
    _check_size(size)
    return frames_of(list(frames)[::size])


def part_from(frames: Frames, start: int, size: int) -> Frames:
    """Return up to `size` frames from `start` on.

    Raises UsageError if `start` is not among the frames, or the size is below 1.
    """
    _check_size(size)
    if start not in frames:
        raise UsageError(
            f"no chunk of {frames} starts at {start}", hint="give a frame of the range"
        )
    numbers = list(frames)
    index = numbers.index(start)
    return frames_of(numbers[index : index + size])


def _check_size(size: int) -> None:
    if size < 1:
        raise UsageError(f"a chunk has 1 frame or more, found {size}")
