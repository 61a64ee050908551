"""Figures of a matte in time, and on its plate, that need no true alpha.

Frames pass through a window that holds a few neighbours on both sides. The motion is the plate's
(`propagation.flow`); only pixels that it explains count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from vfxmatte.propagation.flow import (
    FlowPair,
    consistency_error,
    flow_pair,
    grey,
    halved,
    halved_shape,
    looked_up,
    positions,
)
from vfxmatte.review.footage import ReviewFrame
from vfxmatte.trimaps import SOFT_HIGH, SOFT_LOW
from vfxmatte.types import UNKNOWN, FloatImage, Labels, Mask, Picture

DISTANCES = (1, 2, 4)
"""Frames between a frame and the two neighbours that it is compared with at once."""

REACH = max(DISTANCES)
"""Frames to either side that a frame may be compared with."""

FARTHER = {1: (1, 2), 2: (2, 4)}
"""The neighbours on one side, where there is none on the other; from farther away motion says too
little."""

_EXPLAINED = 24  # largest difference of luma, 0 to 255, between a pixel and where it came from
_CONSISTENT_PX = 1.5  # at half size
_TOLERANCE = 0.05  # alpha may be this far beyond both neighbours'
_SOLID = 0.5
_SMALLEST = 2e-5  # of the picture: holes and islands below that are grain
_BAND_PX = 9  # around soft alpha, where there is no trimap


@dataclass(frozen=True, kw_only=True)
class Measures:
    """Figures of one frame; None where a neighbour, the matte or the plate is missing."""

    number: int
    flicker: float | None = None
    """Mean difference between alpha and the warped previous alpha, over the unknown pixels."""
    apart: tuple[float | None, ...] = (None,) * len(DISTANCES)
    """The mean over the picture by which alpha lies outside of what both neighbours have, at each
    of `DISTANCES`."""
    neighbours: tuple[tuple[int, ...], ...] = ((),) * len(DISTANCES)
    """The two neighbours, counted from the frame: nearer ones near the ends of a shot, and two on
    one side at its very ends."""
    band: float = 0.0
    """Share of the band in the picture."""
    holes: float | None = None
    """Area of holes that neither neighbour has, in areas of the band."""
    islands: float | None = None
    """Area of islands that neither neighbour has, in areas of the band."""
    coverage: float | None = None
    """Mean alpha in the band."""
    softness: float | None = None
    """Mean of 4·alpha·(1 - alpha) in the band."""
    detail: float | None = None
    """Mean gradient of alpha in the band."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """A frame with its figures."""

    frame: ReviewFrame
    measures: Measures
    difference: Picture | None
    """(h, w) uint8: difference to the warped previous alpha, 0 to 255."""


Motion = Callable[[ReviewFrame, ReviewFrame], FlowPair | None]
"""Takes a frame and the one before it; returns the flow from it and back, None without plates."""

Seen = tuple[FloatImage, Mask]
"""Another frame's alpha as it lies in a frame, and where the plate is the same there."""


def plate_motion(frame: ReviewFrame, before: ReviewFrame) -> FlowPair | None:
    """Compute the flow between two frames' plates at half size."""
    if frame.plate is None or before.plate is None:
        return None
    return flow_pair(grey(frame.plate), grey(before.plate))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Entry:
    frame: ReviewFrame
    luma: Picture | None
    half_luma: Picture | None
    half_alpha: FloatImage | None
    motion: FlowPair | None
    """The motion to the frame before, and back, at half size; None without either."""


