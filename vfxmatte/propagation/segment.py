"""One segment at work: the frames between two keyframes, or on one side of the only one.

Its plates are read and stored, the later keyframe is followed backward, its labels and the flows
stored too; then the earlier one is followed forward, and each frame's trimap is given at once:
merged, tightened by the frame's own picture, and enlarged. Only the chain of motions is
sequential; flows, labels and all else that concerns single frames is done by several workers.
Knows nothing of other segments.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from vfxmatte.common.checked import Checked, limited
from vfxmatte.common.parallel import close, ordered_map
from vfxmatte.errors import OutputError, concerns_all_frames
from vfxmatte.propagation.flow import FlowPair, Preset, flow_pair, grey
from vfxmatte.propagation.one_direction import Side, Step, Tracker, TrackSettings
from vfxmatte.propagation.proxy_store import ProxyStore
from vfxmatte.propagation.tightening import Tightener, TighteningSettings
from vfxmatte.propagation.two_directions import MeetingSettings, meet
from vfxmatte.trimaps import grow, resized
from vfxmatte.types import Failure, Labels, Trimap

Picture = NDArray[np.uint8]
ReadProxies = Callable[[Sequence[int]], Iterator[tuple[int, Picture | None]]]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class PropagationSettings(Checked):
    """How trimaps are carried through time.

    proxy_px: longest side of the small pictures that the motion is found on; larger is slower and
        follows thinner things.
    preset: OpenCV's DIS preset, "ultrafast", "fast" or "medium".
    growth_px: every propagated unknown region is grown by this many px of the full picture.
    alone_growth_px: before the first and after the last keyframe the band grows by this many px of
        the proxy with every frame.
    alone_half_frames: and the confidence falls to one half over this many frames.
    tighten: between two keyframes, correct each merged trimap by the frame's own picture.
    track, meeting, tightening: the finer settings of following one keyframe, of merging two, and
        of correcting the result.
    """

    proxy_px: int = limited(960, at_least=16)
    preset: Preset = "medium"
    growth_px: float = limited(0.0, at_least=0)
    alone_growth_px: float = limited(0.5, at_least=0)
    alone_half_frames: float = limited(24.0, above=0)
    tighten: bool = True
    track: TrackSettings = field(default_factory=TrackSettings)
    meeting: MeetingSettings = field(default_factory=MeetingSettings)
    tightening: TighteningSettings = field(default_factory=TighteningSettings)


def proxy_size(canvas_shape: tuple[int, int], settings: PropagationSettings) -> tuple[int, int]:
    """(h, w) of the proxies for a canvas of (H, W); never larger than the canvas."""
    scale = min(1.0, settings.proxy_px / max(canvas_shape))
    height, width = (max(1, round(side * scale)) for side in canvas_shape)
    return height, width


@dataclass(frozen=True, kw_only=True)
class SegmentWork:
    """One segment: its keyframes and all of its frame numbers, the keyframes' own included.

    canvas_shape: (H, W) of the trimaps. wanted: the frames whose trimaps are given, no keyframes.
    folder: for plates, flows and labels while they are needed; it must not be there yet.

    With a keyframe after it: `store`, then `follow_back`, then `Followed.trimaps`, each in
    whatever thread. Without: `alone` does everything frame by frame, and stores nothing.
    """

    before: Trimap | None
    after: Trimap | None
    numbers: Sequence[int]
    wanted: Collection[int]
    canvas_shape: tuple[int, int]
    settings: PropagationSettings
    workers: int
    folder: Path

    @property
    def proxy_shape(self) -> tuple[int, int]:
        """(h, w) of the small pictures."""
        return proxy_size(self.canvas_shape, self.settings)

    @property
    def proxies(self) -> ProxyStore:
        return ProxyStore(self.folder, self.proxy_shape)

    def alone(self, read_proxies: ReadProxies) -> Generator[Trimap | Failure]:
        """The frames after the last keyframe, as they are read."""
        pictures = self._read(read_proxies)
        first = next(pictures)
        tracker = self.tracker(self.before, first[1])
        steps = self.steps(tracker, _adjacent(first, pictures), self._flow)
        yield from self.given(self._counted(steps), self._trimap_alone)

    def store(self, read_proxies: ReadProxies) -> frozenset[int]:
        """Read the plates and store them; the numbers of those that could be read."""
        proxies = self.proxies
        proxies.open()

        def put(pair: tuple[int, Picture | None]) -> int | None:
            number, picture = pair
            if picture is None:
                return None
            proxies.put_picture(number, picture)
            return number

        stored = ordered_map(put, self._read(read_proxies), workers=1)
        return frozenset(number for number in stored if number is not None)

    def follow_back(self, readable: frozenset[int]) -> Followed:
        """Follow the later keyframe back to the first frame, and prepare what comes then."""
        proxies = self.proxies

        def picture(number: int) -> Picture | None:
            return proxies.picture(number) if number in readable else None

        def flow(first: int, second: int) -> FlowPair:
            found = self._flow(proxies.picture(first), proxies.picture(second))
            if self.before is not None:
                proxies.put_flow(second, found.reversed())
            return found

        def put(item: tuple[int, Step]) -> tuple[int, float]:
            number, step = item
            side = step.side()
            proxies.put_labels(number, side.labels)
            return number, side.confidence

        first, last = self.numbers[0], self.numbers[-1]
        pairs = _adjacent_stored(reversed(self.numbers), readable)
        steps = self.steps(self.tracker(self.after, picture(last)), pairs, flow)
        confidences = dict(ordered_map(put, steps, workers=self.workers))
        if self.before is None:
            return Followed(segment=self, readable=readable, confidences=confidences)
        return Followed(
            segment=self,
            readable=readable,
            confidences=confidences,
            tracker=self.tracker(self.before, picture(first)),
            tightener=self._tightener(picture(first), picture(last)),
        )

    # -- what both directions need ---------------------------------------------------------------

    def tracker(self, trimap: Trimap | None, picture: Picture | None) -> Tracker:
        """Ready to follow this keyframe, whose own picture this is."""
        return Tracker(self._key(trimap), picture, self.settings.track)

    def steps(
        self,
        tracker: Tracker,
        pairs: Generator[_Pair[T]],
        flow: Callable[[T, T], FlowPair],
    ) -> Generator[tuple[int, Step]]:
        """Follow a keyframe along neighbouring frames; the first pair starts at the key."""

        def motion(pair: _Pair[T]) -> tuple[int, FlowPair | None]:
            if pair.first is None or pair.second is None:
                return pair.number, None
            return pair.number, flow(pair.first, pair.second)

        motions = ordered_map(motion, pairs, workers=self.workers)
        try:
            for number, found in motions:
                yield number, tracker.hold() if found is None else tracker.advance(found)
        finally:
            close(motions)

    def given(
        self, items: Iterable[tuple[int, T]], side: Callable[[int, T], Side]
    ) -> Generator[Trimap | Failure]:
        """The wanted frames' trimaps at their full size, made by several workers; a frame whose
        own cannot be made fails alone."""

        def tried(item: tuple[int, T]) -> Trimap | Failure:
            try:
                return trimap(item)
            except Exception as error:
                if concerns_all_frames(error) or isinstance(error, OutputError):
                    raise
                return Failure(number=item[0], error=error)

        def trimap(item: tuple[int, T]) -> Trimap:
            number, found = item[0], side(*item)
            labels = resized(found.labels, self.canvas_shape, growth_px=self.settings.growth_px)
            confidence = min(1.0, max(0.0, found.confidence))
            return Trimap(number=number, labels=labels, is_keyframe=False, confidence=confidence)

        return ordered_map(tried, self._wanted(items), workers=self.workers)

    def one_sided(self, side: Side, steps: int) -> Side:
        """With one keyframe only, nothing tells how wrong the motion is: doubt grows steadily."""
        settings = self.settings
        growth = min(settings.alone_growth_px * steps, settings.meeting.most_growth_px)
        labels = grow(side.labels, growth)
        halved = settings.alone_half_frames / (settings.alone_half_frames + steps)
        return Side(labels=labels, confidence=side.confidence * halved)

    def _wanted(self, items: Iterable[tuple[int, T]]) -> Generator[tuple[int, T]]:
        last = max(self.wanted)
        try:
            for item in items:
                if item[0] in self.wanted:
                    yield item
                if item[0] == last:
                    return
        finally:
            close(items)

    def _counted(
        self, steps: Generator[tuple[int, Step]]
    ) -> Generator[tuple[int, tuple[int, Step]]]:
        try:
            for count, (number, step) in enumerate(steps, 1):
                yield number, (count, step)
        finally:
            close(steps)

    def _trimap_alone(self, number: int, counted: tuple[int, Step]) -> Side:
        count, step = counted
        return self.one_sided(step.side(), count)

    def _tightener(self, first: Picture | None, last: Picture | None) -> Tightener | None:
        """None where a keyframe's own picture cannot be read: there is nothing to practise on."""
        if not self.settings.tighten or first is None or last is None:
            return None
        keys = {
            self.numbers[0]: (self._key(self.before), first),
            self.numbers[-1]: (self._key(self.after), last),
        }
        return Tightener(keys, self.settings.tightening)

    def _key(self, trimap: Trimap | None) -> Labels:
        if trimap is None:
            raise ValueError(f"segment {self.numbers[0]}-{self.numbers[-1]} lacks this keyframe")
        return resized(trimap.labels, self.proxy_shape)

    def _flow(self, first: Picture, second: Picture) -> FlowPair:
        return flow_pair(grey(first), grey(second), self.settings.preset)

    def _read(self, read_proxies: ReadProxies) -> Generator[tuple[int, Picture | None]]:
        shape, pictures = (*self.proxy_shape, 3), read_proxies(self.numbers)
        try:
            for number, picture in pictures:
                if picture is not None and (picture.shape != shape or picture.dtype != np.uint8):
                    found = f"{picture.shape} {picture.dtype}"
                    raise ValueError(f"proxy {number} must be {shape} uint8, found {found}")
                yield number, picture
        finally:
            close(pictures)


