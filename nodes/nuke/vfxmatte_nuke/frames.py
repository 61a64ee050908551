"""Frame lists as artists type them, and the plate frames that a render needs."""

from __future__ import annotations

import re
from collections.abc import Iterable

from vfxmatte_nuke.problem import Problem

_PART = re.compile(r"(-?\d+)(?:-(-?\d+)(?:x(\d+))?)?$")


def parse_frames(text: str) -> list[int]:
    """Parse `1001 1013, 1025` or `1001-1025x12` into ascending frame numbers; raises Problem."""
    numbers: set[int] = set()
    for part in re.split(r"[\s,;]+", text.strip()):
        if not part:
            continue
        match = _PART.match(part)
        if match is None:
            raise Problem(
                f"'{part}' in the keyframes is not a frame",
                "Write frames like 1001 1013 1025 or 1001-1025x12.",
            )
        first = int(match.group(1))
        last = first if match.group(2) is None else int(match.group(2))
        step = int(match.group(3) or 1)
        if last < first or step < 1:
            raise Problem(f"'{part}' in the keyframes holds no frame")
        numbers.update(range(first, last + 1, step))
    return sorted(numbers)


def frames_text(numbers: Iterable[int]) -> str:
    """Format frame numbers as `1001 1013 1025`, for the keyframes knob."""
    return " ".join(str(number) for number in sorted(set(numbers)))


def ranges_text(numbers: Iterable[int]) -> str:
    """Format frame numbers as `1001-1004, 1008`, for a message."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def range_text(first: int, last: int) -> str:
    """Format a range as `1001-1048`, or `1001` for one frame, as `vfxmatte run --frames` does."""
    return str(first) if first == last else f"{first}-{last}"


def plate_span(first: int, last: int, keyframes: Iterable[int]) -> tuple[int, int]:
    """Return the first and last frame of the plate that the mattes of a range depend on.

    A trimap is carried through the whole stretch between the keyframes on either side, so the
    span reaches from the last keyframe at or before `first` to the first at or after `last`; where
    there is none on a side, it reaches far enough to hold a keyframe.
    """
    keys = sorted(keyframes)
    if not keys:
        return first, last
    before = [key for key in keys if key <= first]
    after = [key for key in keys if key >= last]
    start = before[-1] if before else min(first, keys[0])
    end = after[0] if after else max(last, keys[-1])
    return start, end
