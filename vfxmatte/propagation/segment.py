"""Propagate through one segment: the frames between two keyframes, or on one side of the only one.

The segment's plates are read and stored; the later keyframe is tracked backward, and its labels and
flows are stored too; then the earlier one is tracked forward, and each frame's trimap is yielded at
once: merged, tightened by the frame's own picture, and enlarged. Where the camera moves, all frames
are merged first, and corrected by what the others show behind the subject. Only chains of motions
are sequential; all work on single frames is shared by several workers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from vfxmatte.common.checked import Checked, limited
from vfxmatte.common.parallel import close, ordered_map
from vfxmatte.errors import OutputError, concerns_all_frames
from vfxmatte.propagation.clean_plate import (
    CleanPlateSettings,
    PlateCorrection,
    Plates,
    ReadBehind,
    found_plate,
    given_plates,
)
from vfxmatte.propagation.contradiction import ContradictionSettings
from vfxmatte.propagation.correction import Correction
from vfxmatte.propagation.flow import FlowPair, Preset, flow_pair, grey
from vfxmatte.propagation.keyframe_look import KeyframeLook
from vfxmatte.propagation.moving_plate import GATHERED_MARGIN, MovingPlates
from vfxmatte.propagation.one_direction import Side, Step, Tracker, TrackSettings
from vfxmatte.propagation.proxy_store import ProxyStore
from vfxmatte.propagation.tightening import Tightener, TighteningSettings
from vfxmatte.propagation.two_directions import MergeSettings, Resemblance, merge
from vfxmatte.trimaps import grow, resized
from vfxmatte.types import UNKNOWN, Failure, Labels, Picture, Trimap

ReadProxies = Callable[[Sequence[int]], Iterator[tuple[int, Picture | None]]]
T = TypeVar("T")
_AGREEMENT_POWER = 0.25  # disagreement alone says little: the picture repairs most of it
_Pair = tuple[int, T | None, T | None]


@dataclass(frozen=True, kw_only=True)
class PropagationSettings(Checked):
    """Settings for propagating trimaps through time."""

    proxy_px: int = limited(960, at_least=16)
    """Longest side of the proxies for motion; larger tracks thinner things, slower."""
    preset: Preset = "medium"
    """Preset of OpenCV's DIS optical flow."""
    growth_px: float = limited(0.0, at_least=0)
    """Growth of every propagated unknown region, in px of the full picture."""
    alone_growth_px: float = limited(0.5, at_least=0)
    """Growth per frame before the first and after the last keyframe, in px of the proxy."""
    alone_half_frames: float = limited(24.0, above=0)
    """Frames before the first or after the last keyframe over which confidence halves."""
    tighten: bool = True
    """Correct each merged trimap between two keyframes by the frame's own picture."""
    track: TrackSettings = field(default_factory=TrackSettings)
    """How one keyframe is tracked."""
    meeting: MergeSettings = field(default_factory=MergeSettings)
    """How the two directions are merged."""
    tightening: TighteningSettings = field(default_factory=TighteningSettings)
    """How the merged trimap is corrected."""
    contradiction: ContradictionSettings = field(default_factory=ContradictionSettings)
    """When the picture contradicts a label that both directions agree on."""
    clean_plate: CleanPlateSettings = field(default_factory=CleanPlateSettings)
    """How a frame is compared with what is behind the subject."""


def proxy_size(canvas_shape: tuple[int, int], settings: PropagationSettings) -> tuple[int, int]:
    """Return (h, w) of the proxies for a canvas of (H, W); never larger than the canvas."""
    scale = min(1.0, settings.proxy_px / max(canvas_shape))
    height, width = (max(1, round(side * scale)) for side in canvas_shape)
    return height, width


