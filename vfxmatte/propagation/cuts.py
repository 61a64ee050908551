"""Find cuts and flashes inside a plate.

A cut is where the next frames resemble none of the last ones: no keyframe says anything about what
is behind it. One frame on either side is enough, as where a keyframe lies right beside it. A flash
is a frame, or a few, between frames that resemble each other: the motion is not estimated on it.
Neither are a pan, whose steps are all alike, frames on twos, a fade, nor another data window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from itertools import pairwise

import cv2
import numpy as np

from vfxmatte.common.parallel import close
from vfxmatte.types import FloatImage, Picture

_THUMB = (32, 18)  # width and height that pictures are compared at
_LEAST = 14.0  # sum of mean differences in 8-bit Lab; two scenes differ by 30 and more
_TIMES_USUAL = 2.0  # a cut and a flash exceed by so much the largest step around them
_COMPARED = 0.2  # share of a picture that is enough to compare
_PAST, _AHEAD, _USUAL = 3, 4, 8  # frames compared with each other, and steps remembered

Shown = tuple[int, Picture | None]


class Breaks:
    """The cuts and flashes among frames that pass by, found before each is passed on."""

    def __init__(self) -> None:
        self.cuts: list[int] = []
        """First frames behind a cut, ascending."""
        self.flashes: list[int] = []
        self._past: deque[FloatImage] = deque(maxlen=_PAST)
        self._steps: deque[float] = deque(maxlen=_USUAL)
        self._apart = 1  # frames from the last one that was compared

    def passing(self, pictures: Iterable[Shown]) -> Generator[Shown]:
        """Pass frames on, a few later; the picture of a flash is None."""
        waiting: deque[tuple[int, Picture | None, FloatImage | None]] = deque()
        try:
            for number, picture in pictures:
                waiting.append((number, picture, None if picture is None else _thumb(picture)))
                if len(waiting) >= _AHEAD:
                    yield self._next(waiting)
            while waiting:
                yield self._next(waiting)
        finally:
            close(pictures)

    def _next(self, waiting: deque[tuple[int, Picture | None, FloatImage | None]]) -> Shown:
        following = [thumb for _, _, thumb in waiting if thumb is not None]
        number, picture, thumb = waiting.popleft()
        if thumb is None or self._is_flash(following):
            if thumb is not None:
                self.flashes.append(number)
            self._apart += 1
            return number, None
        if self._is_cut(following):
            self.cuts.append(number)
            self._past.clear()
            self._steps.clear()
        elif self._past and self._apart == 1:
            self._steps.append(_difference(self._past[-1], thumb))
        self._past.append(thumb)
        self._apart = 1
        return number, picture

    def _is_cut(self, following: Sequence[FloatImage]) -> bool:
        steps = [*self._steps, *(_difference(*pair) for pair in pairwise(following))]
        if not (self._past and steps):  # to tell a cut from fast motion by
            return False
        limit = max(_LEAST, _TIMES_USUAL * max(steps) * self._apart)
        return all(_difference(old, new) > limit for old in self._past for new in following)

    def _is_flash(self, following: Sequence[FloatImage]) -> bool:
        if not self._past or len(following) < 2:
            return False
        last, thumb = self._past[-1], following[0]
        back = min(_difference(last, later, overall=True) for later in following[1:])
        limit = max(_LEAST, _TIMES_USUAL * max(back, *self._steps, 0.0))
        return _difference(last, thumb, overall=True) > limit


def find_breaks(pictures: Iterable[Shown]) -> Breaks:
    """Find the cuts and flashes among all frames."""
    breaks = Breaks()
    for _ in breaks.passing(pictures):
        pass
    return breaks


def _thumb(picture: Picture) -> FloatImage:
    """(h, w, 4): a small picture in Lab, and 1 where all of it lies within the plate's pixels."""
    small = cv2.resize(picture, _THUMB, interpolation=cv2.INTER_AREA)
    lab: FloatImage = cv2.cvtColor(small, cv2.COLOR_RGB2Lab).astype(np.float32)
    inside = cv2.resize(_covered(picture), _THUMB, interpolation=cv2.INTER_AREA) > 0.999
    return np.dstack((lab, inside.astype(np.float32)))


def _covered(picture: Picture) -> FloatImage:
    """(h, w) 1 within the outermost pixels that are not black, less one; black is the border of a
    canvas that a frame's data window does not reach."""
    covered = np.zeros(picture.shape[:2], np.float32)
    lit = picture.max(axis=2) > 0
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    if len(rows):
        top, left = (line[0] + (line[0] > 0) for line in (rows, columns))
        bottom, right = (
            line[-1] + (line[-1] == side - 1)
            for line, side in zip((rows, columns), lit.shape, strict=True)
        )
        covered[top:bottom, left:right] = 1
    return covered


def _difference(first: FloatImage, second: FloatImage, *, overall: bool = False) -> float:
    """Compare two thumbnails where both have pixels, with or without a difference in their overall
    colours."""
    apart, inside = first[..., :3] - second[..., :3], (first[..., 3] * second[..., 3]) > 0
    if inside.mean() > _COMPARED:
        apart = apart[inside]
    apart = apart.reshape(-1, 3)
    if not overall:
        apart = apart - apart.mean(axis=0)
    return float(np.abs(apart).sum(axis=1).mean())
