"""The background behind the subject: as the user has it, or where the camera stands still.

The median of what is certain background at each pixel, over a segment's frames, is a clean plate
exact to noise, if the camera does not move. Where a frame shows it, there is no subject: unknown
pixels become background, and foreground that both directions agree on becomes unknown. How deep
inside such a region a pixel must lie is calibrated on the keyframes: deeper than what is painted
there, so that a subject of the background's colours, or faint hair before it, switches this off by
itself. Where a frame shows something else beside the band, background becomes unknown, unless that
is wrong too often on the keyframes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.common.checked import Checked, limited
from vfxmatte.propagation.contradiction import touching_band
from vfxmatte.propagation.flow import FlowPair, grey
from vfxmatte.propagation.keyframe_look import beyond_range, certain, compared_colours
from vfxmatte.propagation.proxy_store import ProxyStore
from vfxmatte.trimaps import dilate
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels, Mask, Picture


class Behind(NamedTuple):
    """A picture of what is behind the subject of a frame."""

    picture: Picture
    """(h, w, 3) uint8 RGB."""
    is_known: Mask
    """(h, w) bool: where the picture holds anything."""


ReadBehind = Callable[[int], Behind | None]
"""Reads a frame's clean plate; None for a frame without one."""

Plates = Callable[[int], "CleanPlate | None"]
"""Gives a frame's clean plate; None for a frame without one."""

_FEWEST_PX = 200  # at half size; fewer say nothing of a camera, or of noise
_MOST_FRAMES = 24  # of a median, spread evenly
_FEWEST_FRAMES = 4  # on which a pixel must be certain background …
_MOST_STRANGE = 0.2  # … and differ from the median on no larger a share: labels may be wrong
_NOISE, _LEAST = 4.0, 3.0  # up to so many times the median difference, or so much, is noise …
_MOST = 12.0  # … and more than this is a flash; in 8-bit Lab units
_LEAST_PX = 3.0  # smallest depth inside a region that shows the plate, in px of the proxy
_ELSE = 2.0  # times the largest noise: something else is there …
_REACH_PX, _GROWTH_PX = 6.0, 3.0  # … so near the band or another such region, grown by so much …
_FALSE_ALARMS = 0.1  # … if on a keyframe no more than this share of its band would be so, wrongly
_ABSENT = 256  # sorts behind every colour
_CELLS = 4  # along each side of the picture
_SPECK = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, kw_only=True)
class CleanPlateSettings(Checked):
    """Settings for clean plates, given or found."""

    still_px: float = limited(0.15, at_least=0)
    """The camera stands still if background moves less from frame to frame; 0 for never."""
    moving: bool = True
    """Gather what is behind the subject of a moving camera from the frames that show it."""
    lost_share: float = limited(0.002, at_least=0, at_most=1)
    """Share of a keyframe's band that the calibration may lose."""


def stands_still(motions: Iterable[tuple[FlowPair, Labels]], still_px: float) -> bool:
    """Return True if the background of all frames stands still.

    Args:
        motions: the flow from each frame to a neighbour, of half its labels' size, and its (h, w)
            labels. At least one must show background.
    """
    distances_px = [one for motion in motions if (one := _background_motion(*motion)) is not None]
    return bool(distances_px) and max(distances_px) < still_px


def _background_motion(flow: FlowPair, labels: Labels) -> float | None:
    """Return how far certain background moves, in px of the labels; None if there is too little.

    The mean motion of noise is nothing, and that of a turn or a zoom about the centre too: so the
    median over cells of the median motion in each.
    """
    background = certain(labels == BACKGROUND, flow.forward.shape[:2]) > 0
    cells = zip(
        *(_in_cells(plane) for plane in (background, flow.forward[..., 0], flow.forward[..., 1])),
        strict=True,
    )
    moved = [
        float(np.hypot(np.median(x[inside]), np.median(y[inside])))
        for inside, x, y in cells
        if np.count_nonzero(inside) >= _FEWEST_PX
    ]
    return 2 * float(np.median(moved)) if moved else None


def _in_cells(plane: NDArray[Any]) -> list[NDArray[Any]]:
    rows = np.array_split(plane, _CELLS, axis=0)
    return [cell for row in rows for cell in np.array_split(row, _CELLS, axis=1)]


