"""The files of garbage and core mattes: stills, one a frame or one for all, or a movie.

A movie's first frame stands on the plate's first.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from vfxmatte.errors import TrimapError, VfxmatteError, as_foreseen, own_copy
from vfxmatte.io.coverage import check_coverage, coverage_of, read_coverage
from vfxmatte.io.movies.movie import Movie
from vfxmatte.io.plate import PlateInfo
from vfxmatte.io.sequence import FrameSequence, find_media
from vfxmatte.io.signatures import content_digest
from vfxmatte.trimaps import covered_window, place
from vfxmatte.types import FloatImage

_NEAR = 16  # up to this many frames ahead, all between are decoded and kept
_MOST_KEPT_BYTES = 1 << 28  # roto in 4K has some 100 kB a frame, and film grain 30 MB


class LimitSource(Protocol):
    """The mattes of one kind, by the plate's frame numbers."""

    @property
    def spec(self) -> Path:
        """The file, or the pattern of the files."""

    @property
    def numbers(self) -> Sequence[int]:
        """Frames with a matte of their own, ascending."""

    def path(self, number: int) -> Path:
        """Return the file that holds a frame."""

    def content(self, number: int) -> str:
        """Return what stands for a frame's picture in fingerprints."""

    def check(self, number: int) -> None:
        """Read the header of a frame's file, or a single still; once. Raises TrimapError."""

    def read(self, number: int) -> FloatImage:
        """Read (H, W) float32 coverage over the canvas, in [0, 1]; raises TrimapError."""

    def close(self) -> None:
        """Release files; reading opens them again."""


def find_source(place: Path, name: str, plate: PlateInfo) -> LimitSource:
    """Find what a folder, a pattern or a file names.

    Args:
        name: of the kind of matte, for messages: `garbage matte`.

    Raises:
        ShotError: nothing there, or more than one sequence or movie.
        TrimapError: a movie that cannot be read.
    """
    media = find_media(place)
    if isinstance(media, Path):
        return LimitMovie(media, name, plate)
    return LimitStills(media, name, plate)


class LimitStills:
    """A sequence of stills, or a single one for all frames."""

    def __init__(self, sequence: FrameSequence, name: str, plate: PlateInfo) -> None:
        self._sequence, self._name, self._plate = sequence, name, plate
        self._contents: dict[Path, str] = {}
        self._checked: set[Path] = set()

    @property
    def spec(self) -> Path:
        return Path(self._sequence.pattern)

    @property
    def numbers(self) -> Sequence[int]:
        return self._sequence.numbers

    def path(self, number: int) -> Path:
        return self._sequence.path(number)

    def content(self, number: int) -> str:
        path = self.path(number)
        if path not in self._contents:
            self._contents[path] = _content(path)
        return self._contents[path]

    def check(self, number: int) -> None:
        path = self.path(number)
        if path not in self._checked:
            if len(self._sequence.numbers) == 1:
                self.read(number)  # a bad one would fail every frame
            else:
                canvas, display = self._plate.canvas, self._plate.display_window
                check_coverage(path, canvas=canvas, display_window=display, name=self._name)
            self._checked.add(path)

    def read(self, number: int) -> FloatImage:
        return read_coverage(
            self.path(number),
            canvas=self._plate.canvas,
            display_window=self._plate.display_window,
            name=self._name,
        )[0]

    def close(self) -> None:
        return


class LimitMovie:
    """A movie, decoded in ascending order as far as possible. Thread safe.

    Trimaps are limited long before alpha is: the frames between are kept, compressed.
    """

    def __init__(self, path: Path, name: str, plate: PlateInfo) -> None:
        """Open a movie; raises TrimapError."""
        self._path, self._name, self._plate = path, name, plate
        self._lock = threading.Lock()
        self._movie: Movie | None = None
        self._kept: dict[int, bytes | TrimapError] = {}
        try:
            movie = self._opened()
        except VfxmatteError as error:
            raise self._unreadable(error) from error
        self._numbers = movie.numbers
        self._next = movie.numbers[0]
        self._shape = movie.info.height, movie.info.width

    @property
    def spec(self) -> Path:
        return self._path

    @property
    def numbers(self) -> Sequence[int]:
        return self._numbers

    def path(self, number: int) -> Path:
        return self._path

    def content(self, number: int) -> str:
        return f"{self._whole} frame {number - self._numbers[0]}"

    @cached_property
    def _whole(self) -> str:
        return _content(self._path)

    def check(self, number: int) -> None:
        canvas, display = self._plate.canvas, self._plate.display_window
        covered_window(self._shape, None, canvas=canvas, display_window=display, name=self._name)

    def read(self, number: int) -> FloatImage:
        with self._lock:
            if number not in self._kept:
                self._decode(number)
            packed = self._kept[number]
        if isinstance(packed, TrimapError):
            raise own_copy(packed)
        values = np.frombuffer(zlib.decompress(packed), np.float32).reshape(self._shape)
        canvas, display = self._plate.canvas, self._plate.display_window
        return place(values, None, canvas=canvas, display_window=display, name=self._name)

    def close(self) -> None:
        with self._lock:
            if self._movie is not None:
                self._movie.close()
            self._movie = None
            self._kept.clear()

    def _decode(self, number: int) -> None:
        """Decode up to a frame: what lies shortly before it is asked for soon, or was passed."""
        is_near = self._next <= number < self._next + _NEAR
        for each in range(self._next if is_near else number, number + 1):
            self._kept[each] = self._packed(each)
        self._next = number + 1
        while len(self._kept) > 1 and self._kept_bytes() > _MOST_KEPT_BYTES:
            del self._kept[next(iter(self._kept))]

    def _kept_bytes(self) -> int:
        return sum(len(kept) for kept in self._kept.values() if isinstance(kept, bytes))

    def _packed(self, number: int) -> bytes | TrimapError:
        try:
            values = coverage_of(*self._opened().read_with_alpha(number), self._name)
        except TrimapError as error:
            return error
        except Exception as error:
            return self._unreadable(error)
        return zlib.compress(np.ascontiguousarray(values.clip(0, 1), np.float32).tobytes(), 1)

    def _opened(self) -> Movie:
        if self._movie is None:
            self._movie = Movie(self._path, first_frame=self._plate.numbers[0])
        return self._movie

    def _unreadable(self, error: Exception) -> TrimapError:
        foreseen = as_foreseen(error)
        what = f"the {self._name} cannot be read: {foreseen.what}"
        return TrimapError(what, path=self._path, hint=foreseen.hint)


def _content(path: Path) -> str:
    try:
        return content_digest(path)
    except OSError as error:  # the frame itself will fail and say so
        return f"unreadable: {error.strerror}"
