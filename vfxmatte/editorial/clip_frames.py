"""The frames of a media that the clips of a cut need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vfxmatte.common.wording import counted
from vfxmatte.editorial.media import Media
from vfxmatte.editorial.uses import Use
from vfxmatte.errors import ShotError
from vfxmatte.types import FrameRange


def frames_to_matte(use: Use, media: Media, handles: int) -> tuple[FrameRange, list[str]]:
    """Return the frames to matte for one clip, and notes on them.

    Raises ShotError if the cut shows frames that the media does not have.
    """
    if use.wide is None:
        return media.frames(0, media.count - 1), [f"{use.why}: the whole media is taken"]
    notes = [f"time effect: {use.why}"] if use.why else []
    low, high = media.offsets(use.wide)
    low, high = low - handles, high + handles
    lowest, highest = media.on_disk()
    first, last = max(low, lowest, 0), min(high, highest, media.count - 1)
    if use.required is not None:  # the cut needs these frames; the run reports missing ones
        needed = media.offsets(use.required)
        if needed[0] < 0 or needed[1] >= media.count:
            raise _outside(use.required, media)
        first, last = min(first, needed[0]), max(last, needed[1])
    if last < first:
        raise _outside(use.wide, media)
    for lacking, where in ((first - low, "before"), (high - last, "after")):
        if lacking > 0 and not media.is_still:
            frames = counted(lacking, "frame")
            notes.append(f"{frames} fewer than asked for {where} the shot: there are no more")
    return media.frames(first, last), notes


def _outside(times: Any, media: Media) -> ShotError:
    needed, available = media.frames(*media.offsets(times)), media.frames(0, media.count - 1)
    return ShotError(
        f"the cut shows frames {needed}, the media has {available}",
        path=media.plate,
        hint="the clip's source range and its media's available range do not agree: relink it",
    )


def joined_ranges(ranges: Sequence[FrameRange]) -> tuple[FrameRange, ...]:
    """Join overlapping and adjoining ranges of the same step; ascending."""
    joined: list[FrameRange] = []
    for one in sorted(ranges, key=lambda r: (r.first, r.last)):
        if joined and one.first <= joined[-1].last + one.step:
            before = joined.pop()
            one = replace(before, last=max(before.last, one.last))
        joined.append(one)
    return tuple(joined)
