"""The part of each clip's media that a cut shows: trims, nested stacks, transitions, time effects.

Only video tracks count; disabled clips and tracks are left out, and so are tracks of mattes that
`mattes` has added. A transition needs more of both its clips. All times are those of the media, as
`source_range` counts them.

A clip's `source_range` lasts as long as the clip does in its track. Under a LinearTimeWarp of
`time_scalar` s it begins at the same time of the media and consumes s times its duration.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vfxmatte.editorial.package import opentimelineio

_ROUNDING = 1e-6  # frames that products of speeds may lose
MATTES_KEY = "mattes"
METADATA_KEY = "vfxmatte"


@dataclass(frozen=True, kw_only=True, eq=False)
class Use:
    """One clip of the cut, and the ranges of its media. Both None: the whole media."""

    clip: Any
    """OpenTimelineIO's clip."""
    required: Any | None
    """TimeRange that must exist; None where only a transition shows it."""
    wide: Any | None
    """TimeRange with transitions, and the neighbours of retimed frames."""
    why: str = ""
    """The reason for more than `required`, "" for none."""


def uses_in(timeline: Any) -> Iterator[Use]:
    """Yield every enabled clip in a video track, in the cut's order, tracks from the lowest."""
    stack = timeline.tracks
    needed = _trimmed(stack) or _everything()
    for child, place in _places(stack):
        yield from _inside(child, place, place, needed, needed, _time_effect(stack))


def is_mattes(track: Any) -> bool:
    """Return True for a track that `mattes.write_mattes` has added."""
    return bool(dict(track.metadata).get(METADATA_KEY, {}).get(MATTES_KEY))


def is_left_out(item: Any) -> bool:
    """Return True if neither the item nor anything in it is to be matted."""
    otio = opentimelineio()
    if not item.enabled:
        return True
    is_track = isinstance(item, otio.schema.Track)
    return is_track and (item.kind != otio.schema.TrackKind.Video or is_mattes(item))


def _inside(
    item: Any, place: Any, wide_place: Any, required: Any | None, wide: Any, why: str
) -> Iterator[Use]:
    """Yield the uses of an item.

    Args:
        place, wide_place: its range in the parent, without and with its transitions.
        required, wide: the ranges needed of the parent.
    """
    otio = opentimelineio()
    if is_left_out(item):
        return
    own = _trimmed(item)
    if own is None:
        required = wide = _everything()
    else:
        required = None if required is None else _to_own(required, place, own, place)
        wide = _to_own(wide, wide_place, own, place)
        if wide is None:
            return
    if isinstance(item, otio.schema.Clip):
        yield _use(item, own, required, wide, why)
    elif isinstance(item, otio.core.Composition):
        within = why or _time_effect(item)
        for child, child_place in _places(item):
            widened = _with_transitions(item, child, child_place)
            yield from _inside(child, child_place, widened, required, wide, within)


def _use(clip: Any, own: Any | None, required: Any | None, wide: Any | None, why: str) -> Use:
    otio = opentimelineio()
    effects = [e for e in clip.effects if e.enabled and isinstance(e, otio.schema.TimeEffect)]
    speed = 1.0
    for effect in effects:
        if not isinstance(effect, otio.schema.LinearTimeWarp):
            why = why or f"a time effect that is not linear ({effect.effect_name or effect.name})"
        else:
            speed *= effect.time_scalar
    if speed < 0:
        why = why or "it plays backwards"
    if own is None:
        why = why or "the cut gives no range"
    if why:
        return Use(clip=clip, required=None, wide=None, why=why)
    if speed == 1:
        return Use(clip=clip, required=required, wide=wide)
    return Use(
        clip=clip,
        required=None if required is None else _played(required, own, speed),
        wide=_warped(wide, own, speed),
        why="a freeze" if speed == 0 else f"speed {speed:g}",
    )


