"""Keyframe trimaps carried through time: one trimap for every frame of a shot.

A shot falls into segments: the frames between two neighbouring keyframes, those before the first
one and those after the last one. A frame's trimap depends on its segment's plates and the
segment's keyframes alone. Between two keyframes both are followed, the later one first (backward,
its results stored on disk), then the earlier one, frame by frame, each merged and given out at
once. What motion alone leaves wide is then tightened by the frame's own picture. The work is done
on small 8-bit proxies; the keyframes themselves are never altered.
"""

from __future__ import annotations

import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vfxmatte.errors import TrimapError
from vfxmatte.flow import FlowPair, Preset, flow_pair, grey
from vfxmatte.meeting import MeetingSettings, meet
from vfxmatte.proxies import FlowStore, PictureStore
from vfxmatte.stream import ordered_map
from vfxmatte.tightening import Tightener, TighteningSettings
from vfxmatte.tracking import Side, Tracker, TrackSettings
from vfxmatte.trimaps import grow, resized
from vfxmatte.types import Labels, Trimap

Picture = NDArray[np.uint8]
ReadProxies = Callable[[Sequence[int]], Iterator[tuple[int, Picture | None]]]
Segment = tuple[int | None, int | None]


@dataclass(frozen=True, kw_only=True)
class PropagationSettings:
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

    proxy_px: int = 960
    preset: Preset = "medium"
    growth_px: float = 0.0
    alone_growth_px: float = 0.5
    alone_half_frames: float = 24.0
    tighten: bool = True
    track: TrackSettings = field(default_factory=TrackSettings)
    meeting: MeetingSettings = field(default_factory=MeetingSettings)
    tightening: TighteningSettings = field(default_factory=TighteningSettings)

    def __post_init__(self) -> None:
        if self.proxy_px < 16:
            raise ValueError(f"proxy_px must be at least 16, found {self.proxy_px}")
        if self.growth_px < 0:
            raise ValueError(f"growth_px must not be negative, found {self.growth_px}")


def proxy_size(canvas_shape: tuple[int, int], settings: PropagationSettings) -> tuple[int, int]:
    """(h, w) of the proxies for a canvas of (H, W); never larger than the canvas."""
    scale = min(1.0, settings.proxy_px / max(canvas_shape))
    height, width = (max(1, round(side * scale)) for side in canvas_shape)
    return height, width


def segment_of(number: int, keyframe_numbers: Collection[int]) -> Segment:
    """The keyframes (before, after) that a frame's trimap is made from; None where there is none.

    A keyframe's own segment is (number, number).
    """
    keys = sorted(keyframe_numbers)
    if number in keys:
        return number, number
    before, after = bisect_left(keys, number), bisect_right(keys, number)
    return keys[before - 1] if before else None, keys[after] if after < len(keys) else None


def propagate(
    keyframes: Mapping[int, Trimap],
    numbers: Sequence[int],
    read_proxies: ReadProxies,
    settings: PropagationSettings,
    *,
    wanted: Container[int] | None = None,
    workers: int = 2,
    scratch: Path | None = None,
) -> Iterator[Trimap]:
    """One trimap for each wanted frame, in ascending order, at the keyframes' size.

    Args:
        keyframes: painted trimaps by frame number, all of one size.
        numbers: the shot's frame numbers, ascending.
        read_proxies: gives (number, (h, w, 3) uint8 RGB) for the numbers asked for, ascending, at
            `proxy_size`; None for the picture of a frame that cannot be read, which is bridged.
        settings: how.
        wanted: only these frames are given, and only their segments are read; None: all.
        workers: threads for the optical flow.
        scratch: where intermediate results are stored; None takes the system's temporary folder.

    Raises TrimapError without any keyframe, or with keyframes of different sizes; OutputError
    where temporary files cannot be written.
    """
    shape = _common_shape(keyframes)
    asked = [n for n in sorted(numbers) if wanted is None or n in wanted]
    segments: dict[Segment, list[int]] = {}
    for number in asked:
        segments.setdefault(segment_of(number, keyframes.keys()), []).append(number)
    for segment, members in segments.items():
        before, after = segment
        if before == after and before is not None:
            yield keyframes[before]
            continue
        inside = [n for n in sorted(numbers) if segment_of(n, keyframes.keys()) == segment]
        ends = [n for n in segment if n is not None]
        work = _Work(
            before=None if before is None else keyframes[before],
            after=None if after is None else keyframes[after],
            numbers=sorted([*inside, *ends]),
            proxy_shape=proxy_size(shape, settings),
            settings=settings,
            workers=workers,
            scratch=scratch,
        )
        chosen = set(members)
        for number, side in work.run(read_proxies):
            if number in chosen:
                yield _trimap(number, side, shape, settings)
            if number == members[-1]:
                break