@dataclass(frozen=True, kw_only=True)
class Followed:
    """A segment whose later keyframe has been followed back, all of it stored.

    confidences: of the way back, by number. tracker: of the earlier keyframe, where there is one.
    """

    segment: SegmentWork
    readable: frozenset[int]
    confidences: Mapping[int, float]
    tracker: Tracker | None = None
    tightener: Tightener | None = None

    def trimaps(self) -> Generator[Trimap | Failure]:
        """The wanted frames' trimaps; what was stored is removed then."""
        trimaps = self._one_sided() if self.tracker is None else self._between(self.tracker)
        try:
            yield from trimaps
        finally:
            close(trimaps)
            self.segment.proxies.clear()

    def _one_sided(self) -> Generator[Trimap | Failure]:
        numbers = self.segment.numbers
        steps = zip(numbers[:-1], range(len(numbers) - 1, 0, -1), strict=True)
        return self.segment.given(
            steps, lambda number, count: self.segment.one_sided(self._back(number), count)
        )

    def _between(self, tracker: Tracker) -> Generator[Trimap | Failure]:
        proxies = self.segment.proxies
        pairs = _adjacent_stored(self.segment.numbers, self.readable)
        steps = self.segment.steps(tracker, pairs, lambda first, _: proxies.flow(first))
        return self.segment.given(steps, self._merged)

    def _merged(self, number: int, step: Step) -> Side:
        first, last = self.segment.numbers[0], self.segment.numbers[-1]
        share = (number - first) / (last - first)
        before, after = step.side(), self._back(number)
        labels, agreement = meet(before.labels, after.labels, share, self.segment.settings.meeting)
        trust = (1 - share) * before.confidence + share * after.confidence
        if self.tightener is not None and number in self.readable:
            picture = self.segment.proxies.picture(number)
            labels = self.tightener.corrected(picture, before.labels, after.labels, labels)
        return Side(labels=labels, confidence=agreement * trust)

    def _back(self, number: int) -> Side:
        labels = self.segment.proxies.labels(number)
        return Side(labels=labels, confidence=self.confidences[number])


@dataclass(frozen=True, kw_only=True)
class _Pair(Generic[T]):
    """A frame, and what is known of its picture and of the last readable one before it."""

    number: int
    first: T | None
    second: T | None


def _adjacent(
    first: tuple[int, T | None], rest: Iterable[tuple[int, T | None]]
) -> Generator[_Pair[T]]:
    """Each frame of the rest with the last readable one before it."""
    seen = first[1]
    try:
        for number, picture in rest:
            yield _Pair(number=number, first=seen, second=picture)
            seen = seen if picture is None else picture
    finally:
        close(rest)


def _adjacent_stored(numbers: Iterable[int], readable: Collection[int]) -> Generator[_Pair[int]]:
    """As `_adjacent`, where numbers stand for the pictures."""
    known = [(number, number if number in readable else None) for number in numbers]
    return _adjacent(known[0], known[1:])