def _played(needed: Any, own: Any, speed: float) -> Any:
    """Return the media's frames that are on screen during `needed`, without blending."""
    ot = opentimelineio().opentime
    origin, rate = own.start_time, own.start_time.rate
    past = (needed.start_time - origin).value_rescaled_to(rate)
    count = max(1, round(needed.duration.value_rescaled_to(rate)))
    first = math.floor(past * speed + _ROUNDING)
    last = math.floor((past + count - 1) * speed + _ROUNDING)
    return ot.TimeRange(
        origin + ot.RationalTime(first, rate), ot.RationalTime(last - first + 1, rate)
    )


def _warped(needed: Any, own: Any, speed: float) -> Any:
    """Return the media of `needed`, with the frame that the last one may be blended with."""
    ot = opentimelineio().opentime
    origin, frame = own.start_time, ot.RationalTime(1, own.start_time.rate)
    if speed == 0:
        return ot.TimeRange(origin, frame)

    def media(time: Any) -> Any:
        past = (time - origin).value_rescaled_to(origin.rate)
        return origin + ot.RationalTime(past * speed, origin.rate)

    end = needed.end_time_exclusive()
    return ot.range_from_start_end_time(
        media(needed.start_time), max(media(end), media(end - frame) + frame)
    )


def _everything() -> Any:
    ot = opentimelineio().opentime
    return ot.TimeRange(ot.RationalTime(-1e9, 24), ot.RationalTime(2e9, 24))


def _time_effect(composition: Any) -> str:
    """Name a composition's time effect, which makes its times unknown; "" without."""
    effect = opentimelineio().schema.TimeEffect
    is_retimed = any(e.enabled and isinstance(e, effect) for e in composition.effects)
    return f"a time effect on {composition.name or 'its track'}" if is_retimed else ""


def _trimmed(item: Any) -> Any | None:
    """Return the item's range in its own time; None where the cut does not give it."""
    try:
        return item.available_range() if _is_offset(item) else item.trimmed_range()
    except opentimelineio().exceptions.OTIOError:
        return None


def _is_offset(item: Any) -> bool:
    """Return True if a track's range trims nothing, as EDLs' record times (of negative start)."""
    trim = item.source_range
    if trim is None or not isinstance(item, opentimelineio().schema.Track):
        return False
    whole = item.available_range()
    return bool(trim.start_time < whole.start_time and trim.duration == whole.duration)


def _places(composition: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each item with its range in the composition's time; empty where it has no length."""
    otio = opentimelineio()
    is_track = isinstance(composition, otio.schema.Track)
    start = None
    for child in composition:
        if not isinstance(child, otio.core.Item):
            continue
        own = _trimmed(child)
        duration = otio.opentime.RationalTime(0, 24) if own is None else own.duration
        start = otio.opentime.RationalTime(0, duration.rate) if start is None else start
        yield child, otio.opentime.TimeRange(start, duration)
        if is_track:
            start = start + duration


def _with_transitions(composition: Any, child: Any, place: Any) -> Any:
    otio = opentimelineio()
    if not isinstance(composition, otio.schema.Track):
        return place
    head, tail = composition.handles_of_child(child)
    start = place.start_time if head is None else place.start_time - head
    end = place.end_time_exclusive()
    return otio.opentime.range_from_start_end_time(start, end if tail is None else end + tail)


def _to_own(needed: Any, extent: Any, own: Any, place: Any) -> Any | None:
    """Convert `needed` of the parent, within `extent`, to the item's own time.

    The whole item is returned as it is: times of different rates add up with rounding only.
    """
    ot = opentimelineio().opentime
    start = max(needed.start_time, extent.start_time)
    end = min(needed.end_time_exclusive(), extent.end_time_exclusive())
    if end <= start:
        return None
    if start == place.start_time and end == place.end_time_exclusive():
        return own
    first = own.start_time + (start - place.start_time)
    last = own.end_time_exclusive() + (end - place.end_time_exclusive())
    return ot.range_from_start_end_time(first, last)
