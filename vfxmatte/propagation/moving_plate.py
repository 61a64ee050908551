"""The background behind the subject under a moving camera, from the frames that show it.

Each frame gets a plate of its own: for each pixel, the colours that certain background has there on
the nearest frames, followed along the camera's motion. No two frames align exactly, so it is a
range: where they disagree, and within a pixel of an edge, nothing is certain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.propagation.camera import Camera, Ground, followed, seen
from vfxmatte.propagation.clean_plate import CleanPlate, colours_at
from vfxmatte.propagation.flow import FlowPair, grey, looked_up, resized_flow
from vfxmatte.propagation.keyframe_look import certain
from vfxmatte.propagation.proxy_store import ProxyStore
from vfxmatte.types import BACKGROUND, FloatImage, Labels, Mask, Picture

GATHERED_MARGIN = 1.5
"""Factor of the depth that an exact plate needs: with 1, faint hair is lost."""

_LONGEST_PX = 320  # longest side of plates; half the proxies' size if that is less
_OFFSETS = (1, 2, 3, 4, 6, 8, 11, 15, 20, 24)  # frames away whose background is looked up
_ENOUGH = 9  # of the nearest colours make a pixel's range
_FEWEST = 2
_MIDDLE = 0.25, 0.75  # quantiles from which to which a range reaches
_WIDEST = 40.0  # range, in 8-bit Lab units, that still tells something
_USUAL_SHARE = 0.97  # of certain background; the rest differs for want of alignment
_CORE = np.ones((5, 5), np.uint8)  # certain background is eroded by this
_PIXEL = np.ones((3, 3), np.uint8)
_ABSENT = 256  # sorts behind every colour


@dataclass(frozen=True, kw_only=True, eq=False)
class _Frame:
    """One frame at the plates' size."""

    ground: Ground
    colours: Picture
    """(h, w, 3) uint8 in 8-bit Lab units."""


class MovingPlates:
    """Gathers the plates of a segment's frames; may be used in several threads."""

    def __init__(
        self, numbers: Sequence[int], labels: Callable[[int], Labels], proxies: ProxyStore
    ) -> None:
        """Find the camera's motion.

        Args:
            numbers: the frames that can be read, ascending.
            labels: gives a frame's (h, w) labels.
            proxies: holds the frames' pictures, and the motion from each to the next.
        """
        self._numbers, self._labels, self._proxies = numbers, labels, proxies
        self._shape = _plate_shape(proxies.shape)
        self._frame = lru_cache(maxsize=3 * _OFFSETS[-1])(self._new_frame)
        self._camera = Camera.fitted(
            numbers, self._flow, lambda number: self._frame(number).ground.background
        )

    def __call__(self, number: int) -> CleanPlate | None:
        """Gather a frame's plate; None where too little is known of it."""
        layers: list[NDArray[np.int16]] = []
        count: NDArray[np.int32] | int = 0
        for colours, mask in self._views(number):
            mask &= count < _ENOUGH
            if mask.any():
                layers.append(np.where(mask[..., None], colours, np.int16(_ABSENT)))
                count = count + mask
            if np.all(count >= _ENOUGH):
                break
        if len(layers) < _FEWEST:
            return None
        return _plate(np.sort(np.stack(layers), axis=0), np.asarray(count))

    def _views(self, number: int) -> Iterator[tuple[Picture, Mask]]:
        """Yield how other frames show a frame's background, and where, from the nearest on."""
        ground = self._frame(number).ground
        known = set(self._numbers)
        for offset in _OFFSETS:
            for other in sorted({number - offset, number + offset} & known):
                way = self._camera.way(number, other)
                if way is not None:
                    frame = self._frame(other)
                    where = followed(way, ground, frame.ground)
                    yield looked_up(frame.colours, where), seen(frame.ground.background, where)

    def _flow(self, number: int) -> FlowPair:
        pair = self._proxies.flow(number)
        forward, backward = (
            resized_flow(way, self._shape) for way in (pair.forward, pair.backward)
        )
        return FlowPair(forward=forward, backward=backward)

    def _new_frame(self, number: int) -> _Frame:
        picture = self._proxies.picture(number)
        small = cv2.resize(picture, self._shape[::-1], interpolation=cv2.INTER_AREA)
        background = certain(self._labels(number) == BACKGROUND, self._shape)
        colours = np.rint(colours_at(picture, self._shape)).astype(np.uint8)
        ground = Ground(
            grey=grey(cast(Picture, small)), background=cv2.erode(background, _CORE) > 0
        )
        return _Frame(ground=ground, colours=colours)


def _plate_shape(proxy_shape: tuple[int, int]) -> tuple[int, int]:
    scale = min(0.5, _LONGEST_PX / max(proxy_shape))
    return max(1, round(proxy_shape[0] * scale)), max(1, round(proxy_shape[1] * scale))


def _plate(layers: NDArray[np.int16], count: NDArray[np.int32]) -> CleanPlate:
    """Make a plate of (n, h, w, 3) sorted colours, of which the first (h, w) `count` are known."""
    low, high = (_quantile(layers, count, share) for share in _MIDDLE)
    is_seen = (count >= _FEWEST) & ((high - low).max(axis=-1) <= _WIDEST)
    low[~is_seen], high[~is_seen] = _ABSENT, 0
    lowest = cast(FloatImage, cv2.erode(low, _PIXEL))
    highest = cast(FloatImage, cv2.dilate(high, _PIXEL))
    return CleanPlate(lowest, highest, is_seen, usual_share=_USUAL_SHARE)


def _quantile(layers: NDArray[np.int16], count: NDArray[np.int32], share: float) -> FloatImage:
    which = np.floor(share * (np.maximum(count, 1) - 1) + 0.5).astype(np.intp)
    which = np.broadcast_to(which[None, ..., None], (1, *layers.shape[1:]))
    return cast(FloatImage, np.take_along_axis(layers, which, 0)[0].astype(np.float32))
