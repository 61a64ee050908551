"""Propagate through a segment with cuts inside: from either side to the cut, never across it.

Flashes are bridged like frames that cannot be read. The frames between two cuts, or behind a cut
where no keyframe follows, are nobody's: they are tracked across all the same, without confidence.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from vfxmatte.propagation.cuts import Breaks, find_breaks
from vfxmatte.propagation.segment import ReadProxies, SegmentWork
from vfxmatte.types import Failure, Picture, Trimap


def stored_trimaps(segment: SegmentWork, readable: frozenset[int]) -> Generator[Trimap | Failure]:
    """Yield the wanted trimaps of a segment whose plates are stored; cuts end its tracks."""
    breaks = find_breaks(_pictures(segment, readable, segment.numbers))
    readable -= frozenset(breaks.flashes)
    if breaks.cuts:
        trimaps = _apart(segment, readable, breaks.cuts)
    else:
        trimaps = segment.track_back(readable).trimaps()
    return _flashes_marked(trimaps, breaks)


def trimaps_after(segment: SegmentWork, read_proxies: ReadProxies) -> Generator[Trimap | Failure]:
    """Yield the trimaps after the last keyframe as their frames are read."""
    breaks = Breaks()
    trimaps = segment.track_forward(lambda numbers: breaks.passing(read_proxies(numbers)))
    try:
        for trimap in _flashes_marked(trimaps, breaks):
            behind = [cut for cut in breaks.cuts if cut <= trimap.number]
            yield _marked(trimap, behind[0], across=True) if behind else trimap
    finally:
        trimaps.close()


def _flashes_marked(
    trimaps: Generator[Trimap | Failure], breaks: Breaks
) -> Generator[Trimap | Failure]:
    with closing(trimaps):
        for trimap in trimaps:
            if isinstance(trimap, Trimap) and trimap.number in breaks.flashes:
                trimap = replace(trimap, is_flash=True)
            yield trimap


def _apart(
    segment: SegmentWork, readable: frozenset[int], cuts: Sequence[int]
) -> Generator[Trimap | Failure]:
    first, last = cuts[0], cuts[-1]
    start = segment.numbers[0] if segment.before is None else last
    before = replace(_part(segment, segment.numbers[0], start), after=None)
    after = replace(_part(segment, start, segment.numbers[-1] + 1), before=None)
    try:
        if before.requested:
            for trimap in before.track_forward(lambda n: _pictures(segment, readable, n)):
                yield _marked(trimap, first, across=trimap.number >= first)
        if after.requested:
            for trimap in after.track_back(readable & frozenset(after.numbers)).trimaps():
                yield _marked(trimap, last, across=trimap.number < last)
    finally:
        segment.proxies.clear()


def _part(segment: SegmentWork, start: int, end: int) -> SegmentWork:
    """Return the work on the frames from `start` on, before `end`."""
    return replace(
        segment,
        numbers=[number for number in segment.numbers if start <= number < end],
        requested=frozenset(number for number in segment.requested if start <= number < end),
    )


def _pictures(
    segment: SegmentWork, readable: frozenset[int], numbers: Sequence[int]
) -> Iterator[tuple[int, Picture | None]]:
    proxies = segment.proxies
    for number in numbers:
        yield number, proxies.picture(number) if number in readable else None


def _marked(trimap: Trimap | Failure, cut: int, *, across: bool) -> Trimap | Failure:
    if isinstance(trimap, Failure):
        return trimap
    return replace(trimap, cut=cut, confidence=0.0 if across else trimap.confidence)