@dataclass(frozen=True, kw_only=True)
class SegmentWork:
    """A segment before it is tracked.

    With a keyframe after it: `store`, then `track_back`, then `TrackedBack.trimaps`, each in any
    thread. Without: `track_forward` works frame by frame and stores nothing.
    """

    before: Trimap | None
    """The keyframe before it."""
    after: Trimap | None
    """The keyframe after it."""
    numbers: Sequence[int]
    """All frame numbers, those of its keyframes included."""
    requested: Collection[int]
    """The frames whose trimaps are yielded, no keyframes."""
    canvas_shape: tuple[int, int]
    """(H, W) of the trimaps."""
    settings: PropagationSettings
    workers: int
    folder: Path
    """The folder for intermediate results; must not exist yet."""
    behind: ReadBehind | None = None
    """Reads the clean plate of a frame; None where there are none."""

    @property
    def proxy_shape(self) -> tuple[int, int]:
        """(h, w) of the proxies."""
        return proxy_size(self.canvas_shape, self.settings)

    @property
    def proxies(self) -> ProxyStore:
        return ProxyStore(self.folder, self.proxy_shape)

    def track_forward(self, read_proxies: ReadProxies) -> Generator[Trimap | Failure]:
        """Yield the trimaps after the last keyframe as their frames are read."""
        pictures = self._read(read_proxies)
        first = next(pictures)
        tracker = self.tracker(self.before, first[1])
        steps = self.steps(tracker, _adjacent(first, pictures), self._flow)
        yield from self.trimaps(steps, lambda number, step: self.one_sided(number, step.side()))

    def store(self, read_proxies: ReadProxies) -> frozenset[int]:
        """Read and store the plates; return the numbers of those that can be read."""
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

    def track_back(self, readable: frozenset[int]) -> TrackedBack:
        """Track the later keyframe back to the first frame, and prepare the way forward."""
        proxies = self.proxies

        def picture(number: int) -> Picture | None:
            return proxies.picture(number) if number in readable else None

        def flow(first: int, second: int) -> FlowPair:
            pair = self._flow(proxies.picture(first), proxies.picture(second))
            if self.before is not None:
                proxies.put_flow(second, pair.reversed())
            return pair

        first, last = self.numbers[0], self.numbers[-1]
        correction = None
        if self.before is not None:
            correction = self._correction(picture(first), picture(last))

        def put(item: tuple[int, Step]) -> tuple[int, float]:
            number, step = item
            side = step.side()
            proxies.put_labels(number, side.labels)
            proxies.put_beyond(number, side.beyond)
            if correction is not None and number in readable:
                proxies.put_look(number, correction.last.look(proxies.picture(number), step))
            return number, side.confidence

        pairs = _adjacent_stored(reversed(self.numbers), readable)
        steps = self.steps(self.tracker(self.after, picture(last)), pairs, flow)
        confidences = dict(ordered_map(put, steps, workers=self.workers))
        if self.before is None:
            return TrackedBack(segment=self, readable=readable, confidences=confidences)
        by_plates = None if correction is None else self._still_correction(readable)
        return TrackedBack(
            segment=self,
            readable=readable,
            confidences=confidences,
            tracker=self.tracker(self.before, picture(first)),
            correction=None if correction is None else correction.calibrated(proxies.look(first)),
            plates=by_plates,
            gathers=correction is not None
            and by_plates is None
            and self.settings.clean_plate.moving,
            unknown_counts=(_unknown(self._key(self.before)), _unknown(self._key(self.after))),
        )

    def tracker(self, trimap: Trimap | None, picture: Picture | None) -> Tracker:
        """Create the tracker of a keyframe with its own picture."""
        return Tracker(self._key(trimap), picture, self.settings.track)

    def steps(
        self,
        tracker: Tracker,
        pairs: Generator[_Pair[T]],
        flow: Callable[[T, T], FlowPair],
    ) -> Generator[tuple[int, Step]]:
        """Track a keyframe along neighbouring frames; the first pair starts at the keyframe."""

        def motion(pair: _Pair[T]) -> tuple[int, FlowPair | None]:
            number, first, second = pair
            return number, None if first is None or second is None else flow(first, second)

        motions = ordered_map(motion, pairs, workers=self.workers)
        try:
            for number, pair in motions:
                yield number, tracker.hold() if pair is None else tracker.advance(pair)
        finally:
            close(motions)

    def trimaps(
        self, items: Iterable[tuple[int, T]], side: Callable[[int, T], Side]
    ) -> Generator[Trimap | Failure]:
        """Yield the wanted frames' trimaps at full size; a frame that fails is a `Failure`."""

        def tried(item: tuple[int, T]) -> Trimap | Failure:
            try:
                return trimap(item)
            except Exception as error:
                if concerns_all_frames(error) or isinstance(error, OutputError):
                    raise
                return Failure(number=item[0], error=error)

        def trimap(item: tuple[int, T]) -> Trimap:
            proxy = side(*item)
            labels = resized(proxy.labels, self.canvas_shape, growth_px=self.settings.growth_px)
            confidence = min(1.0, max(0.0, proxy.confidence))
            return Trimap(number=item[0], labels=labels, is_keyframe=False, confidence=confidence)

        return ordered_map(tried, self._requested(items), workers=self.workers)

    def one_sided(self, number: int, side: Side) -> Side:
        """Widen and distrust steadily: with one keyframe, the motion's error cannot be measured."""
        settings, index = self.settings, bisect_left(self.numbers, number)
        steps = index if self.after is None else len(self.numbers) - 1 - index
        growth = min(settings.alone_growth_px * steps, settings.meeting.most_growth_px)
        labels = grow(side.labels, growth)
        halved = settings.alone_half_frames / (settings.alone_half_frames + steps)
        return Side(labels=labels, confidence=side.confidence * halved)

    def _requested(self, items: Iterable[tuple[int, T]]) -> Generator[tuple[int, T]]:
        last = max(self.requested)
        try:
            for item in items:
                if item[0] in self.requested:
                    yield item
                if item[0] == last:
                    return
        finally:
            close(items)

    def _correction(self, first: Picture | None, last: Picture | None) -> Correction | None:
        """Create the correction; None if a keyframe's own picture cannot be read."""
        if not self.settings.tighten or first is None or last is None:
            return None
        (start, before), (end, after) = self.ends().items()
        keys = {start: (before, first), end: (after, last)}
        tightener = Tightener(keys, self.settings.tightening)
        return Correction(
            tightener=tightener,
            first=KeyframeLook(before, first, tightener.band_depth(start)),
            last=KeyframeLook(after, last, tightener.band_depth(end)),
            first_labels=before,
            settings=self.settings.contradiction,
        )

    def ends(self) -> dict[int, Labels]:
        """Return the labels of both keyframes, (h, w) uint8, by number."""
        first, last = self.numbers[0], self.numbers[-1]
        return {first: self._key(self.before), last: self._key(self.after)}

    def plate_correction(self, plates: Plates, *, margin: float = 1.0) -> PlateCorrection | None:
        """Calibrate a correction by clean plates on the keyframes; None if they cannot tell."""
        ends = {n: (self.proxies.picture(n), labels) for n, labels in self.ends().items()}
        return PlateCorrection.calibrated(plates, ends, self.settings.clean_plate, margin=margin)

    def _still_correction(self, readable: frozenset[int]) -> PlateCorrection | None:
        """Return the correction by clean plates that are given, or else by those of a camera that
        stands still; None without any that are the keyframes' background."""
        correction = (
            None if self.behind is None else self.plate_correction(given_plates(self.behind))
        )
        if correction is not None:
            return correction
        settings = self.settings.clean_plate
        plates = found_plate(self.ends(), sorted(readable), self.proxies, settings)
        return None if plates is None else self.plate_correction(plates)

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
                    actual = f"{picture.shape} {picture.dtype}"
                    raise ValueError(f"proxy {number} must be {shape} uint8, found {actual}")
                yield number, picture
        finally:
            close(pictures)