class _Window:
    """The frames around the one that is measured."""

    def __init__(self, motion: Motion) -> None:
        self.entries: dict[int, _Entry] = {}
        self._motion = motion

    def add(self, index: int, frame: ReviewFrame) -> None:
        before = self.entries.get(index - 1)
        luma = None if frame.plate is None else grey(frame.plate)
        self.entries[index] = _Entry(
            frame=frame,
            luma=luma,
            half_luma=None if luma is None else halved(luma),
            half_alpha=None if frame.alpha is None else _halved_alpha(frame.alpha),
            motion=None if before is None else self._motion(frame, before.frame),
        )
        self.entries.pop(index - 2 * REACH - 1, None)

    def neighbour(self, index: int, step: int) -> Seen | None:
        """Return the previous (-1) or following (1) alpha as it lies in a frame, at full size."""
        entry, other = self.entries[index], self.entries.get(index + step)
        flow = self._flow(index, step)
        if flow is None or other is None or entry.luma is None:
            return None
        if other.luma is None or other.frame.alpha is None:
            return None
        where = _enlarged(flow, entry.luma.shape[:2])
        return _seen(entry.luma, other.luma, other.frame.alpha, where)

    def farther(self, index: int, offset: int) -> Seen | None:
        """Return the alpha of any frame in the window as it lies in a frame, at half size."""
        entry, other = self.entries[index], self.entries.get(index + offset)
        if other is None or other.half_alpha is None or other.half_luma is None:
            return None
        if entry.half_luma is None:
            return None
        where = positions(entry.half_luma.shape[:2]).copy()
        step = 1 if offset > 0 else -1
        for at in range(index, index + offset, step):
            flow = self._flow(at, step)
            if flow is None:
                return None
            where += looked_up(flow, where)
        return _seen(entry.half_luma, other.half_luma, other.half_alpha, where)

    def nearest(self, index: int, offset: int) -> tuple[int, Seen] | None:
        """Return how far away the frame at an offset is, or one that is nearer where that has no
        matte, and its alpha as `farther` does."""
        step = 1 if offset > 0 else -1
        for nearer in range(offset, 0, -step):
            seen = self.farther(index, nearer)
            if seen is not None:
                return nearer, seen
        return None

    def consistent(self, index: int) -> Mask | None:
        """Return where the motion to the frame before is the same forth and back, at full size."""
        entry = self.entries[index]
        if entry.motion is None or entry.luma is None:
            return None
        error = consistency_error(entry.motion.forward, entry.motion.backward)
        size = entry.luma.shape[1::-1]
        return cv2.resize(error, size, interpolation=cv2.INTER_LINEAR) <= _CONSISTENT_PX

    def _flow(self, index: int, step: int) -> FloatImage | None:
        """Return the flow from a frame to its neighbour, at half size."""
        later = self.entries.get(max(index, index + step))
        if later is None or later.motion is None:
            return None
        return later.motion.forward if step < 0 else later.motion.backward


def _seen(luma: Picture, other: Picture, alpha: FloatImage, where: FloatImage) -> Seen:
    """Look a neighbour up at (h, w, 2) positions; see `Seen`."""
    height, width = other.shape
    same = cv2.blur(cv2.absdiff(looked_up(other, where), luma), (3, 3)) <= _EXPLAINED
    x, y = where[:, :, 0], where[:, :, 1]
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    return looked_up(alpha, where), same & inside


def measured(frames: Iterable[ReviewFrame], *, motion: Motion = plate_motion) -> Iterator[Measured]:
    """Yield frames with their figures, in order; a few are in memory at a time."""
    window = _Window(motion)
    count = 0
    for count, frame in enumerate(frames, start=1):
        window.add(count - 1, frame)
        if count > REACH:
            yield _measure(window, count - 1 - REACH)
    for index in range(max(0, count - REACH), count):
        yield _measure(window, index)


def band_of(alpha: FloatImage, labels: Labels | None) -> Mask:
    """Return the unknown region; without a trimap, what lies around soft alpha."""
    if labels is not None:
        return cast(Mask, labels == UNKNOWN)
    soft = (alpha > SOFT_LOW) & (alpha < SOFT_HIGH)
    return cv2.dilate(soft.astype(np.uint8), np.ones((_BAND_PX, _BAND_PX), np.uint8)) > 0