def _common_shape(keyframes: Mapping[int, Trimap]) -> tuple[int, int]:
    if not keyframes:
        raise TrimapError("no keyframe trimap", hint="paint at least one frame's trimap")
    shapes = {number: trimap.labels.shape for number, trimap in keyframes.items()}
    first = min(shapes)
    for number, shape in sorted(shapes.items()):
        if shape != shapes[first]:
            raise TrimapError(
                f"the trimap is {shape[1]}x{shape[0]}, that of frame {first} is "
                f"{shapes[first][1]}x{shapes[first][0]}",
                frame=number,
                hint="all keyframes of a shot have the plate's size",
            )
    height, width = shapes[first]
    return height, width


def _trimap(
    number: int, side: Side, shape: tuple[int, int], settings: PropagationSettings
) -> Trimap:
    labels = resized(side.labels, shape, growth_px=settings.growth_px)
    confidence = min(1.0, max(0.0, side.confidence))
    return Trimap(number=number, labels=labels, is_keyframe=False, confidence=confidence)


@dataclass(frozen=True, kw_only=True)
class _Work:
    """One segment: its keyframes and all of its frame numbers, the keyframes' own included."""

    before: Trimap | None
    after: Trimap | None
    numbers: list[int]
    proxy_shape: tuple[int, int]
    settings: PropagationSettings
    workers: int
    scratch: Path | None = None

    def run(self, read_proxies: ReadProxies) -> Iterator[tuple[int, Side]]:
        """(number, result) ascending, for the frames that are no keyframes."""
        if self.after is None:
            pictures = (_checked(*pair, self.proxy_shape) for pair in read_proxies(self.numbers))
            sides = self._follow(self._key(self.before), _adjacent(pictures), self._flow)
            for steps, (number, side) in enumerate(sides, 1):
                yield number, self._alone(side, steps)
            return
        with tempfile.TemporaryDirectory(prefix="vfxmatte-", dir=self.scratch) as name:
            yield from self._run_stored(read_proxies, Path(name))

    def _run_stored(self, read_proxies: ReadProxies, folder: Path) -> Iterator[tuple[int, Side]]:
        store, flows = PictureStore(folder), FlowStore(folder)
        readable = self._store_plates(read_proxies, store)

        def picture(number: int) -> tuple[int, Picture | None]:
            return number, store.get("plate", number) if number in readable else None

        def backward_flow(pair: _Pair) -> FlowPair | None:
            flow = self._flow(pair)
            if flow is not None and self.before is not None:
                flows.put(pair.second, flow.reversed())
            return flow

        confidences: dict[int, float] = {}
        pairs = _adjacent(picture(number) for number in reversed(self.numbers))
        for number, side in self._follow(self._key(self.after), pairs, backward_flow):
            confidences[number] = side.confidence
            _put_side(store, number, side)
        if self.before is None:
            for index, number in enumerate(self.numbers[:-1]):
                side = _get_side(store, number, confidences[number])
                yield number, self._alone(side, len(self.numbers) - 1 - index)
            return

        def stored_flow(pair: _Pair) -> FlowPair | None:
            if pair.first_picture is None or pair.second_picture is None:
                return None
            return flows.get(pair.first, self.proxy_shape)

        pairs = _adjacent(picture(number) for number in self.numbers)
        first, last = self.numbers[0], self.numbers[-1]
        tightener = self._tightener(picture(first)[1], picture(last)[1])
        for number, side in self._follow(self._key(self.before), pairs, stored_flow):
            if number == last:
                continue
            other = _get_side(store, number, confidences[number])
            merged = self._merged(side, other, (number - first) / (last - first))
            seen = picture(number)[1] if tightener is not None else None
            if tightener is not None and seen is not None:
                labels = tightener.corrected(seen, side.labels, other.labels, merged.labels)
                merged = Side(labels=labels, confidence=merged.confidence)
            yield number, merged

    def _tightener(self, first: Picture | None, last: Picture | None) -> Tightener | None:
        """None where a keyframe's own picture cannot be read: there is nothing to practise on."""
        if not self.settings.tighten or first is None or last is None:
            return None
        keys = {
            self.numbers[0]: (self._key(self.before), first),
            self.numbers[-1]: (self._key(self.after), last),
        }
        return Tightener(keys, self.settings.tightening)

    def _alone(self, side: Side, steps: int) -> Side:
        """With one keyframe only, nothing tells how wrong the motion is: doubt grows steadily."""
        settings = self.settings
        growth = min(settings.alone_growth_px * steps, settings.meeting.most_growth_px)
        labels = grow(side.labels, growth)
        halved = settings.alone_half_frames / (settings.alone_half_frames + steps)
        return Side(labels=labels, confidence=side.confidence * halved)

    def _merged(self, before: Side, after: Side, share: float) -> Side:
        labels, agreement = meet(before.labels, after.labels, share, self.settings.meeting)
        trust = (1 - share) * before.confidence + share * after.confidence
        return Side(labels=labels, confidence=agreement * trust)

    def _store_plates(self, read_proxies: ReadProxies, store: PictureStore) -> set[int]:
        readable = set()
        for number, picture in read_proxies(self.numbers):
            _checked(number, picture, self.proxy_shape)
            if picture is not None:
                store.put("plate", number, picture)
                readable.add(number)
        return readable

    def _key(self, trimap: Trimap | None) -> Labels:
        assert trimap is not None
        return resized(trimap.labels, self.proxy_shape)

    def _flow(self, pair: _Pair) -> FlowPair | None:
        if pair.first_picture is None or pair.second_picture is None:
            return None
        pictures = grey(pair.first_picture), grey(pair.second_picture)
        return flow_pair(*pictures, self.settings.preset)

    def _follow(
        self, key: Labels, pairs: Iterator[_Pair], flow: Callable[[_Pair], FlowPair | None]
    ) -> Iterator[tuple[int, Side]]:
        """Follow a keyframe along neighbouring pictures; the first pair starts at the key."""
        tracker: Tracker | None = None
        flows = ordered_map(lambda pair: (pair, flow(pair)), pairs, workers=self.workers)
        for pair, motion in flows:
            if tracker is None:
                tracker = Tracker(key, pair.first_picture, self.settings.track)
            yield pair.second, tracker.hold() if motion is None else tracker.advance(motion)


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """Two neighbouring frames. Where a picture cannot be read, the last readable one stands in."""

    first: int
    first_picture: Picture | None
    second: int
    second_picture: Picture | None


def _adjacent(pictures: Iterator[tuple[int, Picture | None]]) -> Iterator[_Pair]:
    """Each frame with the last readable one before it."""
    first, first_picture = next(pictures)
    for number, picture in pictures:
        yield _Pair(first=first, first_picture=first_picture, second=number, second_picture=picture)
        if picture is not None or first_picture is None:
            first, first_picture = number, picture


def _checked(
    number: int, picture: Picture | None, shape: tuple[int, int]
) -> tuple[int, Picture | None]:
    if picture is not None and (picture.shape != (*shape, 3) or picture.dtype != np.uint8):
        raise ValueError(
            f"proxy {number} must be {(*shape, 3)} uint8, found {picture.shape} {picture.dtype}"
        )
    return number, picture


def _put_side(store: PictureStore, number: int, side: Side) -> None:
    store.put("labels", number, side.labels)


def _get_side(store: PictureStore, number: int, confidence: float) -> Side:
    return Side(labels=store.get("labels", number), confidence=confidence)