@dataclass(frozen=True, kw_only=True)
class TrackedBack:
    """A segment whose later keyframe has been tracked back, all of it stored."""

    segment: SegmentWork
    readable: frozenset[int]
    confidences: Mapping[int, float]
    """Confidences of the trimaps tracked backwards, by frame number."""
    tracker: Tracker | None = None
    """The tracker of the earlier keyframe, if there is one."""
    correction: Correction | None = None
    plates: PlateCorrection | None = None
    """The correction by clean plates, if they are given or the camera stands still."""
    gathers: bool = False
    """Whether clean plates are gathered from the frames that show what is behind."""
    unknown_counts: tuple[int, int] = (0, 0)
    """Unknown pixels of the keyframes before and after, at the proxies' size."""

    def trimaps(self) -> Generator[Trimap | Failure]:
        """Yield the wanted frames' trimaps, then remove what was stored."""
        trimaps = self._one_sided() if self.tracker is None else self._between(self.tracker)
        try:
            yield from trimaps
        finally:
            close(trimaps)
            self.segment.proxies.clear()

    def _one_sided(self) -> Generator[Trimap | Failure]:
        one_sided, items = self.segment.one_sided, dict.fromkeys(self.segment.numbers[:-1]).items()
        return self.segment.trimaps(items, lambda number, _: one_sided(number, self._back(number)))

    def _between(self, tracker: Tracker) -> Generator[Trimap | Failure]:
        segment = self.segment
        pairs = _adjacent_stored(segment.numbers[:-1], self.readable)
        steps = segment.steps(tracker, pairs, lambda first, _: segment.proxies.flow(first))
        if self.gathers:
            return self._by_gathered_plates(steps)

        def side(number: int, step: Step) -> Side:
            return self._corrected(number, self._merged(number, step), self.plates)

        return segment.trimaps(steps, side)

    def _by_gathered_plates(self, steps: Iterable[tuple[int, Step]]) -> Generator[Trimap | Failure]:
        """Merge all frames, and then correct the wanted ones by what the others show behind."""
        segment, proxies = self.segment, self.segment.proxies
        merged = dict(ordered_map(self._stored, steps, workers=segment.workers))
        for number, labels in segment.ends().items():
            proxies.put_labels(number, labels)
        gathered = MovingPlates(sorted(self.readable), proxies.labels, proxies)
        correction = segment.plate_correction(gathered, margin=GATHERED_MARGIN)

        def side(number: int, confidence: float | Exception) -> Side:
            if isinstance(confidence, Exception):
                raise confidence
            merged_side = Side(labels=proxies.labels(number), confidence=confidence)
            return self._corrected(number, merged_side, correction)

        yield from segment.trimaps(merged.items(), side)

    def _stored(self, item: tuple[int, Step]) -> tuple[int, float | Exception]:
        """Store a frame's merged labels in place of those tracked back; return its confidence, or
        its error."""
        number, step = item
        proxies = self.segment.proxies
        try:
            side = self._merged(number, step)
        except Exception as error:
            if concerns_all_frames(error) or isinstance(error, OutputError):
                raise
            proxies.put_labels(number, np.full(self.segment.proxy_shape, UNKNOWN, np.uint8))
            return number, error
        proxies.put_labels(number, side.labels)
        return number, side.confidence

    def _merged(self, number: int, step: Step) -> Side:
        """Merge both directions and correct them by the picture; the confidence is the motion's."""
        first, last = self.segment.numbers[0], self.segment.numbers[-1]
        position = (number - first) / (last - first)
        before, after = step.side(), self._back(number)
        trust = (1 - position) * before.confidence + position * after.confidence
        meeting, correction = self.segment.settings.meeting, self.correction
        if correction is None or number not in self.readable:
            labels, agreement = merge(before.labels, after.labels, position, meeting)
            labels = _without_contested(labels, before, after, position)
            return Side(labels=labels, confidence=agreement * trust)
        picture = self.segment.proxies.picture(number)
        by_first, by_last = correction.first.look(picture, step), self.segment.proxies.look(number)
        resemblance = Resemblance(
            before=by_first.difference(before.labels),
            after=by_last.difference(after.labels),
            steps=self._steps_to_keyframe(number),
        )
        labels, agreement = merge(before.labels, after.labels, position, meeting, resemblance)
        labels = _without_contested(labels, before, after, position)
        labels = correction.corrected(
            picture, by_first.joined(by_last), before.labels, after.labels, labels
        )
        return Side(labels=labels, confidence=agreement * trust)

    def _corrected(self, number: int, side: Side, plates: PlateCorrection | None) -> Side:
        """Correct a frame by its clean plate, if there are any, and rate it."""
        labels = side.labels
        if plates is not None and number in self.readable:
            labels = plates.corrected(number, self.segment.proxies.picture(number), labels)
        return Side(labels=labels, confidence=self._confidence(number, side.confidence, labels))

    def _confidence(self, number: int, agreement: float, labels: Labels) -> float:
        """Rate a corrected frame, 0 to 1, so that frames rank as their mattes' errors do.

        Motion that agrees with itself is right. Where it does not, what is wider than the artist's
        bands was not understood by the picture either, and the rest is the less sure the farther
        the keyframes are.
        """
        first, last = self.segment.numbers[0], self.segment.numbers[-1]
        position = (number - first) / (last - first)
        before, after = self.unknown_counts
        expected = (1 - position) * before + position * after
        unknown = _unknown(labels)
        understood = min(1.0, expected / unknown) if unknown else 1.0
        steps = self._steps_to_keyframe(number)
        half = self.segment.settings.alone_half_frames
        near = half / (half + steps * (1 - agreement))
        return float(agreement**_AGREEMENT_POWER * understood * near)

    def _steps_to_keyframe(self, number: int) -> int:
        """Count the frames to the nearer keyframe."""
        index = bisect_left(self.segment.numbers, number)
        return min(index, len(self.segment.numbers) - 1 - index)

    def _back(self, number: int) -> Side:
        proxies, confidence = self.segment.proxies, self.confidences[number]
        beyond = proxies.beyond(number)
        return Side(labels=proxies.labels(number), confidence=confidence, beyond=beyond)


def _without_contested(labels: Labels, before: Side, after: Side, position: float) -> Labels:
    """Make unknown what the nearer keyframe alone calls foreground, and that from beyond its edge.

    The farther one, where the nearer one sees background, was not believed anyhow.
    """
    nearer, farther = (before, after) if position <= 0.5 else (after, before)
    contested = nearer.contested(farther)
    return labels if contested is None else np.where(contested, np.uint8(UNKNOWN), labels)


def _unknown(labels: Labels) -> int:
    return int(np.count_nonzero(labels == UNKNOWN))


def _adjacent(
    first: tuple[int, T | None], rest: Iterable[tuple[int, T | None]]
) -> Generator[_Pair[T]]:
    """Yield each frame's number, the last readable picture before it, and its own."""
    last = first[1]
    try:
        for number, picture in rest:
            yield number, last, picture
            last = last if picture is None else picture
    finally:
        close(rest)


def _adjacent_stored(numbers: Iterable[int], readable: Collection[int]) -> Generator[_Pair[int]]:
    """Pair stored frames as `_adjacent` does, by their numbers."""
    frames = [(number, number if number in readable else None) for number in numbers]
    return _adjacent(frames[0], frames[1:])