def _measure(window: _Window, index: int) -> Measured:
    frame = window.entries[index].frame
    if frame.alpha is None:
        return Measured(frame=frame, measures=Measures(number=frame.number), difference=None)
    band = band_of(frame.alpha, frame.labels)
    area = max(1, int(np.count_nonzero(band)))
    previous = window.neighbour(index, -1)
    following = window.neighbour(index, 1)
    flicker, difference = _flicker(window, index, band, previous)
    neighbours = [one[0] for one in (previous, following) if one is not None]
    apart = [_apart(window, index, distance) for distance in DISTANCES]
    measures = Measures(
        number=frame.number,
        flicker=flicker,
        apart=tuple(one for one, _ in apart),
        neighbours=tuple(offsets for _, offsets in apart),
        band=float(band.mean()),
        holes=_come_and_go(1 - frame.alpha, [1 - one for one in neighbours], area),
        islands=_come_and_go(frame.alpha, neighbours, area),
        coverage=float(frame.alpha[band].mean()) if band.any() else 0.0,
        softness=float((4 * frame.alpha * (1 - frame.alpha))[band].mean()) if band.any() else 0.0,
        detail=_detail(frame.alpha, band),
    )
    return Measured(frame=frame, measures=measures, difference=difference)


def _flicker(
    window: _Window, index: int, band: Mask, previous: tuple[FloatImage, Mask] | None
) -> tuple[float | None, Picture | None]:
    alpha = window.entries[index].frame.alpha
    consistent = window.consistent(index)
    if previous is None or alpha is None or consistent is None:
        return None, None
    warped, explained = previous
    difference = np.abs(alpha - warped) * (explained & consistent)
    counted = band & explained & consistent
    flicker = float(difference[counted].mean()) if counted.any() else 0.0
    return flicker, np.rint(np.clip(difference, 0, 1) * 255).astype(np.uint8)


def _apart(window: _Window, index: int, distance: int) -> tuple[float | None, tuple[int, ...]]:
    """Return how far alpha is outside the range of two neighbours, as a mean over the picture, and
    which they are."""
    alpha = window.entries[index].half_alpha
    before, after = (window.nearest(index, side * distance) for side in (-1, 1))
    seen = [one for one in (before, after) if one is not None]
    if len(seen) == 1 and distance in FARTHER:
        offsets = [far if before is None else -far for far in FARTHER[distance]]
        views = [(offset, window.farther(index, offset)) for offset in offsets]
        seen = [(offset, view) for offset, view in views if view is not None]
    if alpha is None or len(seen) < 2:
        return None, ()
    (_, one), (_, other) = seen
    above = alpha - np.maximum(one[0], other[0])
    below = np.minimum(one[0], other[0]) - alpha
    outside = np.maximum(np.maximum(above, below) - _TOLERANCE, 0)
    return float((outside * (one[1] & other[1])).mean()), tuple(offset for offset, _ in seen)


def _come_and_go(alpha: FloatImage, neighbours: list[FloatImage], area: int) -> float | None:
    """Return the area of separate parts of alpha, but for the largest, that no neighbour has."""
    if not neighbours:
        return None
    count, marks, stats, _ = cv2.connectedComponentsWithStats((alpha > _SOLID).astype(np.uint8))
    sizes = stats[1:, cv2.CC_STAT_AREA]
    if count <= 2:
        return 0.0
    small = np.flatnonzero(sizes >= max(4, _SMALLEST * alpha.size)) + 1
    small = small[small != int(np.argmax(sizes)) + 1]
    nearby = np.maximum.reduce([cv2.dilate(one, np.ones((5, 5), np.uint8)) for one in neighbours])
    fresh = np.isin(marks, small) & (nearby <= _SOLID)
    return float(np.count_nonzero(fresh) / area)


def _detail(alpha: FloatImage, band: Mask) -> float:
    x, y = (cv2.Sobel(alpha, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    return float(cv2.magnitude(x, y)[band].mean()) if band.any() else 0.0


def _halved_alpha(alpha: FloatImage) -> FloatImage:
    size = halved_shape(alpha.shape)[::-1]
    return cast(FloatImage, cv2.resize(alpha, size, interpolation=cv2.INTER_AREA))


def _enlarged(flow: FloatImage, shape: tuple[int, int]) -> FloatImage:
    """Return where a half-size flow leads from the pixels of the full size."""
    scale = np.array((shape[1] / flow.shape[1], shape[0] / flow.shape[0]), np.float32)
    large = cv2.resize(flow, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return cast(FloatImage, large * scale + positions(shape))
