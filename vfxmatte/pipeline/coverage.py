"""Frames that lie far from any keyframe."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence

from vfxmatte.common.wording import counted, frames_text
from vfxmatte.types import numbers_as_text

FAR_BETWEEN, FAR_OUTSIDE = 24, 12
"""Frames from the nearest keyframe at which a trimap is little better than a guess: between two
keyframes, and before the first or after the last one."""


def far_frames(numbers: Collection[int], keyframes: Collection[int]) -> list[int]:
    """Return the frames that are too far from any keyframe to be trusted, ascending."""
    keys = sorted(keyframes)
    return [number for number in sorted(numbers) if _is_far(number, keys)]


def _is_far(number: int, keys: Sequence[int]) -> bool:
    outside = not keys[0] <= number <= keys[-1]
    return _distance(number, keys) > (FAR_OUTSIDE if outside else FAR_BETWEEN)


def _distance(number: int, keys: Sequence[int]) -> int:
    index = bisect_left(keys, number)
    return min(abs(number - key) for key in keys[max(0, index - 1) : index + 1])


def coverage_note(numbers: Collection[int], keyframes: Collection[int]) -> str | None:
    """Return a warning of the frames that are far from any keyframe; None without any."""
    far = far_frames(numbers, keyframes)
    if not far:
        return None
    keys = sorted(keyframes)
    farthest = max(far, key=lambda number: _distance(number, keys))
    return (
        f"{len(far)} of {counted(len(numbers), 'frame')} {'is' if len(far) == 1 else 'are'} far "
        f"from any keyframe ({numbers_as_text(keys)}): {frames_text(far)}, up to "
        f"{counted(_distance(farthest, keys), 'frame')} away. Trimaps there are little better than "
        f"a guess: paint frame {farthest}, or give --frames"
    )