def is_aligned(first: Picture, last: Picture, background: Mask) -> bool:
    """Return True if two pictures' common background differs least where neither is shifted.

    Args:
        first, last: (h, w, 3).
        background: (h, w) bool, certain on both.
    """
    inside = cv2.erode(background.astype(np.uint8), _SPECK) > 0
    if np.count_nonzero(inside) < _FEWEST_PX:
        return False
    one, other = grey(first).astype(np.float32), grey(last).astype(np.float32)
    shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    errors = [float(np.abs(one - np.roll(other, by, (0, 1)))[inside].mean()) for by in shifts]
    return min(zip(errors, shifts, strict=True))[1] == (0, 0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """A frame beside its clean plate, of its proxy's size."""

    depth: FloatImage
    """(h, w) float32: how deep in a region that shows the plate, in px."""
    is_else: Mask
    """(h, w) bool: where something else is there."""


class CleanPlate:
    """The colours of the background, at half the proxies' size or less."""

    def __init__(
        self, low: FloatImage, high: FloatImage, is_seen: Mask, *, usual_share: float = 0.0
    ) -> None:
        """Take the range of colours that each pixel may have, and where it is known.

        Args:
            low, high: (h, w, 3) float32, 8-bit Lab units; the same for an exact plate.
            is_seen: (h, w) bool.
            usual_share: quantile of certain background's differences up to which a difference does
                not show that something else is there.
        """
        self._low, self._high, self._is_seen = low, high, is_seen
        self._usual_share = usual_share

    @classmethod
    def of(
        cls, numbers: Sequence[int], frame: Callable[[int], tuple[Picture, Labels]]
    ) -> CleanPlate:
        """Take the median over frames of certain background.

        Args:
            numbers: of the frames.
            frame: gives (h, w, 3) pictures and their (h, w) labels.
        """
        step = max(1, -(-len(numbers) // _MOST_FRAMES))
        layers: list[NDArray[np.int16]] = []
        for number in numbers[::step]:
            picture, labels = frame(number)
            colours = np.rint(compared_colours(picture)).astype(np.int16)
            colours[certain(labels == BACKGROUND, colours.shape[:2]) == 0] = _ABSENT
            layers.append(colours)
        stack = np.stack(layers)
        is_there = stack[..., 0] < _ABSENT
        count = is_there.sum(axis=0)
        middle = np.maximum(count - 1, 0)[None, :, :, None] // 2
        middle = np.broadcast_to(middle, (1, *stack.shape[1:]))
        median = np.take_along_axis(np.sort(stack, axis=0), middle, 0)[0].astype(np.float32)
        differences = np.stack([beyond_range(colours, median, median) for colours in layers])
        largest = _largest_noise(differences[is_there])
        strange = (is_there & (differences > largest)).sum(axis=0)
        is_seen = (count >= _FEWEST_FRAMES) & (strange <= _MOST_STRANGE * count)
        return cls(median, median, is_seen)

    @classmethod
    def from_picture(cls, behind: Behind) -> CleanPlate:
        """Take a picture of the background."""
        colours = compared_colours(behind.picture)
        return cls(colours, colours, certain(behind.is_known, colours.shape[:2]) > 0)

    def compared(self, picture: Picture, labels: Labels) -> Compared | None:
        """Compare a frame with the plate.

        Args:
            picture, labels: (h, w, 3) and (h, w) uint8, of the proxies' size.
        Returns:
            None if the noise of the frame's certain background is too large, or not to be known.
        """
        colours = colours_at(picture, self._is_seen.shape)
        difference = beyond_range(colours, self._low, self._high)
        is_background = certain(labels == BACKGROUND, difference.shape) > 0
        known = difference[is_background & self._is_seen]
        if known.size < _FEWEST_PX:
            return None
        largest = _largest_noise(known)
        if largest > _MOST:
            return None
        matching = ((difference <= largest) & self._is_seen).astype(np.uint8)
        whole = cv2.morphologyEx(matching, cv2.MORPH_CLOSE, _SPECK)  # without specks of noise
        deep = cv2.distanceTransform(_framed(whole), cv2.DIST_L2, 5)[1:-1, 1:-1]
        deep = np.minimum(deep, max(deep.shape))  # endless where nothing but the plate is seen
        usual = max(_ELSE * largest, float(np.quantile(known, self._usual_share)))
        other = ((difference > usual) & self._is_seen).astype(np.uint8)
        other = cast(NDArray[np.uint8], cv2.morphologyEx(other, cv2.MORPH_OPEN, _SPECK))
        size, scale = labels.shape[::-1], labels.shape[0] / deep.shape[0]
        return Compared(
            depth=cast(FloatImage, cv2.resize(scale * deep, size, interpolation=cv2.INTER_LINEAR)),
            is_else=cv2.resize(other, size, interpolation=cv2.INTER_NEAREST).astype(bool),
        )


def colours_at(picture: Picture, shape: tuple[int, ...]) -> FloatImage:
    """Return the (h, w, 3) float32 colours to compare, in 8-bit Lab units, of an 8-bit picture."""
    colours = compared_colours(picture)
    if colours.shape[:2] == shape:
        return colours
    return cast(FloatImage, cv2.resize(colours, shape[::-1], interpolation=cv2.INTER_AREA))


def _largest_noise(differences: FloatImage) -> float:
    """Return up to which difference from the plate is noise; the (n,) ones are mostly noise."""
    return max(_NOISE * float(np.median(differences)), _LEAST) if differences.size else _LEAST


def _framed(region: NDArray[Any]) -> NDArray[np.uint8]:
    """Continue a region beyond the picture's edges."""
    return cast(NDArray[np.uint8], cv2.copyMakeBorder(region, 1, 1, 1, 1, cv2.BORDER_REPLICATE))


@dataclass(frozen=True, kw_only=True)
class PlateCorrection:
    """Corrects trimaps by a clean plate; may be used in several threads."""

    plates: Plates
    depth_px: float
    """How deep in a region that shows the plate a pixel is certainly background."""
    doubts: bool
    """Whether background that shows something else is doubted."""

    @classmethod
    def calibrated(
        cls,
        plates: Plates,
        keyframes: Mapping[int, tuple[Picture, Labels]],
        settings: CleanPlateSettings,
        *,
        margin: float = 1.0,
    ) -> PlateCorrection | None:
        """Measure how deep what is painted lies on the keyframes; None if they cannot tell.

        Args:
            plates: gives a frame's clean plate.
            keyframes: (h, w, 3) picture and (h, w) labels by frame number.
            settings: how much may be lost.
            margin: factor of the measured depth.
        """
        depths, doubts = list[float](), True
        for number, (picture, labels) in keyframes.items():
            plate = plates(number)
            if plate is None:
                continue
            comparison = plate.compared(picture, labels)
            if comparison is None:
                return None
            depths.append(_LEAST_PX)
            painted = comparison.depth[labels != BACKGROUND]
            wrong = int(np.count_nonzero(_doubtful(comparison, labels)))
            if wrong > _FALSE_ALARMS * int(np.count_nonzero(labels == UNKNOWN)):
                doubts = False
            lost = int(settings.lost_share * np.count_nonzero(labels == UNKNOWN))
            if lost < painted.size:
                depths.append(float(np.partition(painted, painted.size - 1 - lost)[-1 - lost]))
        if not depths:
            return None
        return cls(plates=plates, depth_px=margin * max(depths), doubts=doubts)

    def corrected(self, number: int, picture: Picture, labels: Labels) -> Labels:
        """Turn unknown to background and foreground to unknown where the plate is seen, and
        background to unknown where something else is.

        Args:
            number: the frame's.
            picture, labels: (h, w, 3) and (h, w) uint8.
        """
        plate = self.plates(number)
        comparison = None if plate is None else plate.compared(picture, labels)
        if comparison is None:
            return labels
        empty = comparison.depth > self.depth_px
        result = labels.copy()
        result[empty & (labels == UNKNOWN)] = BACKGROUND
        opened = dilate(empty & (labels == FOREGROUND), self.depth_px)
        result[opened & (result == FOREGROUND)] = UNKNOWN
        if self.doubts:
            result[_doubtful(comparison, labels)] = UNKNOWN
        return result


def _doubtful(comparison: Compared, labels: Labels) -> Mask:
    """Select background beside the band that shows something else, (h, w) bool."""
    doubts: Mask = np.asarray(comparison.is_else & (labels == BACKGROUND))
    if not doubts.any():
        return doubts
    grown = dilate(touching_band(doubts, labels, _REACH_PX), _GROWTH_PX)
    return np.asarray(grown & (labels == BACKGROUND))


def given_plates(behind: ReadBehind) -> Plates:
    """Return the plates that a function reads."""

    def plate(number: int) -> CleanPlate | None:
        background = behind(number)
        return None if background is None else CleanPlate.from_picture(background)

    return plate


def found_plate(
    keys: Mapping[int, Labels],
    readable: Sequence[int],
    proxies: ProxyStore,
    settings: CleanPlateSettings,
) -> Plates | None:
    """Find what is behind the subject of a segment; None unless the camera stands still.

    Args:
        keys: labels of its first and its last frame, by number.
        readable: its frames that can be read, ascending.
        proxies: holds their pictures, their labels as they were tracked back, and their motion.
    """

    def frame(number: int) -> tuple[Picture, Labels]:
        labels = keys[number] if number in keys else proxies.labels(number)
        return proxies.picture(number), labels

    (first, one), (last, other) = keys.items()
    behind = (one == BACKGROUND) & (other == BACKGROUND)
    if not is_aligned(proxies.picture(first), proxies.picture(last), behind):
        return None
    motions = ((proxies.flow(number), frame(number)[1]) for number in readable[:-1])
    if not stands_still(motions, settings.still_px):
        return None
    plate = CleanPlate.of(readable, frame)
    return lambda number: plate
