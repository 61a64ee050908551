"""The plate as the page shows it: pyramids of scene-linear frames, and tiles through a view."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from vfxmatte.colour import ColourConfig
from vfxmatte.display_view import DisplayView
from vfxmatte.io.plate import Plate
from vfxmatte.types import FloatImage, Picture

TILE_PX = 512
"""Side of a tile."""
_KEPT_FRAMES = 3  # a 4K frame with its pyramid is 140 MB
_SMALLEST_PX = 256  # longest side at which a pyramid ends


@dataclass(frozen=True, eq=False)
class Pyramid:
    """A frame, scene-linear, and the same at a half, a quarter, … of its size."""

    levels: list[FloatImage]
    """(H, W, 3) float32 each, finite."""

    @classmethod
    def of(cls, pixels: FloatImage) -> Pyramid:
        levels = [pixels]
        while max(levels[-1].shape[:2]) > _SMALLEST_PX:
            levels.append(_halved(levels[-1]))
        return cls(levels)

    def level(self, number: int) -> FloatImage:
        """Return a level; the smallest one for numbers beyond it."""
        return self.levels[max(0, min(number, len(self.levels) - 1))]


class Pictures:
    """The frames of a plate, a few of them in memory; thread safe."""

    def __init__(self, plate: Plate, colours: ColourConfig) -> None:
        self.plate, self.colours = plate, colours
        self._frames: OrderedDict[int, Pyramid] = OrderedDict()
        self._small: dict[int, FloatImage] = {}
        self._lock = threading.Lock()  # a movie is read at one place at a time
        self.linear = colours.scene_linear()
        self.views = colours.views(plate.info.colour_space)

    def frame(self, number: int) -> Pyramid:
        """Return a frame; raises PlateError or MissingFrameError."""
        with self._lock:
            if number not in self._frames:
                self._frames[number] = Pyramid.of(self._read(number))
                while len(self._frames) > _KEPT_FRAMES:
                    self._frames.popitem(last=False)
            self._frames.move_to_end(number)
            return self._frames[number]

    def _read(self, number: int) -> FloatImage:
        frame = self.plate.read(number)
        pixels = self.colours.convert(frame.pixels, frame.colour_space, self.linear)
        with np.errstate(all="ignore"):
            is_clean = np.isfinite(pixels.sum())
        if not is_clean:
            np.nan_to_num(pixels, copy=False, nan=0.0, posinf=65504.0, neginf=0.0)
        return pixels

    def tile(
        self, number: int, level: int, column: int, row: int, *, view: str, stops: float
    ) -> Picture:
        """Return (h, w, 4) uint8 RGBA of a tile, at most `TILE_PX` square, through a view.

        Args:
            level: how often the picture is halved.
            stops: exposure.
        """
        picture = self.frame(number).level(level)
        top, left = row * TILE_PX, column * TILE_PX
        return self._display(picture[top : top + TILE_PX, left : left + TILE_PX], view, stops)

    def thumbnail(self, number: int, height_px: int, *, view: str) -> Picture:
        """Return (h, w, 4) uint8 RGBA of a whole frame; large frames are kept by none."""
        with self._lock:
            if number not in self._small:
                known = self._frames.get(number)
                picture = self._read(number) if known is None else known.levels[-1]
                height, width = picture.shape[:2]
                size = max(1, round(width * height_px / height)), height_px
                small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
                self._small[number] = np.asarray(small, np.float32)
            small = self._small[number]
        return self._display(small, view, 0.0)

    def _display(self, linear: FloatImage, view: str, stops: float) -> Picture:
        displayed = self._view(view).apply(np.ascontiguousarray(linear * np.float32(2.0**stops)))
        return np.asarray(cv2.cvtColor(displayed, cv2.COLOR_RGB2RGBA), np.uint8)

    @lru_cache(maxsize=8)  # noqa: B019  (one instance for the life of the process)
    def _view(self, name: str) -> DisplayView:
        return self.colours.display_view(name)


def level_count(shape: tuple[int, int]) -> int:
    """Return how many levels the `Pyramid` of a picture (H, W) has."""
    side, count = max(shape), 1
    while side > _SMALLEST_PX:
        side, count = (side + 1) // 2, count + 1
    return count


def _halved(picture: FloatImage) -> FloatImage:
    """Halve a picture by means of 2×2 pixels; an odd edge is repeated."""
    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        picture = cv2.copyMakeBorder(
            picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE
        ).astype(np.float32, copy=False)
    size = picture.shape[1] // 2, picture.shape[0] // 2
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)
