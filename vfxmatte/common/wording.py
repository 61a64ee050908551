"""Words of messages that depend on how many things they name."""

from __future__ import annotations

from collections.abc import Collection

from vfxmatte.types import numbers_as_text


def counted(count: int, noun: str) -> str:
    """Count things: `1 frame`, `2 frames`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def frames_text(
    numbers: Collection[int], verb: tuple[str, str] | None = None, *, noun: str = "frame"
) -> str:
    """Name frames: `frame 1003`, `frames 1001-1004,1008`; with a verb `frame 1003 has`.

    Args:
        numbers: without repetitions.
        verb: for one frame, and for several.
        noun: what is named by its frame's number, such as `keyframe`.
    """
    is_one = len(numbers) == 1
    text = f"{noun}{'' if is_one else 's'} {numbers_as_text(numbers)}"
    return text if verb is None else f"{text} {verb[0] if is_one else verb[1]}"


HAS = ("has", "have")
IS = ("is", "are")
